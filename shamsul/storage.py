"""Files that stages hand to one another: HDF5 shards and Parquet tables.

Every file is written under a temporary name in the same folder and then renamed, so that a killed
job leaves no half file behind. No torch here: scoring and report read these files without it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pycocotools import mask as coco

from shamsul.data.geometry import Frame
from shamsul.errors import InputError

SCHEMA_VERSION = 4

Covers = Literal["frame", "radiograph"]
"""What a heatmap covers evenly: the model's square frame, or the whole radiograph, which is how
others publish their maps and segmentations. Under `stretch` the two are the same."""

Points = dict[tuple[str, str], NDArray[np.float64]]
"""By image_id and class, (n, 2): x and y in pixels of the radiograph, of what a human reader named
the most representative point of a finding. None at all (0, 2) where the reader named none."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a Parquet table; the same rows give the same bytes."""
    with replacing(path) as temporary:
        table.reset_index(drop=True).to_parquet(temporary, index=False)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a Parquet table.

    Raises
    ------
    InputError
        The file is missing, truncated or not Parquet.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, "Parquet table", error) from None


@dataclass(frozen=True)
class Images:
    """Radiographs of one shard at the model's resolution, in the order of its manifest.

    Attributes
    ----------
    image : (N, H, W) uint8, grey values 0-255.
    image_id : (N,) str.
    frames : N frames; the way back to each radiograph's own pixels.
    """

    image: NDArray[np.uint8]
    image_id: list[str]
    frames: list[Frame]

    def __len__(self) -> int:
        return len(self.image_id)


def write_images(images: Images, path: str | Path) -> None:
    """Write an image shard: datasets `image`, `image_id` and `frame` (N, 7 float64)."""
    rows = [frame.to_row() for frame in images.frames]
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.create_dataset("image", data=images.image)
        file.create_dataset("image_id", data=images.image_id, dtype=h5py.string_dtype())
        file.create_dataset("frame", data=np.array(rows, dtype=np.float64).reshape(-1, 7))


def read_images(path: str | Path) -> Images:
    """Read an image shard."""
    with _open(path) as file:
        return Images(
            file["image"][:],
            [name.decode() for name in file["image_id"][:]],
            [Frame.from_row(row) for row in file["frame"][:]],
        )


def read_frames(path: str | Path) -> dict[str, Frame]:
    """Frames of an image shard by image_id, without reading pixels."""
    with _open(path) as file:
        names = [name.decode() for name in file["image_id"][:]]
        return dict(zip(names, map(Frame.from_row, file["frame"][:]), strict=True))


def image_ids(path: str | Path) -> tuple[list[str], tuple[int, int]]:
    """Names of an image shard's images, and their height and width, without reading pixels."""
    with _open(path) as file:
        names = [name.decode() for name in file["image_id"][:]]
        return names, file["image"].shape[1:]


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
        """N and C."""
        return self.counts.shape

    def __getitem__(self, at: tuple[int, int]) -> NDArray[np.float32]:
        """The segmentation of one row and column: (height, width), 1 inside and 0 outside."""
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
        Run lengths where it is segmentations; ``heatmap[row, column]`` is (h, w) of either.
    image_id : (N,) str.
    explained : (N, C) bool; where False the heatmap is all zero and means nothing.
    classes : (C,) str.
    method : the name under which the run knows the method.
    parameters : the method's parameters.
    checkpoint : digest of the run's weights.
    quality : by name, (N, C) float32: how far each heatmap is from what its method promises.
    covers : what the heatmaps cover evenly.
    probability : (N, C) float32 in [0, 1], of the classifier that heatmaps made elsewhere explain,
        NaN where they do not say; None where it is the run's own.
    points : of a human reader; without a key where there is no file of points.
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

    def frame_of(self, frame: Frame) -> Frame:
        """The frame that the heatmaps of a radiograph fill, given the model's."""
        return frame if self.covers == "frame" else frame.filled()


def write_heatmaps(heatmaps: Heatmaps, path: str | Path) -> None:
    """Write a heatmap shard.

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
    ):
        raise ValueError(f"{heatmaps.method}: {heatmaps.heatmap.shape} heatmaps for {count} images")
    if not isinstance(heatmaps.heatmap, RunLengths):
        _check_finite(heatmaps, heatmaps.heatmap)
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["method"] = heatmaps.method
        file.attrs["parameters"] = json.dumps(heatmaps.parameters, sort_keys=True)
        file.attrs["checkpoint"] = heatmaps.checkpoint
        file.attrs["classes"] = heatmaps.classes
        file.attrs["covers"] = heatmaps.covers
        if isinstance(heatmaps.heatmap, RunLengths):
            counts = heatmaps.heatmap.counts.astype(object)
            file.create_dataset("counts", data=counts, dtype=h5py.string_dtype())
            file.create_dataset("size", data=heatmaps.heatmap.size.astype(np.int64))
        else:
            file.create_dataset("heatmap", data=heatmaps.heatmap.astype(np.float32))
        file.create_dataset("image_id", data=heatmaps.image_id, dtype=h5py.string_dtype())
        file.create_dataset("explained", data=heatmaps.explained)
        if heatmaps.probability is not None:
            file.create_dataset("probability", data=heatmaps.probability.astype(np.float32))
        if heatmaps.frames:
            rows = [frame.to_row() for frame in heatmaps.frames]
            file.create_dataset("frame", data=np.array(rows, np.float64))
        _write_points(heatmaps, file)
        quality = file.create_group("quality")
        for name, values in sorted(heatmaps.quality.items()):
            quality.create_dataset(name, data=values.astype(np.float32))


def _check_finite(heatmaps: Heatmaps, values: NDArray[np.float32]) -> None:
    broken = np.argwhere(~np.isfinite(values).all(axis=(2, 3)))
    if len(broken):
        image, index = broken[0]
        raise InputError(
            f"{heatmaps.method}: relevance is not finite for image {heatmaps.image_id[image]}, "
            f"class {heatmaps.classes[index]} ({len(broken)} heatmaps in this shard)"
        )


def _write_points(heatmaps: Heatmaps, file: h5py.File) -> None:
    """Dataset `points` (n, 2), one map's after the other's, and `n_points` (N, C), -1 if no key."""
    keys = [(image_id, name) for image_id in heatmaps.image_id for name in heatmaps.classes]
    lengths = [len(heatmaps.points[key]) if key in heatmaps.points else -1 for key in keys]
    found = [heatmaps.points[key].reshape(-1, 2) for key in keys if key in heatmaps.points]
    file.create_dataset(
        "n_points", data=np.array(lengths, np.int64).reshape(heatmaps.explained.shape)
    )
    file.create_dataset("points", data=np.concatenate([np.zeros((0, 2)), *found]))


def _read_points(file: h5py.File, image_id: list[str], classes: list[str]) -> Points:
    lengths = _values(file, "n_points", "i", len(image_id), len(classes))
    points = _values(file, "points", "f", int(np.maximum(lengths, 0).sum()), 2)
    ends = np.cumsum(np.maximum(lengths, 0)).reshape(lengths.shape)
    return {
        (image_id[row], classes[column]): points[end - lengths[row, column] : end]
        for (row, column), end in np.ndenumerate(ends)
        if lengths[row, column] >= 0
    }


def read_heatmaps(path: str | Path) -> Heatmaps:
    """Read a heatmap shard, which may be another run's.

    Raises
    ------
    InputError
        The file is damaged, or what is in it is not of the shape, type and size that it must be.
    """
    with _open(path) as file:
        image_id, covers = _names(file)
        classes = [str(name) for name in file.attrs["classes"]]
        shape = len(image_id), len(classes)
        heatmap: NDArray[np.float32] | RunLengths
        if "counts" in file:
            counts = _values(file, "counts", "O", *shape)
            texts = np.array([text.decode() for text in counts.ravel()], object)
            heatmap = RunLengths(texts.reshape(shape), _values(file, "size", "i", *shape, 2))
        else:
            heatmap = _values(file, "heatmap", "f", *shape, None, None).astype(np.float32)
        quality = _member(file, "quality")
        frames = _values(file, "frame", "f", shape[0], 7) if "frame" in file else np.zeros((0, 7))
        return Heatmaps(
            heatmap,
            image_id,
            _values(file, "explained", "b", *shape),
            classes,
            str(file.attrs["method"]),
            dict(json.loads(file.attrs["parameters"])),
            str(file.attrs["checkpoint"]),
            {name: _values(quality, name, "f", *shape) for name in quality},
            covers,
            _values(file, "probability", "f", *shape) if "probability" in file else None,
            _read_points(file, image_id, classes),
            [Frame.from_row(row) for row in frames],
        )


def _member(group: h5py.Group, name: str) -> Any:
    """What has a name in a shard, in the file itself: links may lead to any other file."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is not in the file itself")
    return group[name]


def _values(group: h5py.Group, name: str, kind: str, *shape: int | None) -> NDArray[Any]:
    """A dataset, once it is known to be of a kind and shape (None is any), and not to be larger
    than what the file holds: what is compressed or left out may be of any size.
    """
    dataset = _member(group, name)
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != kind:
        raise ValueError(f"{name} is not of the type that it must be")
    if len(dataset.shape) != len(shape) or any(
        side not in (None, found) for side, found in zip(shape, dataset.shape, strict=True)
    ):
        raise ValueError(f"{name} is of shape {dataset.shape}, which others do not agree with")
    if dataset.external or dataset.is_virtual or dataset.id.get_storage_size() < dataset.nbytes:
        raise ValueError(f"{name} is not in the file itself, or compressed")
    return dataset[:]


def _names(file: h5py.File) -> tuple[list[str], Covers]:
    names = [name.decode() for name in _values(file, "image_id", "O", None)]
    covers = file.attrs["covers"]
    if covers not in get_args(Covers):
        raise ValueError("its heatmaps cover neither frame nor radiograph")
    return names, covers


def heatmap_names(path: str | Path) -> tuple[list[str], Covers]:
    """Names of a heatmap shard's images, and what its maps cover, without reading maps."""
    with _open(path) as file:
        return _names(file)


def read_quality(path: str | Path) -> pd.DataFrame:
    """Quality of a heatmap shard, without reading maps: image_id, class, method, quality, value."""
    with _open(path) as file:
        names = [name.decode() for name in file["image_id"][:]]
        classes, method = list(file.attrs["classes"]), file.attrs["method"]
        rows = [
            (image_id, name, method, quality, float(values[row, column]))
            for quality, values in file["quality"].items()
            for row, image_id in enumerate(names)
            for column, name in enumerate(classes)
        ]
    columns = ["image_id", "class", "method", "quality", "value"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[:4], "str"))


@dataclass(frozen=True)
class Perturbations:
    """What the network said of the perturbed versions of one shard's radiographs.

    Attributes
    ----------
    image_id : (N,) str.
    labels : N arrays (H, W), the superpixels of each radiograph.
    subsets : N arrays (n, M), which of its M superpixels are shown.
    logits : N arrays (n, K), for all K classes of the model.
    classes : (K,) str.
    """

    image_id: list[str]
    labels: list[NDArray[np.intp]]
    subsets: list[NDArray[np.bool_]]
    logits: list[NDArray[np.float64]]
    classes: list[str]


def write_perturbations(perturbations: Perturbations, path: str | Path) -> None:
    """Write perturbed predictions: a group for each radiograph, by its place in the shard."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["classes"] = perturbations.classes
        file.create_dataset("image_id", data=perturbations.image_id, dtype=h5py.string_dtype())
        for row in range(len(perturbations.image_id)):
            group = file.create_group(str(row))
            labels = perturbations.labels[row].astype(np.uint32)
            group.create_dataset("labels", data=labels, compression="gzip")
            group.create_dataset("subsets", data=perturbations.subsets[row], compression="gzip")
            group.create_dataset("logits", data=perturbations.logits[row].astype(np.float32))


def read_perturbations(path: str | Path) -> Perturbations:
    """Read perturbed predictions."""
    with _open(path) as file:
        names = [name.decode() for name in file["image_id"][:]]
        groups = [file[str(row)] for row in range(len(names))]
        return Perturbations(
            names,
            [group["labels"][:].astype(np.intp) for group in groups],
            [group["subsets"][:] for group in groups],
            [group["logits"][:].astype(np.float64) for group in groups],
            list(file.attrs["classes"]),
        )


@contextmanager
def _open(path: str | Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            if file.attrs["schema_version"] != SCHEMA_VERSION:
                raise ValueError("of another version of this program")
            yield file
    except (
        OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError,
        ArithmeticError,
    ) as error:  # fmt: skip
        raise _unreadable(path, "shard", error) from None


def _unreadable(path: str | Path, kind: str, error: Exception) -> InputError:
    told = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{path}: not a readable {kind} ({told}); delete it and run again")
