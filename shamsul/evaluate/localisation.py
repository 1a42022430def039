"""Means of the values per image, with intervals over patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from shamsul.evaluate.means import estimates
from shamsul.evaluate.parameters import Resampling
from shamsul.evaluate.statistics import Array
from shamsul.evaluate.value_matrix import NUMBERS, matrices

LOCALISATION = [
    *("split", "class", "method", "threshold_rule", "metric", *NUMBERS),
    *("mean", "low", "high", "median", "q1", "q3", "note"),
]


def localisation(table: pd.DataFrame, settings: Resampling, seed: int) -> pd.DataFrame:
    """Return means with their patient-bootstrap intervals, and quartiles over images.

    Parameters
    ----------
    table : table that `per_image` returns.
    settings : settings of the resampling.

    Returns
    -------
    split, class (`pooled`: every image x class pair counts once), method, threshold_rule, metric,
    n_masks (image x class pairs; for `false_alarm_area` those without the finding, so without a
    mask), n_images, n_patients, mean, low, high, median, q1, q3, note (why there is no interval).
    """
    parts = [pd.DataFrame(columns=LOCALISATION)]
    for matrix in matrices(table):
        for name, wide in matrix.classes():
            q1, median, q3 = np.nanquantile(wide.values, [0.25, 0.5, 0.75], axis=0)
            part = wide.index(wide.columns).assign(
                **{"split": wide.split, "class": name, "median": median, "q1": q1, "q3": q3},
                **estimates(wide.values, wide.pairs, settings, seed, _means),
            )
            parts.append(part[LOCALISATION])
    result = pd.concat(parts[1:] or parts)
    return result.sort_values(
        ["split", "metric", "threshold_rule", "class", "method"], ignore_index=True
    )


def _means(values: Array) -> Array:
    return np.asarray(np.nanmean(values, axis=0))
