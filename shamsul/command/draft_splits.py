"""Splits for a folder that nobody has described: fractions that leave no class out of a split."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shamsul import lazy
from shamsul.data.adapters.folder import FolderSource
from shamsul.data.joining import divide

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

FRACTIONS: tuple[tuple[float, float, float], ...] = (
    (0.6, 0.15, 0.25), (0.5, 0.2, 0.3), (0.7, 0.1, 0.2), (0.5, 0.25, 0.25), (0.4, 0.3, 0.3),
    (0.55, 0.2, 0.25), (0.45, 0.25, 0.3), (0.34, 0.33, 0.33),
)  # fmt: skip
"""Shares of train, tune and test that are tried; of equal ones the first is taken."""


def divided(
    source: FolderSource, images: pd.DataFrame, masks: pd.DataFrame, classes: list[str]
) -> tuple[pd.Series, dict[str, Any], bool]:
    """Return the split of each image, the keys that make it so, and False where one is too small.

    Fractions are chosen that leave no class out of a split. Patients with masks go to tune and test
    where train has enough of each class without them.
    """
    if not isinstance(source.split, dict):
        return pd.Series(divide(source, images, masks, classes), index=images.index), {}, True
    ways = [(prefer, shares) for prefer in (True, False) for shares in FRACTIONS]
    tried: list[tuple[float, dict[str, Any], pd.Series]] = []
    for prefer, shares in ways if len(masks) else ways[len(FRACTIONS) :]:
        split = dict(zip(("train", "tune", "test"), shares, strict=True))
        keys = {"split": split} | ({"prefer_masks": True} if prefer else {})
        with Notes():
            splits = divide(source.model_copy(update=keys), images, masks, classes)
        found = pd.Series(splits, index=images.index)
        tried.append((_fewest(images, found, masks, classes), keys, found))
    fewest, keys, found = max(tried, key=lambda one: one[0])
    divide(source.model_copy(update=keys), images, masks, classes)  # It says what is in train.
    return found, keys, fewest >= 1


def _fewest(
    images: pd.DataFrame, splits: pd.Series, masks: pd.DataFrame, classes: list[str]
) -> float:
    """Return how well splits are filled: the fewest images with or without a class, up to four."""
    fewest = 4.0
    masked = images["image_id"].isin(masks["image_id"])
    for split in ("train", "tune", "test"):
        part = images[splits == split]
        for name in classes:
            fewest = min(fewest, (part[name] == 1).sum(), (part[name] == 0).sum())
        if split != "train" and masked.any():
            fewest = min(fewest, masked[splits == split].sum())
    return float(fewest)


class Notes(logging.Handler):
    """Handler that keeps what the library logs while it is used in `with`.

    Attributes
    ----------
    lines : lines that were logged, once each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        line = record.getMessage()
        if line not in self.lines:
            self.lines.append(line)

    def __enter__(self) -> Notes:
        """Keep what is logged from now on, and hand nothing on."""
        logger = logging.getLogger("shamsul")
        self._before = logger.propagate, logger.level, logger.handlers[:]
        logger.propagate, logger.handlers = False, [self]
        logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        """Log again as before."""
        logger = logging.getLogger("shamsul")
        logger.propagate, level, logger.handlers = self._before
        logger.setLevel(level)
