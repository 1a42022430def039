"""Masks in the form of CheXlocalize's JSON files: run lengths and polygons by image and class."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shamsul.data.annotations.json_files import read_object, said, size_of
from shamsul.data.annotations.runs import uncompressed
from shamsul.data.masks import encode, from_polygons
from shamsul.data.matching import Names
from shamsul.errors import InputError
from shamsul.labels import CHEXLOCALIZE_NAMES

MASK_ROW = ["class", "height", "width", "counts", "instances"]
"""Columns of a mask row that come from the file; the image's name is the entry's key."""
OUTSIDE = 0.02
"""Share of a side by which a polygon's vertices may lie outside the image."""

logger = logging.getLogger(__name__)


def read_json(path: Path) -> dict[str, Any]:
    """Read the object that a JSON file holds; a key that is there twice is an InputError."""
    return read_object(path)


def tell_strangers(file: Path, content: Mapping[str, Any], wanted: set[str], source: str) -> None:
    """Tell the images of a file of masks that are none of a source's.

    Raises
    ------
    InputError
        None of them is.
    """
    others = sorted(set(content) - wanted)
    if not others:
        return
    near = Names(sorted(wanted)).near(others[0])
    if len(others) == len(content):
        raise InputError(
            f"{file}: none of its {len(content)} images, such as {next(iter(content))!r}, is among "
            f"the {len(wanted)} of source {source}{near}"
        )
    logger.warning(
        "%s: %d of its %d images are not used by source %s, and their masks are left out, such as "
        "%r%s",
        file, len(others), len(content), source, others[0], near,
    )  # fmt: skip


def tell_lines(file: Path, content: Mapping[str, Any], wanted: set[str]) -> None:
    """Log the polygons of two vertices, which mark a line of pixels and no area."""
    lines = [
        (image_id, name)
        for image_id in sorted(wanted & set(content))
        if isinstance(content[image_id], dict)
        for name, polygons in content[image_id].items()
        if name != "img_size" and isinstance(polygons, list)
        for polygon in polygons
        if isinstance(polygon, list) and len(polygon) == 2
    ]
    if lines:
        image_id, name = lines[0]
        logger.warning(
            "%s: %d polygons have two vertices and mark a line, first %r of %s",
            file, len(lines), name, image_id,
        )  # fmt: skip


def _row(name: str, height: int, width: int, counts: str, instances: int) -> dict[str, Any]:
    """Return one mask, under CheXpert's name for its class."""
    values = (CHEXLOCALIZE_NAMES.get(name, name), height, width, counts, instances)
    return dict(zip(MASK_ROW, values, strict=True))


def read_run_lengths(entry: Any, place: str) -> list[dict[str, Any]]:
    """Read the mask rows of one image in CheXlocalize's form.

    Parameters
    ----------
    entry : {class: {"size": [height, width], "counts": compressed COCO run lengths}}.
    place : file and image, for the message.

    Returns
    -------
    One row of `MASK_ROW` for each class; its run lengths are not decoded, so not checked. The
    number of instances is 0, which is unknown.

    Raises
    ------
    InputError
        The entry has another form.
    """
    rows = []
    try:
        for name, mask in entry.items():
            height, width = size_of(mask["size"])
            counts = mask["counts"]
            if isinstance(counts, list):  # COCO's uncompressed form.
                counts = encode(uncompressed(counts, height, width))
            rows.append(_row(name, height, width, str(counts), 0))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{place}: not a COCO run-length mask ({said(error)})") from None
    return rows


def read_polygons(entry: Any, place: str) -> list[dict[str, Any]]:
    """Read the mask rows of one image in the form of CheXlocalize's annotations.

    Parameters
    ----------
    entry : {"img_size": [height, width], class: polygons of (x, y) vertices in pixels}.
    place : file and image, for the message.

    Returns
    -------
    One row of `MASK_ROW` for each class, the polygons drawn and counted.

    Raises
    ------
    InputError
        The entry has another form.
    """
    rows = []
    try:
        height, width = size_of(entry["img_size"])
        for name, polygons in entry.items():
            if name != "img_size":
                _check_vertices(name, polygons, height, width)
                counts = encode(from_polygons(polygons, height, width))
                rows.append(_row(name, height, width, counts, len(polygons)))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{place}: not a polygon annotation ({said(error)})") from None
    return rows


def _check_vertices(name: str, polygons: Any, height: int, width: int) -> None:
    """Raise a ValueError where polygons cannot be outlines in an image of that size."""
    for polygon in polygons:
        vertices = np.asarray(polygon, float)
        if vertices.ndim != 2 or vertices.shape[1] != 2:
            raise ValueError(f"{name}: a polygon is a list of vertices, each [x, y]")
        x, y = vertices.T
        if min(height, width) > 8 and max(np.abs(x).max(), np.abs(y).max()) <= 1:
            raise ValueError(
                f"{name}: all vertices are from 0 to 1, as shares of the sides; write pixels"
            )
        slack = OUTSIDE * max(height, width)
        inside = (x > -slack) & (x < width + slack) & (y > -slack) & (y < height + slack)
        if not inside.all():
            at = int(np.argmin(inside))
            raise ValueError(
                f"{name}: vertex ({x[at]:g}, {y[at]:g}) lies outside the image of {height} x "
                f"{width} pixels; is img_size [height, width], and a vertex (x, y)?"
            )
