"""The body in a radiograph, against which masks are held: few findings lie in the air beside it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shamsul.data.masks import decode
from shamsul.data.reading.files import load
from shamsul.errors import InputError
from shamsul.labels import MARKER

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

LOOKED_AT = 24
"""Number of masks of a run that are held against their radiograph."""
FEWEST = 5
"""Number of masks below which nothing is said."""
SIDE = 64
"""Side in pixels that a radiograph is reduced to."""
DARK = 0.1
"""Share of the range of grey up to which a pixel may be air."""
OUTSIDE = 0.5
"""Share of a mask's pixels in the air from which it counts as outside the body."""


def air(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the air beside the body: dark pixels that hang together with the border.

    Parameters
    ----------
    image : (height, width) grey values of a radiograph.

    Returns
    -------
    (SIDE, SIDE) bool, of the radiograph reduced to that size.
    """
    small = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX), float)
    low, high = np.percentile(small, [0, 99])
    dark = small <= low + DARK * (high - low)
    found = np.pad(np.zeros_like(dark), 1, constant_values=True)
    while True:
        near = found[:-2, 1:-1] | found[2:, 1:-1] | found[1:-1, :-2] | found[1:-1, 2:]
        grown = found.copy()
        grown[1:-1, 1:-1] |= near & dark
        if (grown == found).all():
            return found[1:-1, 1:-1]
        found = grown


def tell_outside(manifest: pd.DataFrame, masks: pd.DataFrame, roots: Mapping[str, Path]) -> None:
    """Warn where many masks lie in the air beside the body.

    Parameters
    ----------
    manifest : image_id, source, path and depth of the images.
    masks : columns `shamsul.data.masks.MASK_COLUMNS`; evidence and markers are not looked at.
    roots : folder of each source by its name.
    """
    kinds = masks["kind"].isin(["segmentation", "box"]) & (masks["class"] != MARKER)
    drawn = masks[kinds].drop_duplicates("image_id")
    looked = drawn.iloc[:: max(1, len(drawn) // LOOKED_AT)][:LOOKED_AT]
    places = manifest.set_index("image_id")[["source", "path", "depth"]]
    shares, turned, names = [], [], []
    for row in looked.to_dict("records"):
        source, path, depth = places.loc[row["image_id"]]
        try:
            outside = air(load(roots[source] / path, int(depth)))
        except InputError:
            continue  # Who reads all images tells it.
        mask = np.asarray(Image.fromarray(decode(row)).resize((SIDE, SIDE)))
        if mask.any():
            shares.append(outside[mask].mean())
            turned.append(outside[mask.T].mean())
            names.append(row["image_id"])
    wrong = np.asarray(shares) > OUTSIDE
    if len(shares) >= FEWEST and wrong.mean() > 0.5:
        swapped = np.mean(np.asarray(turned) > OUTSIDE) < wrong.mean() / 2
        hint = "if rows and columns were swapped they would not" if swapped else "look at some"
        logger.warning(
            "of %d masks %d lie in the air beside the body, such as that of image %s; %s",
            len(shares), int(wrong.sum()), names[int(wrong.argmax())], hint,
        )  # fmt: skip
