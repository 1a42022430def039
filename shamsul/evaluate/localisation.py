"""Means of the values per image, with intervals over patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from shamsul.evaluate.means import bounds, estimates
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.patients import Array
from shamsul.evaluate.value_matrix import NUMBERS, matrices

LOCALISATION = [
    *("split", "class", "method", "threshold_rule", "metric", *NUMBERS),
    *("mean", "low", "high", "median", "q1", "q3", "note"),
]


def localisation(table: pd.DataFrame, settings: Inference) -> pd.DataFrame:
    """Return means with their intervals over patients, and quartiles over images.

    Parameters
    ----------
    table : table that `per_image` returns.
    settings : settings of the intervals.

    Returns
    -------
    split, class (`pooled`: every drawn mask counts once; `macro`: the mean over classes), method,
    threshold_rule, metric, n_masks (image x class pairs; for `false_alarm_area` those without the
    finding, so without a mask), n_images, n_patients, mean, low, high, median, q1, q3, note (why
    there is no interval).
    """
    parts = [pd.DataFrame(columns=LOCALISATION)]
    for matrix in matrices(table):
        for name, wide in matrix.classes():
            # A mean over classes has no quartiles.
            quartiles = np.full((3, len(wide.columns)), np.nan)
            if not wide.macro:
                quartiles = np.nanquantile(wide.values, [0.25, 0.5, 0.75], axis=0)
            q1, median, q3 = quartiles
            limits = bounds([metric for _, metric, _ in wide.columns])
            part = wide.index(wide.columns).assign(
                **{"split": wide.split, "class": name, "median": median, "q1": q1, "q3": q3},
                **estimates(wide.values, wide.pairs, limits, settings, _means, macro=wide.macro),
            )
            parts.append(part[LOCALISATION])
    result = pd.concat(parts[1:] or parts)
    return result.sort_values(
        ["split", "metric", "threshold_rule", "class", "method"], ignore_index=True
    )


def _means(values: Array) -> Array:
    """Return the mean of each column; NaN where it has no value."""
    number = (~np.isnan(values)).sum(axis=0)
    sums = np.nansum(values, axis=0)
    return np.divide(sums, number, out=np.full(len(sums), np.nan), where=number > 0)
