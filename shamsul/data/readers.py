"""Several readers of an image: their masks apart, united, or by majority."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from shamsul import lazy
from shamsul.data.boxes import united
from shamsul.data.masks import MASK_COLUMNS, area, decode, encode
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

Readers = Literal["apart", "union", "majority"]
"""Treatment of several readers of an image: a mask of each, all that any of them marked, or what
most of those marked who marked anything of the class."""


def of_readers(masks: pd.DataFrame, readers: Readers) -> pd.DataFrame:
    """Return the masks of several readers as asked for.

    Parameters
    ----------
    masks : columns `MASK_COLUMNS`, one row for each image, class, kind and annotator.
    readers : treatment of the readers of an image.

    Returns
    -------
    Columns `MASK_COLUMNS`. A mask of several readers has all their names, and the most instances.

    Raises
    ------
    InputError
        Readers' masks of an image have different sizes, and are to be one.
    """
    if readers == "apart":
        return masks
    rows = []
    for _, group in masks.groupby(["image_id", "class", "kind"]):
        found = group.to_dict("records")
        if len(found) == 1:
            rows += found
            continue
        sizes = sorted({(int(row["height"]), int(row["width"])) for row in found})
        if len(sizes) > 1:
            names = " and ".join(row["annotator"] for row in found)
            raise InputError(
                f"image {found[0]['image_id']!r}, {found[0]['class']!r}: masks of readers {names} "
                f"have different sizes, so that there is no {readers} of them"
            )
        if readers == "union":
            counts = united([row["counts"] for row in found], *sizes[0])
        else:
            votes = np.sum([decode(row) for row in found], axis=0)
            counts = encode(votes > len(found) // 2)
        names = "+".join(row["annotator"] for row in found)
        instances = max(row["instances"] for row in found)
        one = {**found[0], "annotator": names, "counts": counts, "instances": instances}
        if area(one):  # No pixel may have a majority.
            rows.append(one)
    return pd.DataFrame(rows, columns=MASK_COLUMNS)
