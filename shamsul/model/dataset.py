"""Radiographs and labels of one split, gathered from its shards."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.errors import InputError
from shamsul.size import Size, pair, told
from shamsul.storage.images import image_ids
from shamsul.storage.tables import read_table

IN_MEMORY = 4 * 2**30
"""Bytes of pixels up to which a split is held in memory; a larger one is read as it is needed."""


class Pixels(Protocol):
    """An array (N, H, W) uint8, or what reads asked rows of one from files."""

    def __getitem__(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return (n, H, W) uint8 for (n,) rows, in their order."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Radiographs with labels, ordered by image_id whatever shards they came from.

    Attributes
    ----------
    pixels : grey values (N, H, W) uint8.
    labels : labels (N, C) float32: 1, 0, -1 uncertain, NaN not mentioned.
    image_id : names of the N images.
    """

    pixels: Pixels
    labels: NDArray[np.float32]
    image_id: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.image_id)

    def digest(self) -> str:
        """Return the SHA-256 of names, labels and pixels."""
        digest = hashlib.sha256(repr(self.image_id).encode())
        digest.update(np.ascontiguousarray(self.labels).tobytes())
        for start in range(0, len(self), 256):
            rows = np.arange(start, min(start + 256, len(self)))
            digest.update(np.ascontiguousarray(self.pixels[rows]).tobytes())
        return digest.hexdigest()


def read(
    images: Sequence[str | Path],
    manifests: Sequence[str | Path],
    classes: Sequence[str],
    size: int | Size,
    in_memory: int = IN_MEMORY,
) -> Dataset:
    """Read the data set of some shards, which may be empty.

    Parameters
    ----------
    images : image shards (`shamsul.storage.images`).
    manifests : their manifests, in the same order and with the same rows.
    classes : columns of labels.
    size : height and width in pixels, or the side of a square.
    in_memory : bytes of pixels above which they stay on disk.

    Raises
    ------
    InputError
        A shard is unreadable, of another size, or its manifest lists other images or lacks a
        class.
    """
    if len(images) != len(manifests):
        raise InputError(f"{len(images)} image shards, but {len(manifests)} manifests")
    height, width = pair(size)
    shards = _Shards([Path(path) for path in images], (height, width))
    tables = [read_table(path) for path in manifests]
    for path, table, names in zip(manifests, tables, shards.names, strict=True):
        for name in classes:
            if name not in table:
                raise InputError(f"{path}: has no column {name!r}; make the manifest again")
        if list(table["image_id"]) != names:
            raise InputError(f"{path}: lists other images than its shard; run prepare again")
    image_id = np.array([name for shard in shards.names for name in shard], dtype=object)
    order = np.argsort(image_id, kind="stable")
    shards.order = order.astype(np.intp)
    labels = pd.concat([t[list(classes)].astype("float32") for t in tables]) if tables else None
    return Dataset(
        shards[np.arange(len(order))] if len(order) * height * width <= in_memory else shards,
        np.empty((0, len(classes)), np.float32) if labels is None else labels.to_numpy()[order],
        tuple(image_id[order]),
    )


class _Shards:
    """The pixels of shards, which stay in their files until they are asked for."""

    def __init__(self, paths: list[Path], size: Size) -> None:
        self.paths, self.size = paths, size
        self.names: list[list[str]] = []
        for path in paths:
            names, shape = image_ids(path)
            if names and shape != size:
                raise InputError(
                    f"{path}: its images are of {told(shape)} pixels, not {told(size)} "
                    "(data.size); delete it and run again"
                )
            self.names.append(names)
        self.starts = np.cumsum([0, *(len(names) for names in self.names)])
        self.order = np.arange(self.starts[-1])

    def __getitem__(self, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Read rows; HDF5 wants them in ascending order within a file."""
        pixels = np.empty((len(rows), *self.size), np.uint8)
        place = self.order[rows]
        shard = np.searchsorted(self.starts, place, side="right") - 1
        for number in np.unique(shard):
            at = np.flatnonzero(shard == number)
            wanted, back = np.unique(place[at] - self.starts[number], return_inverse=True)
            first, last = wanted[0], wanted[-1] + 1
            with h5py.File(self.paths[number], "r", locking=False) as file:
                if last - first <= 2 * len(wanted):  # one block is read faster than its rows
                    pixels[at] = file["image"][first:last][wanted - first][back]
                else:
                    pixels[at] = file["image"][wanted][back]
        return pixels
