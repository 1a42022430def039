"""Masks of the images of a source, drawn from annotations; what fits no image is told.

Boxes stay boxes whatever file they come from, and are never united with outlines. Readers are kept
apart unless the configuration asks for their union or majority.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.data.annotations.base import Annotation, AnnotationFile, Boxes, Pixels
from shamsul.data.annotations.json_files import LARGEST_SIDE
from shamsul.data.annotations.runs import Runs
from shamsul.data.masks import MASK_COLUMNS, decode, encode, from_boxes, from_polygons
from shamsul.data.matching import Names
from shamsul.data.readers import Readers, of_readers
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

SLACK = 0.02
"""Share of a side by which coordinates may lie outside an image, as those of real files do."""
LOOKED_AT = 50
"""Number of masks by which the order of run lengths is checked."""
STRIPES = 2
"""Ratio of the borders of masks in the one and the other order, from which the one is wrong."""
EXACT = 6
"""Number of decimals of a pixel that count: shares of a side are no exact numbers."""
Key = tuple[str, str, str, str]
"""Image, class, kind and reader."""


def to_masks(
    annotations: Iterable[Annotation],
    images: pd.DataFrame,
    names: Names,
    entry: AnnotationFile,
    labels: Mapping[str, str],
    rejected: Rejections,
) -> pd.DataFrame:
    """Draw the masks of the listed images.

    Parameters
    ----------
    annotations : annotations in the files of the entry.
    images : image_id, path, height and width of the images.
    names : paths of these images, by what files call them.
    entry : settings of the files.
    labels : classes by the name that files give them.
    rejected : takes annotations whose geometry cannot be.

    Returns
    -------
    One row for each image, class, kind and reader: the columns `MASK_COLUMNS`.

    Raises
    ------
    InputError
        No annotation is of any of the images.
    """
    rows = images.set_index("path")[["image_id", "height", "width"]]
    drawn: dict[Key, _Drawn] = {}
    strangers: dict[str, str] = {}
    known = blank = 0
    borders: list[tuple[int, int]] = []
    for one in annotations:
        found = names.find(one.image)
        if len(found) != 1:
            said = f"may be {' or '.join(found[:2])}" if found else "is none of the images"
            strangers.setdefault(one.image, f"{one.file}: {one.image!r} {said}")
            continue
        known += 1
        image_id, *sides = rows.loc[found[0]]
        own = (int(sides[0]), int(sides[1]))
        target = _target(one, own)
        fault = _fault(one, own)
        mask, instances = None, 0
        if not fault:
            try:
                mask, instances = _draw(one, *target)
            except ValueError as error:
                fault = f"{one.label!r} of image {one.image!r}: {error}"
        if mask is not None and not mask.any():
            if isinstance(one.shape, Pixels | Runs):
                blank += 1  # An image without the finding, as many archives have them.
                continue
            fault = f"{one.label!r} of image {one.image!r}: covers the centre of no pixel"
        if fault or mask is None:
            rejected.add(
                "mask", one.file, fault, row=one.row, field=one.field, image_id=str(image_id)
            )
            continue
        kind = "box" if isinstance(one.shape, Boxes) else "segmentation"
        reader = one.reader or entry.reader or entry.NAMELESS
        key = (str(image_id), labels.get(one.label, one.label), kind, reader)
        drawn.setdefault(key, _Drawn(target)).add(one, mask, instances)
        if isinstance(one.shape, Runs) and len(borders) < LOOKED_AT:
            borders.append(one.shape.borders(*target))
    _tell_strangers(strangers, known, names, entry, rejected.source)
    _check_order(borders, rejected.source)
    if blank:
        logger.info(
            "data source %s: %d masks are blank, as without a finding", rejected.source, blank
        )
    return _table(drawn, entry.readers)


class _Drawn:
    """A mask that is being drawn: run lengths of its parts, and the number of its instances."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.parts: list[str] = []
        self.instances = 0

    def add(self, one: Annotation, mask: NDArray[np.bool_], instances: int) -> None:
        """Unite an annotation with what was drawn before."""
        if mask.shape != self.size:
            raise InputError(
                f"{one.file}: image {one.image!r}, {one.label!r}: is {mask.shape[0]} x "
                f"{mask.shape[1]} pixels, another mask of it {self.size[0]} x {self.size[1]}"
            )
        self.parts.append(encode(mask))
        self.instances += instances

    def mask(self) -> NDArray[np.bool_]:
        """Return the union of the parts."""
        rows = [_row(self.size, part) for part in self.parts]
        return np.logical_or.reduce([decode(row) for row in rows])

    def counts(self) -> str:
        """Return the run lengths of the union."""
        return self.parts[0] if len(self.parts) == 1 else encode(self.mask())


def _row(size: tuple[int, int], counts: str) -> dict[str, Any]:
    return {"height": size[0], "width": size[1], "counts": counts}


def _target(one: Annotation, own: tuple[int, int]) -> tuple[int, int]:
    """Return the size that an annotation is drawn at: boxes at the image's, others at their own."""
    if isinstance(one.shape, Pixels):
        height, width = one.shape.mask.shape
        return int(height), int(width)
    return own if isinstance(one.shape, Boxes) or one.size is None else one.size


def _draw(one: Annotation, height: int, width: int) -> tuple[NDArray[np.bool_], int]:
    """Return the mask of an annotation, and the number of its instances; 0 where unknown."""
    if isinstance(one.shape, Pixels):
        return one.shape.mask, 0
    if isinstance(one.shape, Runs):
        return one.shape.mask(height, width), 0
    by = _factors(one, (height, width))
    if isinstance(one.shape, Boxes):
        corners = np.round(one.shape.corners * np.tile(by, 2), EXACT)
        sides = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        return from_boxes(sides, height, width), len(corners)
    polygons = [np.round(polygon * by, EXACT).tolist() for polygon in one.shape.vertices]
    return from_polygons(polygons, height, width), len(polygons)


def _factors(one: Annotation, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return what x and y are multiplied by to be pixels of an image of that size."""
    height, width = size
    if one.unit == "fraction":
        return np.array([width, height], float)
    if one.size is None:
        return np.ones(2)
    return np.array([width / one.size[1], height / one.size[0]])


def _fault(one: Annotation, own: tuple[int, int]) -> str:
    """Return what is wrong with the geometry of an annotation, empty where nothing is."""
    said = f"{one.label!r} of image {one.image!r}: "
    if one.size is not None and max(one.size) > LARGEST_SIDE:
        return f"{said}{one.size[0]} x {one.size[1]} pixels are no radiograph's size"
    if isinstance(one.shape, Pixels | Runs):
        return ""
    points = (
        one.shape.corners.reshape(-1, 2)
        if isinstance(one.shape, Boxes)
        else np.concatenate([np.zeros((0, 2)), *one.shape.vertices])
    )
    if not len(points):
        return f"{said}has no coordinates"
    if not np.isfinite(points).all():
        return f"{said}a coordinate is not a finite number"
    if isinstance(one.shape, Boxes):
        if (one.shape.corners[:, 2:] <= one.shape.corners[:, :2]).any():
            return f"{said}a box has no width or height; are these corners, or sides?"
    elif min(map(len, one.shape.vertices)) < 3:
        return f"{said}a polygon has fewer than three vertices"
    size = one.size or own
    if one.unit == "pixels" and (np.abs(points) <= 1).all() and min(size) > 8:
        return (
            f"{said}all coordinates are from 0 to 1; if they are shares of the image's sides, say "
            "`unit: fraction`"
        )
    limit = np.ones(2) if one.unit == "fraction" else np.array(size[::-1], float)
    if (points < -SLACK * limit).any() or (points > (1 + SLACK) * limit).any():
        worst = points[np.argmax(np.abs(points / limit - 0.5).max(axis=1))]
        return (
            f"{said}({worst[0]:g}, {worst[1]:g}) lies outside the image of {size[1]} x {size[0]} "
            "(width x height); are rows and columns, or corners and sides, swapped, or was it "
            "drawn on an image of another size (`frame`)?"
        )
    return ""


def _check_order(borders: Sequence[tuple[int, int]], source: str) -> None:
    """Raise an InputError where run lengths make whole masks in the other order alone."""
    own, other = (sum(column) for column in zip(*borders, strict=True)) if borders else (0, 0)
    if other * STRIPES < own:
        raise InputError(
            f"data source {source}: masks (rle): in this `order` they fall into stripes, with a "
            f"border of {own} pixels, and in the other one they do not ({other}): set the other"
        )


def _tell_strangers(
    strangers: Mapping[str, str], known: int, names: Names, entry: AnnotationFile, source: str
) -> None:
    """Tell names that are no image's: in one line, or as an error where there are no others."""
    if not strangers:
        return
    first, said = next(iter(strangers.items()))
    told = f"{said}{names.near(first)}"
    if names.paths and not known:
        raise InputError(
            f"data source {source}: masks ({entry.form}): nothing in them is of any of the "
            f"{len(names.paths)} images: {told}"
        )
    logger.warning(
        "data source %s: masks (%s): %d names are of no image that is used, and what they mark is "
        "left out: %s",
        source, entry.form, len(strangers), told,
    )  # fmt: skip


def _table(drawn: Mapping[Key, _Drawn], readers: Readers) -> pd.DataFrame:
    """Return the rows of masks, those of several readers as asked for."""
    rows = [
        (image_id, name, reader, kind, *one.size, one.counts(), one.instances)
        for (image_id, name, kind, reader), one in sorted(drawn.items(), key=lambda item: item[0])
    ]
    return of_readers(pd.DataFrame(rows, columns=MASK_COLUMNS), readers)
