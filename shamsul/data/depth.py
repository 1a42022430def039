"""Depth of a source's grey values: the number of bits that all of its images are brought up from.

A file of 16 bits may hold the 12 bits of a detector. One image does not tell, and one image by
itself would be made brighter than another. So the depth is that of the whole source: what its entry
in `data.sources` says, or else the bits of the largest value in any of its images.
"""

from __future__ import annotations

import logging
from pathlib import PurePath

import pandas as pd

logger = logging.getLogger(__name__)

LEAST = 8
"""Bits of the least depth that is found; fewer are said by the configuration alone."""
DARK = 3
"""Bits below the depth at which an image counts as one that does not reach the source's range."""


def depths(images: pd.DataFrame, source: str, depth: int | None = None) -> pd.Series:
    """Return the depth of each image of a source, in bits, and log how it was found.

    Parameters
    ----------
    images : the source's images: columns path, bits, own_range and highest.
    source : name of the source, for the log.
    depth : bits that the configuration gives; None to find them.
    """
    open_ = ~images["own_range"]
    found = images["bits"].astype("int64")
    if not open_.any():
        return found
    highest = images.loc[open_, "highest"]
    bits = max(int(highest.max()).bit_length(), LEAST)
    told = (
        f"data source {source}: the largest grey value of {len(highest)} files of more than 8 bits "
        f"is {highest.max()}, in {PurePath(images.loc[highest.idxmax(), 'path']).name}"
    )
    if depth is None:
        logger.info("%s: all are taken as of %d bits; `depth` says another number", told, bits)
    elif bits > depth:
        above = int((highest >= 2**depth).sum())
        logger.warning(
            "%s: more than the %d bits of `depth`; in %d files values above it become white",
            told, depth, above,
        )  # fmt: skip
    depth = depth or bits
    dark = int((highest < 2 ** (depth - DARK)).sum())
    if dark:
        logger.warning(
            "data source %s: %d of %d files of more than 8 bits do not reach an eighth of the "
            "range of %d bits: they stay dark; check `depth`",
            source, dark, len(highest), depth,
        )  # fmt: skip
    return found.where(~open_, depth)
