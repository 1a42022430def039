"""Heatmap shards: the maps of one method, dense ones and segmentations as run lengths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import h5py
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from shamsul.errors import InputError
from shamsul.geometry import Frame
from shamsul.storage import shards
from shamsul.storage.dense import StoredMaps, write_maps

VERSION = 6
"""Version of the content of a heatmap shard."""

Covers = Literal["frame", "radiograph"]
"""Area that a heatmap covers evenly: the model's square frame, or the whole radiograph, as
others publish their maps and segmentations. Under `stretch` the two are the same."""

Points = dict[tuple[str, str], NDArray[np.float64]]
"""Points (n, 2) by image_id and class: x and y in pixels of the radiograph, of what a reader named
the most representative point of a finding. None at all (0, 2) where the reader named none."""


@dataclass(frozen=True)
class RunLengths:
    """Segmentations of N images and C classes, each of its own size, as COCO run lengths.

    Attributes
    ----------
    counts : (N, C) str, compressed as in the masks table; empty where nothing was segmented. Who
        makes them checks that they fill their size: pycocotools does not.
    size : (N, C, 2) int, height and width in pixels.
    """

    counts: NDArray[np.object_]
    size: NDArray[np.integer]

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of images N and of classes C."""
        return self.counts.shape

    def __getitem__(self, at: tuple[int, int]) -> NDArray[np.float32]:
        """Return the segmentation of one row and column, (height, width): 1 inside, 0 outside."""
        height, width = (int(side) for side in self.size[at])
        if not self.counts[at]:
            return np.zeros((height, width), np.float32)
        run = {"size": [height, width], "counts": self.counts[at].encode("ascii")}
        return coco.decode(run).astype(np.float32)


@dataclass(frozen=True)
class Heatmaps:
    """Heatmaps of one method on one shard.

    Attributes
    ----------
    heatmap : (N, C, h, w) float32, signed where the method is; at the method's own resolution.
        Run lengths where it is segmentations, and maps that stay in their file where the shard is
        read image by image; ``heatmap[row, column]`` is (h, w) of each.
    image_id : (N,) str.
    explained : (N, C) bool; where False the heatmap is all zero and means nothing.
    classes : (C,) str.
    method : the name under which the run knows the method.
    parameters : the method's parameters.
    checkpoint : digest of the run's weights.
    quality : (N, C) float32 by name, deviation of each heatmap from what its method promises.
    covers : area that the heatmaps cover evenly.
    probability : (N, C) float32 in [0, 1], of the classifier that heatmaps made elsewhere explain,
        NaN where they do not say; None where it is the run's own.
    points : points of a human reader; without a key where there is no file of points.
    regions : (N, h, w) numbers of the superpixels that maps are made of; None where each cell has
        a value of its own.
    error : (N, C) float32, largest difference of the stored map from the one that was made, as a
        share of its largest value; 0 where it is stored exactly. None where nothing is stored yet.
    frames : N frames in which the model saw the radiographs; none at all where that is not known.
        Another run can tell from them whether its own model sees the same.
    """

    heatmap: NDArray[np.float32] | RunLengths
    image_id: list[str]
    explained: NDArray[np.bool_]
    classes: list[str]
    method: str
    parameters: dict[str, Any]
    checkpoint: str
    quality: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    covers: Covers = "frame"
    probability: NDArray[np.float32] | None = None
    points: Points = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    regions: NDArray[np.uint16] | None = None
    error: NDArray[np.float32] | None = None

    def frame_of(self, frame: Frame) -> Frame:
        """Return the frame that the heatmaps of a radiograph fill, given the model's."""
        return frame if self.covers == "frame" else frame.filled()


def write_heatmaps(heatmaps: Heatmaps, path: str | Path) -> None:
    """Write a heatmap shard; dense maps by `codes`, which the reader turns into maps again.

    Raises
    ------
    ValueError
        Shapes disagree.
    InputError
        Relevance is not finite: names the method, image and class.
    """
    count, classes = heatmaps.explained.shape
    shapes = {values.shape for values in heatmaps.quality.values()}
    if heatmaps.probability is not None:
        shapes.add(heatmaps.probability.shape)
    if (
        heatmaps.heatmap.shape[:2] != (count, classes)
        or len(heatmaps.image_id) != count
        or not shapes <= {(count, classes)}
        or len(heatmaps.frames) not in (0, count)
        or (heatmaps.regions is not None and heatmaps.regions.shape != _cells(heatmaps))
    ):
        raise ValueError(f"{heatmaps.method}: {heatmaps.heatmap.shape} heatmaps for {count} images")
    _check_finite(heatmaps)
    with shards.created(path, VERSION) as file:
        file.attrs["method"] = heatmaps.method
        file.attrs["parameters"] = json.dumps(heatmaps.parameters, sort_keys=True)
        file.attrs["checkpoint"] = heatmaps.checkpoint
        file.attrs["classes"] = heatmaps.classes
        file.attrs["covers"] = heatmaps.covers
        if isinstance(heatmaps.heatmap, RunLengths):
            counts = heatmaps.heatmap.counts.astype(object)
            file.create_dataset("counts", data=counts, dtype=h5py.string_dtype())
            file.create_dataset("size", data=heatmaps.heatmap.size.astype(np.int64))
        shards.write_names(file, heatmaps.image_id)
        file.create_dataset("explained", data=heatmaps.explained)
        if heatmaps.probability is not None:
            file.create_dataset("probability", data=heatmaps.probability.astype(np.float32))
        if heatmaps.regions is not None:
            file.create_dataset("regions", data=heatmaps.regions.astype(np.uint16))
        if heatmaps.frames:
            shards.write_frames(file, heatmaps.frames)
        _write_points(heatmaps, file)
        quality = file.create_group("quality")
        for name, values in sorted(heatmaps.quality.items()):
            quality.create_dataset(name, data=values.astype(np.float32))
        if not isinstance(heatmaps.heatmap, RunLengths):
            write_maps(file, heatmaps.heatmap)


def _cells(heatmaps: Heatmaps) -> tuple[int, ...]:
    """Return the shape (N, h, w) that superpixels of the heatmaps have."""
    count, _, *cells = heatmaps.heatmap.shape
    return count, *cells


def _check_finite(heatmaps: Heatmaps) -> None:
    if isinstance(heatmaps.heatmap, RunLengths):
        return
    # One image at a time: a shard may fill half the memory.
    finite = [np.isfinite(maps).all(axis=(1, 2)) for maps in np.asarray(heatmaps.heatmap)]
    broken = np.argwhere(~np.array(finite, bool))
    if len(broken):
        image, index = broken[0]
        raise InputError(
            f"{heatmaps.method}: relevance is not finite for image {heatmaps.image_id[image]}, "
            f"class {heatmaps.classes[index]} ({len(broken)} heatmaps in this shard)"
        )


def _write_points(heatmaps: Heatmaps, file: h5py.File) -> None:
    """Write `points` (n, 2), one map's after the other's, and `n_points` (N, C), -1 if no key."""
    keys = [(image_id, name) for image_id in heatmaps.image_id for name in heatmaps.classes]
    lengths = [len(heatmaps.points[key]) if key in heatmaps.points else -1 for key in keys]
    found = [heatmaps.points[key].reshape(-1, 2) for key in keys if key in heatmaps.points]
    file.create_dataset(
        "n_points", data=np.array(lengths, np.int64).reshape(heatmaps.explained.shape)
    )
    file.create_dataset("points", data=np.concatenate([np.zeros((0, 2)), *found]))


def _read_points(file: h5py.File, image_id: list[str], classes: list[str]) -> Points:
    lengths = shards.values(file, "n_points", "i", len(image_id), len(classes))
    points = shards.values(file, "points", "f", int(np.maximum(lengths, 0).sum()), 2)
    ends = np.cumsum(np.maximum(lengths, 0)).reshape(lengths.shape)
    return {
        (image_id[row], classes[column]): points[end - lengths[row, column] : end]
        for (row, column), end in np.ndenumerate(ends)
        if lengths[row, column] >= 0
    }


def read_heatmaps(path: str | Path, checkpoint: str | None = None) -> Heatmaps:
    """Read a heatmap shard, which may be another run's.

    Parameters
    ----------
    path : path of the shard.
    checkpoint : digest of the run's weights, which the shard must state; None takes any shard.

    Raises
    ------
    InputError
        The file is damaged, or what is in it is not of the shape, type and size that it must be,
        or it is of another checkpoint.
    """
    with open_heatmaps(path, checkpoint) as made:
        if isinstance(made.heatmap, RunLengths):
            return made
        return replace(made, heatmap=np.asarray(made.heatmap))


@contextmanager
def open_heatmaps(path: str | Path, checkpoint: str | None = None) -> Iterator[Heatmaps]:
    """Yield a heatmap shard whose dense maps are read image by image, when they are asked for.

    Parameters and errors are those of `read_heatmaps`.
    """
    with ExitStack() as stack:
        with shards.told(path):
            made = _read(stack.enter_context(shards.kept_open(path, VERSION)), path)
        shards.check_checkpoint(path, made.checkpoint, checkpoint)
        yield made


def _read(file: h5py.File, path: str | Path) -> Heatmaps:
    image_id, covers = _names(file)
    classes = [str(name) for name in file.attrs["classes"]]
    shape = len(image_id), len(classes)
    heatmap: RunLengths | StoredMaps
    if "counts" in file:
        counts = shards.values(file, "counts", "O", *shape)
        texts = np.array([text.decode() for text in counts.ravel()], object)
        heatmap = RunLengths(texts.reshape(shape), shards.values(file, "size", "i", *shape, 2))
    else:
        heatmap = StoredMaps(file, path, *shape)
    quality = shards.member(file, "quality")
    return Heatmaps(
        cast(
            "NDArray[np.float32] | RunLengths", heatmap
        ),  # Maps in a file answer as an array does.
        image_id,
        shards.values(file, "explained", "b", *shape),
        classes,
        str(file.attrs["method"]),
        dict(json.loads(file.attrs["parameters"])),
        str(file.attrs["checkpoint"]),
        {name: shards.values(quality, name, "f", *shape) for name in quality},
        covers,
        shards.values(file, "probability", "f", *shape) if "probability" in file else None,
        _read_points(file, image_id, classes),
        shards.frames(file, len(image_id)) if "frame" in file else [],
        shards.values(file, "regions", "u", len(image_id), *heatmap.shape[2:])
        if "regions" in file
        else None,
        heatmap.error if isinstance(heatmap, StoredMaps) else np.zeros(shape, np.float32),
    )


def _names(file: h5py.File) -> tuple[list[str], Covers]:
    covers = file.attrs["covers"]
    if covers not in get_args(Covers):
        raise ValueError("its heatmaps cover neither frame nor radiograph")
    return shards.names(file), covers


def heatmap_names(path: str | Path) -> tuple[list[str], Covers, str]:
    """Read a heatmap shard's image names, the area its maps cover and its checkpoint; no maps."""
    with shards.opened(path, VERSION, whole=False) as file:
        return *_names(file), str(file.attrs["checkpoint"])


def read_quality(
    path: str | Path, checkpoint: str | None = None
) -> list[tuple[str, str, str, str, float]]:
    """Read the quality of a heatmap shard, but no maps: image_id, class, method, quality, value.

    Parameters and errors are those of `read_heatmaps`.
    """
    with shards.opened(path, VERSION, whole=False) as file:
        image_id, classes = shards.names(file), [str(name) for name in file.attrs["classes"]]
        quality, method = shards.member(file, "quality"), str(file.attrs["method"])
        stated = str(file.attrs["checkpoint"])
        rows = [
            (image, name, method, kind, value)
            for kind in quality
            for image, values in zip(
                image_id,
                shards.values(quality, kind, "f", len(image_id), len(classes)).tolist(),
                strict=True,
            )
            for name, value in zip(classes, values, strict=True)
        ]
    shards.check_checkpoint(path, stated, checkpoint)
    return rows
