"""What an explanation method is.

A method is one class: its parameters are typed fields with defaults and limits, its `explain` is
the mathematics. Snakemake reads the fields before any job starts, so modules of methods load
torch lazily (see `cam.py`); a method that imports it at the top works too, and starts slower.

Most methods are an `Explainer`: a function of the model, some images and some classes. What needs
more than the model (experts' masks, or other methods' heatmaps) is a `Method` that is handed the
whole `Shard`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.job.progress import track
from shamsul.model.batching import in_groups

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Tensor

    from shamsul.geometry import Frame
    from shamsul.model.classifier import Classifier
    from shamsul.storage.heatmaps import Covers, Heatmaps, Points, RunLengths
    from shamsul.storage.images import Images
else:
    torch = lazy.load("torch")

Cost = Literal["forward", "backward", "sampling", "no_model"]
"""What a method spends its time on: one forward pass for all classes, a backward pass per class,
hundreds of forward passes per image, or nothing of the model's."""

TOGETHER: dict[Cost, int] = {"forward": 16, "backward": 4, "sampling": 1, "no_model": 1}
"""Images of 224 x 224 explained together; the last ones are repeated to make up the number. It is
fixed because sums are rounded differently in batches of different sizes. Sampling methods have
batches of their own, of perturbed images."""

Quality = dict[str, NDArray[np.float32]]
"""By name, (N, C): how far each heatmap is from what its method promises."""


@dataclass(frozen=True)
class Maps:
    """What a method has to say of N images and C classes.

    Attributes
    ----------
    heatmap : (N, C, h, w), at the method's own resolution, or run lengths of segmentations.
    quality : where there is something to tell.
    explained : (N, C) bool, False where there is no map, which is scored as an empty one; None
        where there is one everywhere.
    covers : what the heatmaps cover evenly.
    probability : (N, C) in [0, 1], NaN where not known, of the classifier that heatmaps made
        elsewhere explain; None where it is the run's own.
    points : of a human reader.
    """

    heatmap: NDArray[np.float32] | RunLengths
    quality: Quality = field(default_factory=dict)
    explained: NDArray[np.bool_] | None = None
    covers: Covers = "frame"
    probability: NDArray[np.float32] | None = None
    points: Points = field(default_factory=dict)


@dataclass(frozen=True)
class Supervision:
    """The experts' masks of the tune split, for the methods that learn from them.

    Attributes
    ----------
    manifest : one row per image, of the tune split and of the shard that is explained.
    masks : of the tune split (`shamsul.data.masks.MASK_COLUMNS`).
    frames : of the tune split's images, by image_id.
    heatmaps : of the tune split, by the members' names, one for each shard.
    """

    manifest: pd.DataFrame
    masks: pd.DataFrame
    frames: Mapping[str, Frame]
    heatmaps: Mapping[str, list[Heatmaps]] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """What a method is asked to explain, and what it may look at.

    Attributes
    ----------
    load : what reads the classifier from its checkpoint; see `model`.
    images : N radiographs in the model's frame.
    classes : names of the C classes to explain, among the model's.
    seed : the configuration's.
    members : heatmaps of this shard by the methods that `Method.members` names.
    supervision : where `Method.supervised`.
    perturbed : where `Method.uses_shared`: the file of the shard's shared perturbed predictions.
    """

    load: Callable[[], Classifier]
    images: Images
    classes: tuple[str, ...]
    seed: int
    members: Mapping[str, Heatmaps] = field(default_factory=dict)
    supervision: Supervision | None = None
    perturbed: str | Path | None = None

    @functools.cached_property
    def model(self) -> Classifier:
        """The classifier, in evaluation mode.

        It is read when it is first asked for: torch takes seconds to import, and many methods need
        no model.
        """
        return self.load()

    @property
    def size(self) -> int:
        """Side S in pixels of the model's frame."""
        return int(self.images.image.shape[-1])

    def seeds(self) -> list[int]:
        """One for each image, whatever shard it is in."""
        return [image_seed(self.seed, image_id) for image_id in self.images.image_id]

    def empty(self) -> bool:
        """Whether there is nothing to explain."""
        return len(self.images) == 0


class Method(BaseModel):
    """What makes heatmaps. Subclasses set the class variables and write `heatmaps`.

    Attributes
    ----------
    method : its name in the configuration.
    title : its name in the report.
    citation : where it comes from.
    cost : what it spends its time on.
    signed : whether negative relevance means evidence against the class.
    human : whether it is a human reader.
    presets : named sets of parameters: what somebody else's code does.
    """

    # The text under a field is its description in the schema for editors (`shamsul.schema`).
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    method: ClassVar[str]
    title: ClassVar[str]
    citation: ClassVar[str]
    cost: ClassVar[Cost]
    signed: ClassVar[bool]
    human: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    @classmethod
    def unsuited(cls, backbone: str) -> str | None:
        """Why the method cannot explain this backbone, or None where it can."""
        return None

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the methods of the same run whose heatmaps this one is made of."""
        return ()

    @property
    def supervised(self) -> bool:
        """Whether it learns from the experts' masks of the tune split."""
        return False

    @property
    def uses_shared(self) -> bool:
        """Whether it reads the run's shared perturbed predictions instead of making its own."""
        return False

    def check_files(self, made: Collection[Path] = ()) -> None:
        """Raise an InputError where it reads files and they are not there, before any job starts.

        Parameters
        ----------
        made : files that the run makes itself, so that they need not be there yet.
        """

    def files(self, image_ids: Sequence[str]) -> list[Path]:
        """Files that the heatmaps of these images are read from, besides the run's own; sorted."""
        return []

    def heatmaps(self, shard: Shard) -> Maps:
        """Heatmaps of all images of a shard, each of its own image, class and seed alone."""
        raise NotImplementedError


class Explainer(Method):
    """A method that needs the model and the image. Subclasses write `explain`."""

    network: Literal["trained", "untrained"] = "trained"
    """`untrained`: explain the same network with random weights instead, as a control. What a map
    of a network that has learned nothing scores is not owed to what the trained one has learned
    (Adebayo et al., NeurIPS 2018)."""
    checkpoint: str | None = None
    """Explain these weights instead of the run's: another run's `model/checkpoint.pt`. The same
    architecture trained with another seed makes agreement a test of repeatability, another
    architecture one of reproducibility (Arun et al., Radiology: Artificial Intelligence 2021)."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """Instead of the configuration's, to see how much a method with random draws repeats itself."""

    @model_validator(mode="after")
    def _shares_what_it_can(self) -> Explainer:
        if self.uses_shared and (self.checkpoint or self.seed is not None):
            raise ValueError("shared: predictions are of the run's own weights and seed")
        return self

    def check_files(self, made: Collection[Path] = ()) -> None:
        """The checkpoint must be there, where one is given."""
        if self.checkpoint and not Path(self.checkpoint).is_file():
            raise InputError(f"checkpoint: {self.checkpoint} does not exist")

    def explained_model(self, shard: Shard) -> Classifier:
        """The classifier that is explained.

        Raises
        ------
        InputError
            Another checkpoint lacks a class, or is of another resolution than the run.
        """
        model = shard.model
        if self.checkpoint:
            from shamsul.model.checkpoint import load  # Here, because it imports torch.

            model = load(self.checkpoint, model.device, model.batch_size)
            if missing := [name for name in shard.classes if name not in model.classes]:
                raise InputError(f"{self.checkpoint}: does not predict {missing[0]}")
            if model.size != shard.model.size:
                raise InputError(
                    f"{self.checkpoint}: is for images of {model.size} x {model.size} pixels, the "
                    f"run's are of {shard.model.size} x {shard.model.size}"
                )
        return model if self.network == "trained" else model.untrained(shard.seed)

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Heatmaps of all asked classes of all images, in one call.

        Parameters
        ----------
        model : the classifier, in evaluation mode.
        images : (N, 3, H, W) float32, normalised as the model sees them.
        classes : (C,) int64, indices into the model's classes.
        seeds : N integers, one per image; the only source of randomness.

        Returns
        -------
        (N, C, h, w) float32, at the method's own resolution. Each heatmap depends on its own
        image, class and seed alone.
        """
        raise NotImplementedError

    def expected_sum(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor | None:
        """What each map should sum to, (N, C), or None where the method promises no sum."""
        return None

    def heatmaps(self, shard: Shard) -> Maps:
        """As `Method.heatmaps`; quality `conservation_error` where `expected_sum` says so.

        It is ``|sum(map) - expected| / |expected|``: relevance that biases absorbed, or an
        approximation's error.
        """
        if shard.empty():
            return Maps(np.zeros((0, len(shard.classes), 1, 1), np.float32))
        model = self.explained_model(shard)
        classes = torch.tensor([model.classes.index(c) for c in shard.classes], device=model.device)
        seed = shard.seed if self.seed is None else self.seed
        seeds = [image_seed(seed, image_id) for image_id in shard.images.image_id]

        def explained(rows: NDArray[np.intp]) -> tuple[Tensor, Tensor | None]:
            images = model.normalise(shard.images.image[rows])
            maps = self.explain(model, images, classes, [seeds[row] for row in rows])
            expected = self.expected_sum(model, images, classes)
            if expected is None:
                return maps, None
            return maps, (maps.sum((2, 3)) - expected).abs() / expected.abs().clamp(min=1e-12)

        step = max(1, TOGETHER[self.cost] * 224**2 // max(model.size, 224) ** 2)
        groups = track(
            in_groups(explained, len(seeds), step),
            f"{self.title}: groups of {step} images",
            -(-len(seeds) // step),
        )
        # Copied into their place one by one: a shard of maps may be gigabytes, and has to fit once.
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


def image_seed(seed: int, image_id: str) -> int:
    """The seed of one image under the configuration's seed: 32 bits, whatever shard it is in."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{image_id}".encode()).digest()[:4], "big")


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().cpu().numpy().astype(np.float32)
