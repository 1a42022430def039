"""Heatmaps in files: CheXlocalize's pickles, NumPy's arrays and archives, and PNG images.

Files are from elsewhere, and may be damaged or made to do harm. The size in a header is checked
before memory is taken for the map.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray
from PIL import Image

from shamsul.errors import InputError
from shamsul.explain.external.unpickle import LARGEST_ARRAY, load, plain
from shamsul.geometry import Frame
from shamsul.labels import CHEXLOCALIZE_NAMES

TASKS = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Lesion", "Lung Opacity",
    "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
"""Classes in CheXlocalize's order, not CheXpert's, where a pickle has all 14 probabilities."""
GREY = ("1", "L", "I", "I;16", "I;16B", "I;16L")
"""Pillow's modes of one channel."""
HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}
"""Readers of array headers, by version of the format; these versions hold arrays of numbers."""
FAULTS = (
    OSError, ValueError, SyntaxError, Image.DecompressionBombError, EOFError, LookupError,
    TypeError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, tokenize.TokenError,
)  # fmt: skip
"""Exceptions that the readers raise on files that are truncated, damaged or hostile."""


@dataclass(frozen=True)
class Map:
    """A heatmap from a file.

    Attributes
    ----------
    heatmap : (h, w) float32.
    probability : probability of its class, in [0, 1]; NaN where the file does not say.
    frame : place of the radiograph in its model's input; None where the file does not say.
    """

    heatmap: NDArray[np.float32]
    probability: float = float("nan")
    frame: Frame | None = None


def from_pickle(path: Path) -> Map:
    """Read the map of a CheXlocalize pickle, and its probability.

    Raises
    ------
    InputError
        As the others of this module: names the file and what is wrong with it.
    """
    content = load(path)
    if not isinstance(content, dict) or "map" not in content:
        raise InputError(f"{path}: has no 'map'; CheXlocalize's pickles are dictionaries with one")
    return Map(_heatmap(plain(content["map"]), path), _probability(content, path))


def _probability(content: dict[Any, Any], path: Path) -> float:
    """Return `prob`, or its element that `task` names where it is of all 14 classes."""
    values = plain(content.get("prob", float("nan")))
    if isinstance(values, np.ndarray) and values.size <= len(TASKS) and values.dtype.kind in "fiu":
        values = values.ravel().tolist()
    if not isinstance(values, list | tuple):
        values = [values]
    task = content.get("task")
    if len(values) == len(TASKS) and isinstance(task, str):
        name = CHEXLOCALIZE_NAMES.get(task, task)
        values = [values[TASKS.index(name)]] if name in TASKS else values
    if len(values) != 1 or type(values[0]) not in (float, int):
        raise InputError(f"{path}: 'prob' is neither a number nor one for each of 14")
    if values[0] < 0 or values[0] > 1:
        raise InputError(f"{path}: 'prob' is no probability, which is between 0 and 1")
    return float(values[0])


def from_npy(path: Path) -> Map:
    """Read the map of a `.npy` file."""
    with _readable(path), path.open("rb") as file:
        return Map(_heatmap(_array(file), path))


def from_archive(path: Path, classes: tuple[str, ...]) -> Iterator[tuple[str, Map]]:
    """Read the maps of some classes from an `.npz` file, one after the other: class, map."""
    found = set()
    with _readable(path), zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            name = CHEXLOCALIZE_NAMES.get(name, name)
            if name not in classes:
                continue
            if name in found:
                raise InputError(f"{path}: has two maps of class {name}; keep one")
            found.add(name)
            with archive.open(entry) as file:
                values = _array(file)
            yield name, Map(_heatmap(values, path))


def from_png(path: Path) -> Map:
    """Read the map of a grey PNG image: as bright as relevance is high."""
    with _readable(path), Image.open(path, formats=["PNG"]) as image:
        if image.mode not in GREY:
            raise InputError(f"{path}: a PNG of mode {image.mode}; a heatmap's is grey")
        _check_size(image.size)
        return Map(_heatmap(np.asarray(image), path))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what readers raise into an InputError of one line."""
    try:
        yield
    except InputError:
        raise
    except FAULTS as error:
        told = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"{path}: not a readable heatmap ({told}); remove it or write it again"
        ) from None


def _array(file: IO[bytes]) -> NDArray[Any]:
    """Read an array as NumPy writes it, of numbers alone and no larger than its header allows."""
    version = npy_format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"of version {version[0]}.{version[1]}, which no array of numbers needs")
    shape, fortran, dtype = HEADERS[version](file)
    if dtype.kind not in "fiub":
        raise ValueError("its map is not an array of numbers")
    _check_size(shape)
    content = file.read(math.prod(shape) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _check_size(shape: tuple[int, ...]) -> None:
    if math.prod(shape) > LARGEST_ARRAY:
        raise ValueError(f"{' x '.join(map(str, shape))} is larger than any heatmap")


def _heatmap(values: Any, path: Path) -> NDArray[np.float32]:
    """Return a map (h, w) from numbers of that shape, or of (1, 1, h, w) or (1, h, w)."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        raise InputError(f"{path}: its map is not an array of numbers")
    shape = values.shape
    if len(shape) not in (2, 3, 4) or 0 in shape or any(side != 1 for side in shape[:-2]):
        raise InputError(f"{path}: its map is of shape {shape}; allowed are (h, w), (1, 1, h, w)")
    heatmap = values.reshape(shape[-2:]).astype(np.float32)
    if not np.isfinite(heatmap).all():
        raise InputError(f"{path}: its map is not finite")
    return heatmap
