"""The exchange between a method and the program that calls it: a shard in, its maps out."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from shamsul.geometry import Frame
    from shamsul.model.classifier import Classifier
    from shamsul.size import Size
    from shamsul.storage.heatmaps import Covers, Heatmaps, Points, RunLengths
    from shamsul.storage.images import Images

Quality = dict[str, NDArray[np.float32]]
"""Deviations (N, C) of each heatmap from what its method promises, by name."""


@dataclass(frozen=True)
class Maps:
    """The heatmaps of N images and C classes, with what the method reports of them.

    Attributes
    ----------
    heatmap : maps (N, C, h, w), at the method's own resolution, or run lengths of segmentations.
    quality : deviations from what the method promises; empty where it promises nothing.
    explained : (N, C) bool, False where there is no map, which is scored as an empty one; None
        where there is one everywhere.
    covers : area that the heatmaps cover evenly: the model's frame or the whole radiograph.
    probability : (N, C) in [0, 1], NaN where not known, of the classifier that heatmaps made
        elsewhere explain; None where it is the run's own.
    points : points that a human reader marked, (n, 2) by image_id and class.
    regions : (N, h, w) numbers of the superpixels that the maps are made of; None where they are
        not.
    """

    heatmap: NDArray[np.float32] | RunLengths
    quality: Quality = field(default_factory=dict)
    explained: NDArray[np.bool_] | None = None
    covers: Covers = "frame"
    probability: NDArray[np.float32] | None = None
    points: Points = field(default_factory=dict)
    regions: NDArray[np.uint16] | None = None


@dataclass(frozen=True)
class Supervision:
    """The experts' masks of the tune split, for the methods that learn from them.

    Attributes
    ----------
    manifest : one row per image, of the tune split and of the shard that is explained.
    masks : masks of the tune split (`shamsul.data.masks.MASK_COLUMNS`).
    frames : frames of the tune split's images, by image_id.
    heatmaps : the members' heatmaps of the tune split, by name, one for each shard.
    """

    manifest: pd.DataFrame
    masks: pd.DataFrame
    frames: Mapping[str, Frame]
    heatmaps: Mapping[str, list[Heatmaps]] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """Radiographs of the train split, for the methods that compare with them.

    They are one shard of it. Images are spread over shards by a hash of their name, so it is a
    sample of the split. Files are read on first use.

    Attributes
    ----------
    image_file : image shard, in the model's frame.
    label_file : rows of the manifest of the same images, where `Method.train_inputs` has `labels`.
    """

    image_file: str | Path
    label_file: str | Path | None = None

    @functools.cached_property
    def images(self) -> Images:
        """Return the radiographs, ordered by image_id."""
        from shamsul.storage.images import Images, read_images  # Here: h5py is slow to import.

        read = read_images(self.image_file)
        order = sorted(range(len(read)), key=read.image_id.__getitem__)
        return Images(
            read.image[order],
            [read.image_id[n] for n in order],
            [read.frames[n] for n in order],
        )

    @functools.cached_property
    def labels(self) -> pd.DataFrame:
        """Return the manifest's rows of the radiographs, in the same order.

        Raises
        ------
        InputError
            The two files are of other images.
        """
        from shamsul.storage.tables import read_table  # Here, because it is slow to import.

        assert self.label_file is not None
        table = read_table(self.label_file)
        if sorted(table["image_id"]) != self.images.image_id:
            raise InputError(
                f"{self.image_file}: is of other images than {self.label_file}; delete it and run "
                "again"
            )
        return table.set_index("image_id").loc[self.images.image_id].reset_index()


@dataclass(frozen=True)
class Shard:
    """The images that a method is asked to explain, and all that it may look at.

    Attributes
    ----------
    load : function that reads the classifier from its checkpoint; see `model`.
    images : N radiographs in the model's frame.
    classes : names of the C classes to explain, among the model's.
    seed : seed of the configuration.
    members : heatmaps of this shard by the methods that `Method.members` names.
    supervision : masks to learn from, where `Method.supervised`; else None.
    training : radiographs of the train split, where `Method.train_inputs`; else None.
    perturbed : file of the shard's shared perturbed predictions, where `Method.uses_shared`; else
        None.
    checkpoint : digest of the classifier's weights, which those predictions must be of; None where
        there are none.
    """

    load: Callable[[], Classifier]
    images: Images
    classes: tuple[str, ...]
    seed: int
    members: Mapping[str, Heatmaps] = field(default_factory=dict)
    supervision: Supervision | None = None
    training: Training | None = None
    perturbed: str | Path | None = None
    checkpoint: str | None = None

    @functools.cached_property
    def model(self) -> Classifier:
        """Return the classifier, in evaluation mode.

        It is read on first use, because torch takes seconds to import and many methods need no
        model.
        """
        return self.load()

    @property
    def size(self) -> Size:
        """Return height and width in pixels of the model's frame."""
        height, width = self.images.image.shape[1:]
        return int(height), int(width)

    def seeds(self) -> list[int]:
        """Return one seed per image, the same whatever shard the image is in."""
        return [image_seed(self.seed, image_id) for image_id in self.images.image_id]

    def empty(self) -> bool:
        """Return whether the shard has no images."""
        return len(self.images) == 0


def image_seed(seed: int, image_id: str) -> int:
    """Return the seed of one image: 32 bits, the same whatever shard the image is in."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{image_id}".encode()).digest()[:4], "big")
