"""Where the heatmaps of an imported method lie, and how one of them is read.

Five formats, told apart by the names of a folder's files:

- CheXlocalize's pickles, ``<image_id>_<class>_map.pkl``, with `map`, `prob` and `task`
  (Saporta et al., Nature Machine Intelligence 2022);
- NumPy's arrays, ``<image_id>_<class>.npy``;
- NumPy's archives, ``<image_id>.npz``, an array for each class by its name;
- PNG images in grey, ``<image_id>_<class>.png``, 8 or 16 bits, bright where relevance is high;
- shards of this program, ``*.h5``, as they lie in `heatmaps/<method>` of another run.

Classes are named as CheXpert or as CheXlocalize names them.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shamsul.data.images import UNREADABLE
from shamsul.errors import InputError
from shamsul.explain.unpickle import load, plain
from shamsul.labels import CHEXLOCALIZE_NAMES
from shamsul.storage import Covers, RunLengths, heatmap_names, read_heatmaps

ENDINGS = {"pickle": "_map.pkl", "npy": ".npy", "npz": ".npz", "png": ".png", "shard": ".h5"}
"""How a heatmap's file name ends, by format."""
TASKS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Lesion", "Lung Opacity",
    "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
"""CheXlocalize's order of the classes, not CheXpert's, where a pickle has all 14 probabilities."""
GREY = ("1", "L", "I", "I;16", "I;16B", "I;16L")
"""Pillow's modes of one channel."""


@dataclass(frozen=True)
class Map:
    """One heatmap: (h, w) float32, and the probability of its class where the file has it."""

    heatmap: NDArray[np.float32]
    probability: float = float("nan")


@dataclass(frozen=True)
class Folder:
    """A folder of heatmaps of one format: their files by image_id and class, `None` for all.

    `covers` is what shards say that their maps cover; other formats do not say.
    """

    kind: str
    files: dict[str, dict[str | None, Path]]
    covers: Covers | None = None

    def of(self, image_ids: Sequence[str]) -> list[Path]:
        """Files of some images, each once."""
        return sorted({file for name in image_ids for file in self.files.get(name, {}).values()})

    def read(
        self, image_ids: Sequence[str], classes: Sequence[str]
    ) -> Iterator[tuple[str, str, Map]]:
        """The heatmaps that there are of some images and classes: image_id, class, map."""
        if self.kind == "shard":
            for path in self.of(image_ids):
                for image_id, name, one in _shard(path):
                    if image_id in image_ids and name in classes:
                        yield image_id, name, one
            return
        read = {"pickle": _pickle, "npy": _npy, "png": _png}
        for image_id in image_ids:
            files = self.files.get(image_id, {})
            maps = _archive(files[None]) if None in files else {}
            for name in classes:
                if name in files:
                    yield image_id, name, read[self.kind](files[name])
                elif name in maps:
                    yield image_id, name, maps[name]


@functools.cache
def listing(path: str) -> Folder:
    """What a folder holds, those below it included; listed once.

    Raises
    ------
    InputError
        It does not exist, holds no heatmaps, several formats, or one heatmap twice.
    """
    if not Path(path).is_dir():
        raise InputError(f"path: {path} is not a folder")
    inside = sorted(file for file in Path(path).rglob("*") if file.is_file())
    kinds = [k for k, end in ENDINGS.items() if any(file.name.endswith(end) for file in inside)]
    if len(kinds) != 1:
        found = f"several formats, {', '.join(kinds)}" if kinds else "no heatmaps"
        wanted = ", ".join(f"*{end}" for end in ENDINGS.values())
        raise InputError(f"path: {path} holds {found}; it must hold files of one of {wanted}")
    files: dict[str, dict[str | None, Path]] = {}
    covers = set()
    for file in inside:
        if not file.name.endswith(ENDINGS[kinds[0]]):
            continue
        stem = file.name.removesuffix(ENDINGS[kinds[0]])
        keys: list[tuple[str, str | None]] = [(stem, None)]
        if kinds[0] == "shard":
            names, cover = heatmap_names(file)
            keys = [(image_id, None) for image_id in names]
            covers.add(cover)
        elif kinds[0] != "npz":
            image_id, _, task = stem.rpartition("_")
            keys = [(image_id, CHEXLOCALIZE_NAMES.get(task, task))]
        for image_id, name in keys:
            first = files.setdefault(image_id, {}).setdefault(name, file)
            if first != file:
                raise InputError(f"path: {path}: {first} and {file} are of one image and class")
    if len(covers) > 1:
        raise InputError(f"path: {path} holds shards of several methods; give one method's folder")
    return Folder(kinds[0], files, *covers)


def _pickle(path: Path) -> Map:
    content = load(path)
    if not isinstance(content, dict) or "map" not in content:
        raise InputError(f"{path}: has no 'map'; CheXlocalize's pickles are dictionaries with one")
    return Map(_heatmap(plain(content["map"]), path), _probability(content, path))


def _probability(content: dict[Any, Any], path: Path) -> float:
    """`prob`, or its element that `task` names where it is of all 14 classes."""
    given = plain(content.get("prob", float("nan")))
    task = content.get("task")
    try:
        values = np.asarray(given, np.float64).ravel()
        if len(values) == len(TASKS):
            values = values[[TASKS.index(CHEXLOCALIZE_NAMES.get(str(task), str(task)))]]
        (value,) = values.tolist()
    except (TypeError, ValueError):
        raise InputError(f"{path}: 'prob' is neither a number nor one for each of 14") from None
    if value < 0 or value > 1:
        raise InputError(f"{path}: 'prob' is {value:g}; a probability is between 0 and 1")
    return float(value)


def _npy(path: Path) -> Map:
    try:
        return Map(_heatmap(np.load(path, allow_pickle=False), path))
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from None


def _archive(path: Path) -> dict[str, Map]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {
                CHEXLOCALIZE_NAMES.get(name, name): Map(_heatmap(archive[name], path))
                for name in archive.files
            }
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None


def _png(path: Path) -> Map:
    try:
        with Image.open(path) as image:
            if image.mode not in GREY:
                raise InputError(f"{path}: a PNG of mode {image.mode}; a heatmap's is grey")
            return Map(_heatmap(np.asarray(image), path))
    except UNREADABLE as error:
        raise _unreadable(path, error) from None


def _shard(path: Path) -> Iterator[tuple[str, str, Map]]:
    """The maps of a shard, those that there are: image_id, class, map."""
    shard = read_heatmaps(path)
    if isinstance(shard.heatmap, RunLengths):
        raise InputError(f"{path}: holds segmentations; give their JSON to method `segmentations`")
    for row, column in np.argwhere(shard.explained).tolist():
        probability = np.nan if shard.probability is None else shard.probability[row, column]
        one = Map(shard.heatmap[row, column], float(probability))
        yield shard.image_id[row], shard.classes[column], one


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, InputError):
        return error
    return InputError(f"{path}: not a readable heatmap ({error}); remove it or write it again")


def _heatmap(values: Any, path: Path) -> NDArray[np.float32]:
    """A map (h, w) from numbers of that shape, or of (1, 1, h, w) or (1, h, w)."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        raise InputError(f"{path}: its map is not an array of numbers")
    shape = values.shape
    if len(shape) not in (2, 3, 4) or 0 in shape or any(side != 1 for side in shape[:-2]):
        raise InputError(f"{path}: its map is of shape {shape}; allowed are (h, w), (1, 1, h, w)")
    heatmap = values.reshape(shape[-2:]).astype(np.float32)
    if not np.isfinite(heatmap).all():
        raise InputError(f"{path}: its map is not finite")
    return heatmap
