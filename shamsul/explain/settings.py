"""Configuration of the explanations; each method's own parameters are declared by the method."""

from __future__ import annotations

from typing import Any

from pydantic import PositiveInt, model_validator

from shamsul.explain.perturbation import SuperpixelOptions
from shamsul.settings import Section


class Perturbations(SuperpixelOptions, Section):
    """The perturbed predictions that the methods with `shared: true` have in common."""

    samples: PositiveInt = 1200
    """Number of perturbed images per radiograph. 1.2 times those of one method suffice for all of
    them."""

    @model_validator(mode="after")
    def _enough_samples(self) -> Perturbations:
        if self.superpixels != "quickshift" and self.samples < 4 * self.segments:
            raise ValueError(self.too_few(self.samples, "four times", 4 * self.segments))
        return self


class Explain(Section):
    """The methods of the run and the classes that they explain."""

    methods: tuple[dict[str, Any], ...]
    """Methods of the run, each `{method: NAME, ...its parameters}`, with `name:` where a method
    appears twice. In a parameter `{run}` stands for the run's folder of results and `{data}` for
    `data.root`."""
    classes: tuple[str, ...] | None = None
    """Classes to explain; all of them when absent."""
    perturbations: Perturbations | None = None
    """Perturbed predictions that several methods share; required where a method says
    `shared: true`."""

    def placed(self, **folders: str) -> list[dict[str, Any]]:
        """Return the methods, each `{name}` in their parameters replaced by the folder of that
        name.
        """
        return [_placed(entry, folders) for entry in self.methods]


def _placed(value: Any, folders: dict[str, str]) -> Any:
    match value:
        case str():
            for name, folder in folders.items():
                value = value.replace(f"{{{name}}}", folder)
            return value
        case dict():
            return {key: _placed(item, folders) for key, item in value.items()}
        case list() | tuple():
            return [_placed(item, folders) for item in value]
        case _:
            return value
