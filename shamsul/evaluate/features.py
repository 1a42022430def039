"""Geometry of a finding, as CheXlocalize measures it (Saporta et al., 2022).

Number of instances, size, and two measures of how far the shape is from a square: elongation and
irrectangularity, both from the rectangle of least area around its longest contour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.data.masks import by_image, decode

if TYPE_CHECKING:
    import cv2
else:
    cv2 = lazy.load("cv2")

KEY = ["image_id", "class"]
FEATURES = ["instances", "area_ratio", "elongation", "irrectangularity"]
"""Names of the four features, in the order of CheXlocalize's regressions."""
KINDS = dict.fromkeys(KEY, "str") | {"instances": "int64"} | dict.fromkeys(FEATURES[1:], "float64")
"""Types of the columns, also where no mask has a shape."""
THIN = 0.01
"""Width in pixels below which a rectangle encloses a straight line of pixels."""


def of_masks(masks: pd.DataFrame) -> pd.DataFrame:
    """Return the features of every outline, those of several annotators united.

    Parameters
    ----------
    masks : columns `shamsul.data.masks.MASK_COLUMNS`; boxes are left out, since their shape is not
        the finding's.

    Returns
    -------
    image_id, class, `FEATURES`; one row for each image and class with a pixel in its mask, sorted.
    instances : polygons that the radiologist drew, overlapping ones counted apart; of several
    annotators the most; where it is unknown, the outlines that lie in no other.
    area_ratio : share of the radiograph, in (0, 1]. elongation, irrectangularity : see `shape`.

    Raises
    ------
    InputError
        A mask is malformed, or two of an image have different sizes.
    """
    outlines = masks[masks["kind"] == "segmentation"]
    drawn = outlines.groupby(KEY)["instances"].max().to_dict()
    rows = []
    for (image_id, name, _), row in by_image(outlines.to_dict("records")).items():
        mask = decode(row)
        if mask.any():
            instances = drawn[image_id, name] or len(_contours(mask, cv2.RETR_EXTERNAL))
            rows.append((image_id, name, instances, mask.mean(), *shape(mask)))
    return pd.DataFrame(rows, columns=list(KINDS)).astype(KINDS)


def shape(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return elongation and irrectangularity of the contour with most points.

    Sides are distances between the centres of pixels, as OpenCV measures them. A straight line of
    pixels has a rectangle without width; it is as elongated as it has pixels across its length,
    and fills its rectangle.

    Parameters
    ----------
    mask : (height, width), with at least one pixel.

    Returns
    -------
    elongation : long over short side of the rectangle of least area, at least 1.
    irrectangularity : share of that rectangle that the contour does not enclose, in [0, 1].
    """
    contours = _contours(mask, cv2.RETR_LIST)
    longest = max(contours, key=len)  # the first of several
    short, long = sorted(cv2.minAreaRect(longest)[1])
    if short < THIN:
        return (long + 1) / (short + 1), 0.0
    return long / short, 1 - cv2.contourArea(longest) / (short * long)


def _contours(mask: NDArray[np.bool_], mode: int) -> Sequence[Any]:
    """Return outlines and, with `RETR_LIST`, those of holes: all points (n, 1, 2), x and y."""
    return cv2.findContours(mask.view(np.uint8), mode, cv2.CHAIN_APPROX_NONE)[0]
