"""Dense heatmaps in a shard: by codes where these save space, and else exactly.

Datasets, of which the last two are there where they have anything in them:

- `fine` (N, C) float32, the factor by which the codes of a map are finer; 0 where it is stored
  exactly.
- `error` (N, C) float32, see `shamsul.storage.heatmaps.Heatmaps`.
- `knots` (N, C, J) float32, from which the values of codes follow (`shamsul.storage.codes`).
- `exact` (M, h, w) float32, the maps that are stored exactly, in their order.
- `codes` (N, C, h, w) uint16.

Both are compressed with Zstandard after their bytes are sorted by significance. On maps of
relevance propagation that leaves less than sorting bits does, and takes no longer to read.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from shamsul.storage import shards
from shamsul.storage.codes import COARSEST, FINEST, MOVED, SHARES, decode, encode, is_exact, moved

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

PACKED: dict[str, Any] = {"shuffle": True, **hdf5plugin.Zstd(clevel=3)}
"""Filters of what is compressed. The result does not depend on threads, of which there is one."""
LARGEST_SIDE = 2**14
"""Largest side of a stored map in cells; a file with more is damaged or hostile."""
CHUNK = 2**16
"""Number of cells up to which small maps share a chunk."""


def write_maps(file: h5py.File, heatmap: ArrayLike) -> None:
    """Write maps (N, C, h, w), finite, as the last datasets of a shard."""
    maps = np.asarray(heatmap)
    count, classes, *cells = maps.shape
    fine = np.zeros((count, classes), np.float32)
    error = np.zeros((count, classes), np.float32)
    knots = np.zeros((count, classes, len(SHARES)), np.float32)
    codes: dict[int, NDArray[np.uint16]] = {}
    for at in np.ndindex(count, classes):
        one = maps[at].astype(np.float32, copy=False)
        if is_exact(one):
            continue
        code, knot, factor = encode(one)
        stored = decode(code, knot, factor)
        if moved(one, stored) <= MOVED:
            fine[at], knots[at] = factor, knot
            error[at] = np.abs(stored - one).max() / knot[-1]
            codes.setdefault(at[0], np.zeros((classes, *cells), np.uint16))[at[1]] = code
    file.attrs["cells"] = cells
    file.create_dataset("fine", data=fine)
    file.create_dataset("error", data=error)
    file.create_dataset("knots", data=knots)
    file.flush()  # What is compressed lies behind, in one piece.
    _write_exact(file, maps, np.argwhere(fine == 0))
    file.flush()
    if codes:
        shape = (1, classes, *cells)
        made = file.create_dataset("codes", maps.shape, np.uint16, chunks=shape, **PACKED)
        for row in range(count):
            made[row] = codes.pop(row) if row in codes else 0


def _write_exact(file: h5py.File, maps: NDArray[np.floating], exact: NDArray[np.intp]) -> None:
    cells = maps.shape[2:]
    if not len(exact) or not all(cells):
        return
    together = int(np.clip(CHUNK // (cells[0] * cells[1]), 1, len(exact)))
    made = file.create_dataset(
        "exact", (len(exact), *cells), np.float32, chunks=(together, *cells), **PACKED
    )
    for start in range(0, len(exact), together):
        made[start : start + together] = maps[tuple(exact[start : start + together].T)]


class StoredMaps:
    """Dense heatmaps (N, C, h, w) that stay in their file; an image's are read when asked for.

    Attributes
    ----------
    shape : N, C, h, w.
    error : (N, C), see `shamsul.storage.heatmaps.Heatmaps`.
    """

    def __init__(self, file: h5py.File, path: str | Path, count: int, classes: int) -> None:
        height, width = (int(side) for side in file.attrs["cells"])
        if not 0 <= min(height, width) <= max(height, width) <= LARGEST_SIDE:
            raise ValueError(f"its maps are of {height} x {width} cells")
        self.shape = (count, classes, height, width)
        self.error = shards.finite(file, "error", count, classes)
        self._path = path
        self._fine = shards.finite(file, "fine", count, classes)
        self._knots = shards.finite(file, "knots", count, classes, len(SHARES))
        if (np.diff(self._knots, axis=2) < 0).any() or (self._knots < 0).any():
            raise ValueError("knots are not sizes that do not fall")
        exact = self._fine == 0
        if not ((self._fine >= COARSEST) & (self._fine <= FINEST) | exact).all():
            raise ValueError("fine is not a factor of codes")
        self._place = np.cumsum(exact).reshape(exact.shape) - 1
        self._exact = self._codes = None
        if exact.any() and height and width:
            number = int(exact.sum())
            self._exact = shards.packed(file, "exact", "f", number, height, width)
        if not exact.all():
            self._codes = shards.packed(file, "codes", "u", *self.shape)

    def __getitem__(self, at: tuple[int, int]) -> NDArray[np.float32]:
        """Return the map (h, w) of one row and column."""
        row, column = at
        return _image(self, row)[column]

    def image(self, row: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return the maps (C, h, w) of one image, written to `out` where that is given.

        Raises
        ------
        InputError
            They are damaged, or not finite.
        """
        maps = np.empty(self.shape[1:], np.float32) if out is None else out
        with shards.told(self._path):
            exact = np.flatnonzero(self._fine[row] == 0)
            if self._exact is not None and len(exact):
                first = self._place[row, exact[0]]
                maps[exact] = self._exact[first : first + len(exact)]
                if not np.isfinite(maps[exact]).all():
                    raise ValueError(f"relevance is not finite, in row {row}")
            if self._codes is not None and len(exact) < len(maps):
                codes = self._codes[row]
                for column in np.flatnonzero(self._fine[row]):
                    factor = float(self._fine[row, column])
                    decode(codes[column], self._knots[row, column], factor, maps[column])
        return maps

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.floating]:
        """Return all maps, as numpy asks for them."""
        return self.all() if dtype is None else self.all().astype(dtype)

    def all(self) -> NDArray[np.float32]:
        """Return all maps (N, C, h, w); errors are those of `image`."""
        maps = np.empty(self.shape, np.float32)
        for row in range(len(maps)):
            self.image(row, maps[row])
        return maps


@functools.lru_cache(1)
def _image(maps: StoredMaps, row: int) -> NDArray[np.float32]:
    """Return the maps of one image; of all files that are open, those of the last are kept."""
    return maps.image(row)
