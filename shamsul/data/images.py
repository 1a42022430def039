"""Radiographs from their files, and image shards made of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shamsul.errors import InputError
from shamsul.geometry import Frame, Geometry, Resampling, to_model
from shamsul.job.progress import track
from shamsul.size import Size, pair
from shamsul.storage.images import Images

if TYPE_CHECKING:
    import pandas as pd

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""Errors that Pillow raises on files that are truncated, hostile or no images."""

FORMATS = ("PNG", "JPEG")
"""Pillow's names of the formats that are read. It knows others, some of which start programs."""


def load(path: Path) -> NDArray[np.uint8]:
    """Read a radiograph as 8-bit grey values.

    PNG or JPEG. 16-bit files are scaled by 1/257, colour is turned to luminance, transparency is
    dropped.

    Returns
    -------
    (height, width) uint8.

    Raises
    ------
    InputError
        The file is missing, truncated or neither PNG nor JPEG.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.mode.startswith("I"):
                wide = np.asarray(image, np.int64)
                return (np.clip(wide, 0, 65535) / 257 + 0.5).astype(np.uint8)
            if image.mode in ("RGBA", "LA", "P"):
                return np.asarray(image.convert("RGBA").convert("L"))
            return np.asarray(image.convert("L"))
    except UNREADABLE as error:
        raise InputError(
            f"{path}: not a readable image ({error}); replace it, or add it to data.exclude"
        ) from None


def shard(
    manifest: pd.DataFrame,
    roots: dict[str, Path],
    size: int | Size,
    geometry: Geometry,
    resampling: Resampling = "bilinear",
    threads: int = 1,
) -> Images:
    """Bring the images of a manifest to the model's frame.

    Parameters
    ----------
    manifest : rows of the shard; the result is in their order.
    roots : folder of each source by its name.
    size : height and width of the model's frame in pixels, or the side of a square one.
    geometry : way to fit a radiograph to it.
    resampling : filter by which it is resized.
    threads : images read at once.
    """

    def one(row: tuple[str, str, int, int]) -> tuple[NDArray[np.uint8], Frame]:
        source, path, height, width = row
        image = load(roots[source] / path)
        if image.shape != (height, width):
            raise InputError(
                f"{roots[source] / path}: is {image.shape[0]} x {image.shape[1]} pixels, was "
                f"{height} x {width} when the manifest was made; run with --forcerun manifest"
            )
        frame = Frame.fit(height, width, size, geometry)
        return to_model(image, frame, resampling), frame

    rows = list(manifest[["source", "path", "height", "width"]].itertuples(index=False, name=None))
    images = np.zeros((len(rows), *pair(size)), np.uint8)
    frames = []
    with ThreadPoolExecutor(threads) as pool:
        for index, (image, frame) in enumerate(
            track(pool.map(one, rows), "images resized", len(rows))
        ):
            images[index] = image
            frames.append(frame)
    return Images(images, list(manifest["image_id"]), frames)
