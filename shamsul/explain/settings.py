"""Configuration of the explanations; each method's own parameters are declared by the method."""

from __future__ import annotations

from typing import Any

from pydantic import PositiveInt, model_validator

from shamsul.explain.perturbation import Segmented
from shamsul.settings import Section


class Perturbations(Segmented, Section):
    """Perturbed predictions that the methods with `shared: true` have in common."""

    samples: PositiveInt = 1200
    """Perturbed images per radiograph: 1.2 times those of one method do for all of them."""

    @model_validator(mode="after")
    def _enough_samples(self) -> Perturbations:
        if self.superpixels != "quickshift" and self.samples < 4 * self.segments:
            raise ValueError(
                f"samples: must be at least four times the segments ({4 * self.segments}), "
                f"not {self.samples}"
            )
        return self


class Explain(Section):
    """Which methods explain which classes."""

    methods: tuple[dict[str, Any], ...]
    """Each `{method: NAME, ...its parameters}`, with `name:` where a method appears twice."""
    classes: tuple[str, ...] | None = None
    """Classes to explain; all of them when absent."""
    perturbations: Perturbations | None = None
    """Needed where a method says `shared: true`."""
