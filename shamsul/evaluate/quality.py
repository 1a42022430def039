"""Deviation of heatmaps from what their methods promise, such as a sum that equals the output."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from shamsul.storage.heatmaps import read_quality

COLUMNS = ["split", "class", "method", "quality", "n_images", "median", "q95", "largest"]


def summarise(
    shards: Iterable[Path], manifest: pd.DataFrame, checkpoint: str | None = None
) -> pd.DataFrame:
    """Return the spread of each quality over the images of a split.

    Parameters
    ----------
    shards : heatmap shards of any methods; those without a quality give no rows.
    manifest : image_id and split.
    checkpoint : digest of the weights that every shard must be of; None takes any.

    Returns
    -------
    Columns `COLUMNS`, a row for each split, class, method and quality: the number of images, and
    median, 95 % quantile and largest value over them.

    Raises
    ------
    InputError
        A shard is damaged, or of another checkpoint.
    """
    found = [row for shard in shards for row in read_quality(shard, checkpoint)]
    columns = ["image_id", *COLUMNS[1:4], "value"]
    table = pd.DataFrame(found, columns=columns).astype(dict.fromkeys(columns[:4], "str"))
    values = table.merge(manifest[["image_id", "split"]], on="image_id")
    rows = [
        (*group, len(own), np.median(own), np.quantile(own, 0.95), own.max())
        for group, own in values.groupby(COLUMNS[:4])["value"]
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"n_images": "int64"})
