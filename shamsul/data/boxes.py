"""Boxes and run lengths of published tables, drawn as masks without drawing their pixels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco

from shamsul import lazy
from shamsul.data.masks import MASK_COLUMNS
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

BOX = ["x", "y", "width", "height"]
"""Columns of a box: left, top, width and height."""
BOX_COLUMNS = ["image_id", "class", "annotator", *BOX, "frame_height", "frame_width", "line"]
"""Columns of a table of boxes.

frame_height, frame_width : sides of the frame that the box is in; missing where that is the
    image's own. line : line of the file that the box is from, 0 where it has no lines.
"""
TOLERANCE = 1.0
"""Distance in pixels of the frame by which a box may leave it: tables round."""
MANY_OUTSIDE = 0.05
"""Fraction of boxes outside their images from which the frame is wrong, and not single boxes."""


def box_counts(boxes: ArrayLike, height: int, width: int) -> str | None:
    """Return the compressed run lengths of the union of boxes.

    The pixels are those of `shamsul.data.masks.from_boxes`, at a hundredth of the time.

    Parameters
    ----------
    boxes : (N, 4) of x, y, width, height in pixels of the radiograph.
    height, width : height and width of the radiograph in pixels.

    Returns
    -------
    The string of the COCO API, or None where the boxes cover no pixel's centre.
    """
    rows = np.asarray(boxes, float).reshape(-1, 4)
    starts = np.clip(np.ceil(rows[:, :2] - 0.5), 0, [width, height])
    ends = np.clip(np.ceil(rows[:, :2] + rows[:, 2:] - 0.5), 0, [width, height])
    drawn = np.concatenate([starts, ends - starts], axis=1)
    drawn = drawn[(drawn[:, 2:] > 0).all(axis=1)]
    if not len(drawn):
        return None
    return coco.merge(coco.frPyObjects(drawn, height, width))["counts"].decode("ascii")


def relative_counts(text: str, height: int, width: int) -> str:
    """Return the compressed run lengths of a mask given as gaps and lengths.

    Parameters
    ----------
    text : `gap length gap length ...` down the columns: each gap is counted from the end of the
        run before.
    height, width : height and width of the mask in pixels.

    Raises
    ------
    ValueError
        The numbers are not pairs of whole numbers that fit into the mask.
    """
    numbers = [int(number) for number in text.split()]
    rest = height * width - sum(numbers)
    if len(numbers) % 2 or not numbers or min(numbers) < 0 or rest < 0:
        raise ValueError(f"not pairs of gap and length that fit {height} x {width} pixels")
    counts = {"counts": [*numbers, rest] if rest else numbers, "size": [height, width]}
    return str(coco.frPyObjects(counts, height, width)["counts"].decode("ascii"))


def united(counts: Sequence[str], height: int, width: int) -> str:
    """Return the union of compressed run lengths of one size."""
    runs = [{"counts": run.encode("ascii"), "size": [height, width]} for run in counts]
    return str(coco.merge(runs)["counts"].decode("ascii"))


def used(marks: pd.DataFrame, images: pd.DataFrame, file: Path, source: str) -> pd.DataFrame:
    """Return the masks or boxes of the images that are used, and tell how many others there are.

    Raises
    ------
    InputError
        There are marks, and none of them is of an image that is used.
    """
    known = marks["image_id"].isin(images["image_id"])
    others = marks.loc[~known, "image_id"]
    if len(marks) and not known.any():
        raise InputError(
            f"{file}: none of its {others.nunique()} images, such as {others.iloc[0]!r}, is among "
            f"the {len(images)} of source {source}"
        )
    if len(others):
        logger.info(
            "data source %s: %s has %d masks of %d images that are not used, such as %s",
            source, file, len(others), others.nunique(), others.iloc[0],
        )  # fmt: skip
    return marks[known]


def draw(
    boxes: pd.DataFrame, images: pd.DataFrame, file: Path, rejected: Rejections
) -> pd.DataFrame:
    """Draw boxes as masks of the images' own size, one for each image, class and annotator.

    Parameters
    ----------
    boxes : columns `BOX_COLUMNS`, of images that are used.
    images : image_id, height and width.
    file : the table that the boxes are from.
    rejected : takes boxes without extent or outside their frame.

    Returns
    -------
    Columns `MASK_COLUMNS`, of kind `box`.

    Raises
    ------
    InputError
        So many boxes are outside their frame that the frame must be another.
    """
    sizes = images.set_index("image_id").loc[boxes["image_id"], ["height", "width"]].to_numpy()
    frames = boxes[["frame_height", "frame_width"]].to_numpy(float)
    frames = np.where(np.isnan(frames), sizes, frames)
    scales = (sizes / frames)[:, [1, 0, 1, 0]]
    keep = _check(boxes, frames, file, rejected)
    places = boxes[BOX].to_numpy(float) * scales
    keys = ["image_id", "class", "annotator"]
    lines = boxes["line"].to_numpy()
    masks = []
    # By place in the table: thousands of groups as tables of their own would take a minute.
    for key, rows in sorted(boxes[keep].reset_index().groupby(keys).indices.items()):
        own = np.flatnonzero(keep)[rows]
        height, width = (int(side) for side in sizes[own[0]])
        counts = box_counts(places[own], height, width)
        if counts is None:
            said = f"the boxes of {key[1]} cover no pixel of the {height} x {width} of the image"
            rejected.add("mask", file, said, row=int(lines[own[0]]), image_id=key[0])
            continue
        masks.append([*key, "box", height, width, counts, len(own)])
    return pd.DataFrame(masks, columns=MASK_COLUMNS)


def _check(
    boxes: pd.DataFrame, frames: ArrayLike, file: Path, rejected: Rejections
) -> NDArray[np.bool_]:
    """Return which boxes are well formed; the others are rejected."""
    place = boxes[BOX].to_numpy(float)
    sides = np.asarray(frames)[:, [1, 0]]
    empty = ~np.isfinite(place).all(axis=1) | (place[:, 2:] <= 0).any(axis=1)
    outside = (place[:, :2] < -TOLERANCE).any(axis=1)
    outside |= (place[:, :2] + place[:, 2:] > sides + TOLERANCE).any(axis=1)
    outside &= ~empty
    if outside.sum() > max(1, MANY_OUTSIDE * len(boxes)):
        first = int(outside.argmax())
        height, width = (float(side) for side in np.asarray(frames)[first])
        raise InputError(
            f"{file}: {outside.sum()} of {len(boxes)} boxes do not lie in their images, such as of "
            f"{boxes['image_id'].iloc[first]} in {height:g} x {width:g} pixels; boxes are in "
            "pixels of the images as published: where yours are resized, set the source's key for "
            "their original sizes"
        )
    for index in np.flatnonzero(empty | outside):
        row = boxes.iloc[index]
        said = "a box needs a finite place and a positive width and height"
        if outside[index]:
            said = "the box does not lie in its image"
        rejected.add("mask", file, said, row=int(row["line"]), image_id=row["image_id"])
    return ~(empty | outside)
