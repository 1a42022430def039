"""The whole configuration, checked once, before any job starts.

`load` turns the plain dictionary that Snakemake reads from YAML into a `Config`, or raises an
`InputError` of one line that names the key and what is allowed. Each rule passes the part that it
depends on to its script as JSON (`Config.part`), and nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, ValidationError, model_validator

from shamsul.data.settings import Data
from shamsul.errors import InputError
from shamsul.evaluate.settings import Evaluate
from shamsul.explain.base import Method
from shamsul.explain.settings import Explain
from shamsul.labels import CLASSES
from shamsul.model.networks.names import parted
from shamsul.model.settings import (
    Model,
    Train,
)
from shamsul.probe.settings import Probe
from shamsul.report.settings import Report
from shamsul.settings import SPLITS, Name, Section, explain_errors, modernise, unknown
from shamsul.size import told


class Compute(Section):
    """Speed of a run. Nothing here changes a result, so editing it reruns nothing."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device that the network runs on; `auto` takes a GPU where there is one."""
    gpu: bool | None = None
    """Request of one GPU from the scheduler for each job that asks the network, unless
    `device: cpu`. None requests one where `nvidia-smi` is on the PATH of Snakemake itself, which on
    a cluster says nothing."""
    batch_size: PositiveInt = 32
    """Images per forward pass when predicting and explaining."""

    @model_validator(mode="after")
    def _a_gpu_is_requested_where_it_is_used(self) -> Compute:
        if self.device == "cuda" and self.gpu is False:
            raise ValueError("gpu: false, but `device: cuda` needs one; use `device: cpu`")
        return self


class Config(Section):
    """The whole configuration."""

    run: Name
    """Name of the run; everything it makes is in `results/<run>`."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 2023
    """Seed of training, of sign flips and of every random method; each image has its own seed,
    derived from it."""
    classes: tuple[str, ...] = CLASSES
    """Names of the classes that the model predicts, in order."""
    data: Data
    model: Model = Model()
    train: Train = Train()
    explain: Explain
    probe: Probe = Probe()
    evaluate: Evaluate = Evaluate()
    report: Report = Report()
    compute: Compute = Compute()
    partial: bool = False
    """Tables and report of the complete methods alone; the report names the others."""

    @model_validator(mode="after")
    def _classes_are_known(self) -> Config:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: a class is listed twice")
        for key, names, allowed in (
            ("explain.classes", self.explain.classes or (), self.classes),
            ("train.uncertainty_per_class", self.train.uncertainty_per_class, self.classes),
            ("evaluate.classes", self.evaluate.classes or (), self.classes),
        ):
            for name in names:
                if name not in allowed:
                    raise ValueError(f"{key}: {unknown(name, allowed, 'class')}")
        for name in self.evaluate.classes or ():
            if name not in self.explained_classes:
                raise ValueError(f"evaluate.classes: {name!r} is not among explain.classes; add it")
        offered = {split for source in self.data.sources for split in source.splits}
        for split in SPLITS:
            if split not in offered and (split != "train" or not self.model.trained):
                raise ValueError(f"data.sources: none has images of the {split} split")
        height, width = self.data.size
        if self.model.network == "vit_b_16" and height != width:
            raise ValueError(f"data.size: vit_b_16 sees squares alone, not {told(self.data.size)}")
        if self.model.network == "vit_b_16" and height % 16:
            raise ValueError(f"data.size: vit_b_16 needs a multiple of 16, not {height}")
        untrained = not self.model.trained and self.model.weights == "imagenet"
        if untrained and parted(self.model.network)[0] not in ("torchvision", "timm"):
            key = "weights" if "weights" in self.model.model_fields_set else "network"
            raise ValueError(
                f"model.{key}: {self.model.network} has no ImageNet weights; say `model.weights: "
                "random`, `pretrained` or a file, or give a trained `model.checkpoint`"
            )
        return self

    @property
    def explained_classes(self) -> tuple[str, ...]:
        """Classes that get heatmaps, in the model's order."""
        wanted = self.explain.classes or self.classes
        return tuple(name for name in self.classes if name in wanted)

    @property
    def scored_classes(self) -> tuple[str, ...]:
        """Classes whose heatmaps are scored where they have masks, in the model's order."""
        wanted = self.evaluate.classes or self.explained_classes
        return tuple(name for name in self.explained_classes if name in wanted)

    @property
    def data_root(self) -> Path:
        """Folder of the data: SHAMSUL_DATA where set, else `data.root`."""
        return Path(os.environ.get("SHAMSUL_DATA") or self.data.root)

    def part(self, *keys: str) -> str:
        """Return those keys (`"seed"`, `"data.size"`) as canonical JSON; a rule depends on it."""
        chosen: dict[str, Any] = {}
        for key in keys:
            value: Any = self
            for name in key.split("."):
                value = getattr(value, name)
            chosen[key.rsplit(".", 1)[-1]] = value
        return canonical(chosen)


def canonical(value: Any) -> str:
    """Return JSON that is the same text for the same meaning.

    It depends neither on the order of keys nor on comments or the spelling of a number in YAML,
    so Snakemake reruns a rule only where something that the rule depends on has changed.
    """
    return json.dumps(value, sort_keys=True, default=lambda section: section.model_dump())


def load(raw: dict[str, Any]) -> Config:
    """Check a configuration as read from YAML.

    Raises
    ------
    InputError
        One line per fault: the key, what was found, what is allowed.
    """
    try:
        return Config.model_validate(modernise(raw, Config))
    except ValidationError as error:
        raise InputError(*explain_errors(error, Config)) from None


def roles(config: Config, methods: Mapping[str, Method]) -> dict[str, str | None]:
    """Return the names of the methods that others are compared with, None where there is none."""
    first = {
        "prior": [name for name, method in methods.items() if method.method == "mean_mask"],
        "radiologist": [name for name, method in methods.items() if method.human],
    }
    return {"baseline": config.evaluate.baseline} | {
        role: getattr(config.evaluate, role) or next(iter(names), None)
        for role, names in first.items()
    }


def check(config: Config, methods: Mapping[str, Method]) -> None:
    """Check what can be checked only with the methods and the disk at hand.

    Raises
    ------
    InputError
        The baseline is not among the methods, an option is given for a method or class that there
        is not, shared predictions are not configured, or a file of weights does not exist.
    """
    offered = {split for source in config.data.sources for split in source.splits}
    for name, method in methods.items():
        if method.train_inputs and "train" not in offered:
            raise InputError(
                f"explain.methods: {name} compares with radiographs of the train split, of which "
                "data.sources has none; add a source of `split: train`, or leave the method out"
            )
        if method.uses_shared and config.explain.perturbations is None:
            raise InputError(
                f"explain.perturbations: is required, because {name} says `shared: true`; "
                "`explain.perturbations: {}` takes the defaults"
            )
    for role in ("baseline", "prior", "radiologist"):
        name = getattr(config.evaluate, role)
        if name is not None and name not in methods:
            if role not in config.evaluate.model_fields_set:
                raise InputError(
                    f"explain.methods: has no {name!r}, with which the others are compared unless "
                    f"evaluate.{role} names another; add it, or set evaluate.{role} to one of "
                    f"{', '.join(methods)}"
                )
            raise InputError(f"evaluate.{role}: {unknown(name, methods, 'method')}")
    for name in config.evaluate.chexlocalize.smoothing:
        if name not in methods:
            raise InputError(f"evaluate.chexlocalize.smoothing: {unknown(name, methods, 'method')}")
    cutoffs = config.evaluate.chexlocalize.probability_cutoff
    for name in cutoffs if isinstance(cutoffs, dict) else ():
        if name not in config.scored_classes:
            fault = unknown(name, config.scored_classes, "class")
            raise InputError(f"evaluate.chexlocalize.probability_cutoff: {fault}")
    for key, path in (
        *(("model.checkpoint", path) for path in config.model.trained),
        ("model.weights", config.model.weights),
    ):
        if path not in (None, "imagenet", "random", "pretrained") and not Path(path).exists():
            raise InputError(f"{key}: {path} does not exist")
