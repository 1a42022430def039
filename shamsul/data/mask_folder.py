"""Masks as pictures in a folder: one file per radiograph, white where the structure is."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shamsul import lazy
from shamsul.data.masks import MASK_COLUMNS, encode
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

FORMATS = ("PNG", "GIF", "BMP")
"""Pillow's names of the formats that masks are read from."""
SUFFIXES = (".png", ".gif", ".bmp")
SUFFIXED = "_mask"
"""End of the names of masks in some data sets, which their radiographs lack."""


def mask_files(folders: Iterable[Path]) -> list[Path]:
    """Return the files of masks in folders, in order; none where a folder is missing."""
    found = (path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()))
    return [path for path in found if path.suffix.lower() in SUFFIXES]


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a picture as a mask: true where it is brighter than half of full white.

    Raises
    ------
    ValueError
        The file is no picture of `FORMATS`.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            return np.asarray(image.convert("L")) > 127
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a readable mask ({error})") from None


def read_masks(
    folders: Iterable[Path], name: str, annotator: str, wanted: Iterable[str], rejected: Rejections
) -> pd.DataFrame:
    """Read the masks of one class that lie in folders.

    Parameters
    ----------
    folders : folders of masks, each file named as its radiograph, or so with `_mask` behind.
    name, annotator : class and annotator of the masks.
    wanted : image_id of the radiographs that are used; the number of other masks is told.
    rejected : takes files that are no masks.

    Returns
    -------
    Columns `shamsul.data.masks.MASK_COLUMNS`; blank masks are none.

    Raises
    ------
    InputError
        None of the folders' masks is of a radiograph that is used.
    """
    known = set(wanted)
    rows, others = [], []
    for path in mask_files(folders):
        image_id = path.stem if path.stem in known else path.stem.removesuffix(SUFFIXED)
        if image_id not in known:
            others.append(path)
            continue
        try:
            mask = read_mask(path)
        except ValueError as error:
            rejected.add("mask", path, str(error), image_id=image_id)
            continue
        if mask.any():
            rows.append([image_id, name, annotator, "segmentation", *mask.shape, encode(mask), 0])
    if others and len(rows) == 0:
        raise InputError(
            f"{others[0]}: none of the {len(others)} masks of {name} is of a radiograph that is "
            "used; a mask has the name of its radiograph"
        )
    if others:
        logger.info(
            "%s: %d masks of %s are of radiographs that are not used, such as %s",
            others[0].parent, len(others), name, others[0].name,
        )  # fmt: skip
    return pd.DataFrame(rows, columns=MASK_COLUMNS)
