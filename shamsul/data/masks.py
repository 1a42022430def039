"""Expert masks: COCO run lengths, and the polygons and boxes that they are drawn from.

A mask row is a mapping with the columns `MASK_COLUMNS`; `counts` is the compressed run-length
string of the COCO API (Lin et al., ECCV 2014), down the columns of an image of `height` x `width`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from pycocotools import mask as coco

from shamsul.errors import InputError

MASK_COLUMNS = ["image_id", "class", "annotator", "kind", "height", "width", "counts", "instances"]
"""Columns of the masks table.

kind : `segmentation` (an outline), `box` (drawn from bounding boxes) or `evidence` (the pixels that
    change when a phantom's finding alone is left out).
instances : number of polygons or boxes that were drawn, also where they overlap; 0 where unknown.
"""

_NUMBERS = re.compile(r"(?:[P-o]{0,6}[0-O])+")
"""Pattern of whole compressed numbers: five bits a character, all but the last marked `P-o`."""

Row = Mapping[Any, Any]


def encode(mask: NDArray[Any]) -> str:
    """Return the compressed run lengths of a mask.

    Parameters
    ----------
    mask : (height, width), nonzero where the finding is.
    """
    return coco.encode(np.asfortranarray(mask != 0).view(np.uint8))["counts"].decode("ascii")


def decode(row: Row) -> NDArray[np.bool_]:
    """Return the (height, width) mask of a row.

    Raises
    ------
    InputError
        The run lengths are malformed or not of that height and width: names image and class.
    """
    lengths = run_lengths(row)
    pixels = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return np.ascontiguousarray(pixels.reshape(int(row["width"]), int(row["height"])).T)


def area(row: Row) -> int:
    """Return the number of pixels in the mask of a row; raises as `decode` does."""
    return int(run_lengths(row)[1::2].sum())


def unite(rows: Iterable[Row]) -> dict[str, Any]:
    """Return the first of `rows` with the union of all their masks.

    Raises
    ------
    InputError
        A mask is malformed, or two of them have different sizes: names image and class.
    """
    rows = list(rows)
    sizes = sorted({(int(row["height"]), int(row["width"])) for row in rows})
    if len(sizes) > 1:
        found = " and ".join(f"{height} x {width}" for height, width in sizes)
        raise InputError(f"{_place(rows[0])}: masks of the same image have sizes {found}")
    if len(rows) == 1:
        return dict(rows[0])
    return {**rows[0], "counts": encode(np.logical_or.reduce([decode(row) for row in rows]))}


def by_image(masks: Iterable[Row]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return a mask for each (image_id, class, kind): of several annotators the first by name.

    Annotators are never united here. Who wants their union or majority has it made where the files
    are read (`readers` of an entry of masks).

    Raises
    ------
    InputError
        An annotator has two masks of one size and another: as `unite`.
    """
    groups: dict[tuple[str, str, str], dict[str, list[Row]]] = {}
    for row in masks:
        key = (row["image_id"], row["class"], row["kind"])
        groups.setdefault(key, {}).setdefault(str(row.get("annotator", "")), []).append(row)
    return {key: unite(groups[key][min(groups[key])]) for key in sorted(groups)}


def from_polygons(
    polygons: Iterable[Sequence[Sequence[float]]], height: int, width: int
) -> NDArray[np.bool_]:
    """Draw polygons as CheXlocalize draws its annotations: filled, outline included, united.

    Parameters
    ----------
    polygons : each a sequence of at least two (x, y) vertices in pixels.
    height, width : height and width of the radiograph in pixels.

    Returns
    -------
    (height, width) bool.

    Raises
    ------
    ValueError
        A polygon has fewer than two vertices, or a vertex is not two finite numbers.
    """
    image = Image.new("1", (width, height))
    draw = ImageDraw.Draw(image)
    for polygon in polygons:
        vertices = np.asarray(polygon, dtype=float)
        if vertices.ndim != 2 or vertices.shape[0] < 2 or vertices.shape[1] != 2:
            raise ValueError("a polygon needs at least two vertices of two coordinates each")
        if not np.isfinite(vertices).all():
            raise ValueError("a polygon's vertex is not finite")
        draw.polygon([(x, y) for x, y in vertices.tolist()], outline=1, fill=1)
    return np.asarray(image).copy()


def from_boxes(boxes: ArrayLike, height: int, width: int) -> NDArray[np.bool_]:
    """Draw boxes: the pixels whose centres lie in any of them.

    Parameters
    ----------
    boxes : (N, 4) of x, y, width, height in pixels of the radiograph; pixel ``i`` covers
        ``[i, i + 1)``. What lies beyond the radiograph is cut off.
    height, width : height and width of the radiograph in pixels.

    Returns
    -------
    (height, width) bool.

    Raises
    ------
    ValueError
        A number is not finite, or a width or height is not positive.
    """
    rows = np.asarray(boxes, dtype=float).reshape(-1, 4)
    if not np.isfinite(rows).all() or (rows[:, 2:] <= 0).any():
        raise ValueError("a box needs a finite position and a positive width and height")
    mask = np.zeros((height, width), bool)
    starts = np.ceil(rows[:, :2] - 0.5)
    ends = np.ceil(rows[:, :2] + rows[:, 2:] - 0.5)
    for (left, top), (right, bottom) in zip(
        np.clip(starts, 0, [width, height]).astype(int).tolist(),
        np.clip(ends, 0, [width, height]).astype(int).tolist(),
        strict=True,
    ):
        mask[top:bottom, left:right] = True
    return mask


def run_lengths(row: Row) -> NDArray[np.int64]:
    """Return the lengths of the runs, background first, once it is sure that they fill the image.

    Read here because pycocotools reads past the end of an unfinished number, and leaves the rest
    of a mask that is too short uninitialised.
    """
    counts, height, width = str(row["counts"]), int(row["height"]), int(row["width"])
    if not _NUMBERS.fullmatch(counts):
        raise InputError(f"{_place(row)}: not a compressed COCO run-length string")
    codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    last = codes < 32
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    digits = np.diff(np.append(starts, len(codes)))
    place = 5 * (np.arange(len(codes)) - np.repeat(starts, digits))
    lengths = np.add.reduceat((codes & 31) << place, starts)
    lengths -= np.where(codes[last] & 16, 1 << (5 * digits), 0)
    # From the fourth on, a number is the difference to the last but one: two running sums.
    lengths[1::2] = np.cumsum(lengths[1::2])
    lengths[2::2] = np.cumsum(lengths[2::2])
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise InputError(f"{_place(row)}: run lengths do not fill {height} x {width} pixels")
    return lengths


def _place(row: Row) -> str:
    if "image_id" not in row:
        return "mask"
    return f"mask of image {row.get('image_id')!r}, class {row.get('class')!r}"
