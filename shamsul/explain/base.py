"""The base classes of explanation methods.

A method is one class: its parameters are typed fields with defaults and limits, its `explain` is
the mathematics. Snakemake reads the fields before any job starts, so modules of methods load
torch lazily (see `cam.py`); a method that imports it at the top works too, and starts slower.

Most methods are an `Explainer`: a function of the model, some images and some classes. What needs
more than the model (experts' masks, or other methods' heatmaps) is a `Method` that is handed the
whole `Shard`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.explain.shard import Maps, Shard, image_seed
from shamsul.job.progress import track
from shamsul.model.batching import in_groups
from shamsul.model.structure import Need
from shamsul.size import at_a_time, told

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

Cost = Literal["forward", "backward", "sampling", "no_model"]
"""Dominant cost of a method: one forward pass for all classes, a backward pass per class, hundreds
of forward passes per image, or nothing of the model's."""

Kind = Literal["explanation", "control", "human"]
"""Part of a method in a run: it explains, or is a control, or a human reader."""

TrainInput = Literal["images", "labels"]
"""Part of the train split that a method reads."""

TOGETHER: dict[Cost, int] = {"forward": 16, "backward": 4, "sampling": 1, "no_model": 1}
"""Images of 224 x 224 explained together, by cost. The last images are repeated to make up the
number. It is fixed because sums are rounded differently in batches of different sizes. Sampling
methods have batches of their own, of perturbed images."""


class Method(BaseModel):
    """An explanation method. Subclasses set the class variables and write `heatmaps`.

    Attributes
    ----------
    method : name in the configuration.
    title : name in the report.
    citation : publication that introduced the method.
    cost : dominant cost of making a heatmap.
    signed : True where negative relevance means evidence against the class.
    human : True for a human reader.
    abstains : True where a map that was not made is not judged, since the method says nothing
        there, rather than scored as empty.
    presets : named sets of parameters, such as those of a study's published code.
    """

    # The text under a field is its description in the schema for editors (`shamsul.schema`).
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    method: ClassVar[str]
    title: ClassVar[str]
    citation: ClassVar[str]
    cost: ClassVar[Cost]
    signed: ClassVar[bool]
    human: ClassVar[bool] = False
    abstains: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    @property
    def kind(self) -> Kind:
        """Return the method's part in the run: an explanation, a control or a human reader."""
        if self.human:
            return "human"
        untrained = getattr(self, "network", "trained") == "untrained"
        return "control" if untrained or self.citation == "control" else "explanation"

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return what the method needs of a network (`shamsul.model.structure`)."""
        return ()

    @property
    def members(self) -> tuple[str, ...]:
        """Return the names of the methods of the same run whose heatmaps this one combines."""
        return ()

    @property
    def supervised(self) -> bool:
        """Return whether the method learns from the experts' masks of the tune split."""
        return False

    @property
    def train_inputs(self) -> tuple[TrainInput, ...]:
        """Return the parts of the train split that the method reads: images, labels or both."""
        return ()

    @property
    def uses_shared(self) -> bool:
        """Return whether the method reads the run's shared perturbed predictions instead of making
        its own.
        """
        return False

    def check_files(self, made: Collection[Path] = ()) -> None:
        """Check, before any job starts, that the files which the method reads exist.

        Parameters
        ----------
        made : files that the run makes itself, so that they need not be there yet.
        """

    def files(self, image_ids: Sequence[str]) -> list[Path]:
        """Return the files, sorted, that the heatmaps of these images are read from, besides the
        run's own.
        """
        return []

    def heatmaps(self, shard: Shard) -> Maps:
        """Make the heatmaps of all images of a shard, each from its own image, class and seed
        alone.
        """
        raise NotImplementedError


class Explainer(Method):
    """A method that needs the model and the image alone. Subclasses write `explain`."""

    network: Literal["trained", "untrained"] = "trained"
    """Network to explain. `untrained` is a control: the same architecture with random weights. A
    score that its maps reach too is not owed to what the trained network has learned (Adebayo et
    al., NeurIPS 2018)."""
    checkpoint: str | None = None
    """Checkpoint to explain instead of the run's own, such as another run's `model/checkpoint.pt`.
    The same architecture trained with another seed makes agreement a test of repeatability, another
    architecture one of reproducibility (Arun et al., Radiology: Artificial Intelligence 2021)."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """Seed of this method's random draws, instead of the configuration's. Two entries that differ
    in it show how far a method with random draws repeats itself."""

    @model_validator(mode="after")
    def _shares_what_it_can(self) -> Explainer:
        if self.uses_shared and (self.checkpoint or self.seed is not None):
            raise ValueError(
                "shared: the shared predictions are of the run's own weights and seed; remove "
                "`shared`, or `checkpoint` and `seed`"
            )
        return self

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return that weights must be drawn anew, where the network is a control, and gradients."""
        drawn: tuple[Need, ...] = ("random_weights",) if self.network == "untrained" else ()
        return (*drawn, "gradients") if self.cost == "backward" else drawn

    @property
    def by_member(self) -> bool:
        """Return whether the method looks inside of a network. It explains each member of an
        ensemble then, and the maps are averaged; other methods explain the averaged output.
        """
        return bool({*self.needs} - {"gradients", "random_weights"})

    def check_files(self, made: Collection[Path] = ()) -> None:
        """Raise an InputError where a checkpoint is given and does not exist."""
        if self.checkpoint and not Path(self.checkpoint).is_file():
            raise InputError(
                f"checkpoint: {self.checkpoint} does not exist; give another run's "
                "model/checkpoint.pt, or remove `checkpoint`"
            )

    def explained_model(self, shard: Shard) -> Classifier:
        """Return the classifier that is explained.

        Raises
        ------
        InputError
            The checkpoint given lacks a class, its images are of another size than the run's, or
            the network is not one that the method can explain.
        """
        model = shard.model
        if self.checkpoint:
            from shamsul.model.checkpoint import load  # Imported here, because it imports torch.

            model = load(self.checkpoint, model.device, model.batch_size)
            if missing := [name for name in shard.classes if name not in model.classes]:
                raise InputError(
                    f"{self.checkpoint}: does not predict {missing[0]}; choose a checkpoint of the "
                    "run's classes"
                )
            if model.size != shard.model.size:
                raise InputError(
                    f"{self.checkpoint}: is for images of {told(model.size)} pixels, the "
                    f"run's are of {told(shard.model.size)}; choose a checkpoint of "
                    "the run's data.size"
                )
        if reason := model.structure.refusal(self.needs):
            raise InputError(f"{self.method} cannot explain {model.spec.network}: {reason}")
        return model if self.network == "trained" else model.untrained(shard.seed)

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Make the heatmaps of all asked classes of all images in one call.

        Parameters
        ----------
        model : classifier, in evaluation mode.
        images : (N, K, H, W) float32, normalised as the model sees them.
        classes : (C,) int64, indices into the model's classes.
        seeds : N integers, one per image; the only source of randomness.

        Returns
        -------
        (N, C, h, w) float32, at the method's own resolution. Each heatmap depends on its own
        image, class and seed alone.
        """
        raise NotImplementedError

    def explained(self, model: Classifier) -> tuple[Classifier, ...]:
        """Return the classifiers whose maps are averaged: itself, or the members of an ensemble."""
        return model.members if self.by_member else (model,)

    def averaged(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Make the heatmaps of a classifier that may be an ensemble; see `by_member`, `explain`."""
        parts = [self.explain(each, images, classes, seeds) for each in self.explained(model)]
        return _mean(parts)

    def ready(self, shard: Shard) -> Explainer:
        """Return the method with what it takes from the shard besides its images: itself."""
        return self

    def expected_sum(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor | None:
        """Return what each map should sum to, (N, C), or None where the method promises no sum."""
        return None

    def seeds(self, shard: Shard) -> list[int]:
        """Return the seed of the method's draws for each image of a shard."""
        seed = shard.seed if self.seed is None else self.seed
        return [image_seed(seed, image_id) for image_id in shard.images.image_id]

    def heatmaps(self, shard: Shard) -> Maps:
        """Make the heatmaps with `explain`, and quality `conservation_error` where `expected_sum`
        gives a sum.

        It is ``|sum(map) - expected| / |expected|``: relevance that biases absorbed, or an
        approximation's error.
        """
        if shard.empty():
            return Maps(np.zeros((0, len(shard.classes), 1, 1), np.float32))
        model, method = self.explained_model(shard), self.ready(shard)
        classes = torch.tensor([model.classes.index(c) for c in shard.classes], device=model.device)
        seeds = self.seeds(shard)

        def maps_of(rows: NDArray[np.intp]) -> tuple[Tensor, Tensor | None]:
            images = model.normalise(shard.images.image[rows])
            drawn = [seeds[row] for row in rows]
            maps = method.averaged(model, images, classes, drawn)
            sums = [method.expected_sum(each, images, classes) for each in method.explained(model)]
            if sums[0] is None:
                return maps, None
            expected = _mean([found for found in sums if found is not None])
            return maps, (maps.sum((2, 3)) - expected).abs() / expected.abs().clamp(min=1e-12)

        step = at_a_time(TOGETHER[self.cost], model.size)
        groups = track(
            in_groups(maps_of, len(seeds), step),
            f"{self.title}: groups of {step} images",
            -(-len(seeds) // step),
        )
        # Groups are copied into one array: a shard's maps may be gigabytes and must fit only once.
        heatmap = np.zeros(0, np.float32)
        errors: list[NDArray[np.float32]] = []
        done = 0
        for maps, error in groups:
            if not done:
                heatmap = np.empty((len(seeds), *maps.shape[1:]), np.float32)
            heatmap[done : done + len(maps)] = _numpy(maps)
            done += len(maps)
            if error is not None:
                errors.append(_numpy(error))
        return Maps(heatmap, {"conservation_error": np.concatenate(errors)} if errors else {})


def _mean(parts: Sequence[Tensor]) -> Tensor:
    """Return the mean of what was found of each member: the same tensor for one."""
    return parts[0] if len(parts) == 1 else torch.stack([*parts]).mean(0)


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().cpu().numpy().astype(np.float32)
