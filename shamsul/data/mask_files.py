"""Masks in the form of CheXlocalize's JSON files: run lengths and polygons by image and class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shamsul.data.masks import encode, from_polygons
from shamsul.errors import InputError
from shamsul.labels import CHEXLOCALIZE_NAMES

MASK_ROW = ["class", "height", "width", "counts", "instances"]
"""Columns of a mask row that come from the file; the image's name is the entry's key."""
LARGEST_SIDE = 16384
"""Longest side of a mask in pixels; a longer one means a damaged or hostile file."""


def read_json(path: Path) -> dict[str, Any]:
    """Read the object that a JSON file holds; anything else in it is an InputError."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected one object with an entry per image")
    return content


def _size(sides: Any) -> tuple[int, int]:
    """Return height and width of a mask; a ValueError where drawing it would fill the memory."""
    height, width = (int(side) for side in sides)
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        raise ValueError(f"{height} x {width} pixels are no radiograph's size")
    return height, width


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
            height, width = _size(mask["size"])
            rows.append(_row(name, height, width, str(mask["counts"]), 0))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{place}: not a COCO run-length mask ({error!r})") from None
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
        height, width = _size(entry["img_size"])
        for name, polygons in entry.items():
            if name != "img_size":
                counts = encode(from_polygons(polygons, height, width))
                rows.append(_row(name, height, width, counts, len(polygons)))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{place}: not a polygon annotation ({error!r})") from None
    return rows
