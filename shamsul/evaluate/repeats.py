"""Masks that repeat another class's mask of the same image.

A radiologist who outlines a consolidation outlines the lung opacity that it implies, so one drawing
is there under two names. A mean over all masks would count it twice.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from pycocotools import mask as coco

from shamsul.data.masks import by_image, run_lengths
from shamsul.errors import InputError
from shamsul.labels import PARENTS

SAME = 0.95
"""Least IoU of two masks that are the same drawing."""
REPEATS = ["image_id", "class", "kind", "repeats"]


def repeats(masks: pd.DataFrame) -> pd.DataFrame:
    """Return the masks that repeat another one of the same image and kind.

    Of several that are the same drawing that of the most specific class stays, which implies the
    others; among equals the first by name.

    Parameters
    ----------
    masks : columns `shamsul.data.masks.MASK_COLUMNS`; those of several annotators are united.

    Returns
    -------
    image_id, class, kind, and repeats: the class whose mask it repeats.

    Raises
    ------
    InputError
        A mask is malformed, or two of an image have different sizes.
    """
    rows = []
    images: dict[tuple[str, str], list[str]] = {}
    united = by_image(masks.to_dict("records"))
    for image_id, name, kind in united:
        images.setdefault((image_id, kind), []).append(name)
    for (image_id, kind), names in images.items():
        drawn = {name: _coco(united[image_id, name, kind]) for name in names}
        if len(sizes := sorted({tuple(mask["size"]) for mask in drawn.values()})) > 1:
            found = " and ".join(f"{height} x {width}" for height, width in sizes)
            raise InputError(f"{image_id}: masks of the same image have sizes {found}")
        kept: list[str] = []
        for name in sorted(names, key=lambda name: (-_depth(name), name)):
            others = [drawn[other] for other in kept]
            shared = coco.iou([drawn[name]], others, [0] * len(others)) if others else []
            same = [other for other, iou in zip(kept, *shared, strict=True) if iou >= SAME]
            if same:
                rows.append((image_id, name, kind, same[0]))
            else:
                kept.append(name)
    return pd.DataFrame(rows, columns=REPEATS).astype("str")


def mark(table: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the column `repeats`, empty where a mask repeats none."""
    marked = table.merge(found, on=REPEATS[:-1], how="left", validate="many_to_one")
    return marked.fillna({"repeats": ""})


def _coco(row: dict[str, Any]) -> dict[str, Any]:
    """Return a mask's row as the COCO API has it, checked."""
    run_lengths(row)
    size = [int(row["height"]), int(row["width"])]
    return {"size": size, "counts": row["counts"].encode("ascii")}


def _depth(name: str) -> int:
    """Return how many classes a class implies."""
    return 1 + _depth(PARENTS[name]) if name in PARENTS else 0
