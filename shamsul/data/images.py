"""Image shards, made of the radiographs' files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shamsul.data.reading.files import content, decode
from shamsul.data.reading.picture import UnreadableError
from shamsul.errors import InputError
from shamsul.geometry import Frame, Geometry, Resampling, to_model
from shamsul.job.progress import track
from shamsul.size import Size, pair
from shamsul.storage.images import Images


def shard(
    manifest: Sequence[Mapping[str, Any]],
    roots: Mapping[str, Path],
    size: int | Size,
    geometry: Geometry,
    resampling: Resampling = "bilinear",
    threads: int = 1,
) -> Images:
    """Bring the images of a manifest to the model's frame.

    Parameters
    ----------
    manifest : rows of the shard, with the columns `shamsul.data.manifest.FILE_COLUMNS`; the result
        is in their order.
    roots : folder of each source by its name.
    size : height and width of the model's frame in pixels, or the side of a square one.
    geometry : way to fit a radiograph to it.
    resampling : filter by which it is resized.
    threads : images read at once.

    Raises
    ------
    InputError
        A file is no longer the one that the manifest was made of.
    """

    def one(row: Mapping[str, Any]) -> tuple[NDArray[np.uint8], Frame]:
        image = _unchanged(roots[row["source"]] / row["path"], row["sha256"], row["depth"])
        height, width = image.shape
        frame = Frame.fit(height, width, size, geometry)
        return to_model(image, frame, resampling), frame

    images = np.zeros((len(manifest), *pair(size)), np.uint8)
    frames = []
    with ThreadPoolExecutor(threads) as pool:
        resized = track(pool.map(one, manifest), "images resized", len(manifest))
        for index, (image, frame) in enumerate(resized):
            images[index] = image
            frames.append(frame)
    return Images(images, [row["image_id"] for row in manifest], frames)


def _unchanged(path: Path, sha256: str, depth: int) -> NDArray[np.uint8]:
    """Read a radiograph whose file is to be as the manifest has it."""
    try:
        data = content(path)
        changed = hashlib.sha256(data).hexdigest() != sha256
        if not changed:
            return decode(data).full_range(depth)
        told = "was replaced after the manifest was made"
    except UnreadableError as error:
        told = f"{error}, and could be read when the manifest was made"
    raise InputError(f"{path}: {told}; run again, and it is looked at anew")
