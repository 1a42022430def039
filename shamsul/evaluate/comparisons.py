"""What the values per image amount to: means with intervals, and differences between methods."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from shamsul.evaluate.per_image import Settings
from shamsul.evaluate.statistics import bootstrap_interval, holm, sign_flip_test, too_few
from shamsul.evaluate.value_matrix import NUMBERS, Column, matrices

GROUP = ["metric", "threshold_rule", "class"]
LOCALISATION = [
    *("split", "class", "method", "threshold_rule", "metric", *NUMBERS),
    *("mean", "low", "high", "median", "q1", "q3", "note"),
]
COMPARISONS = [
    *(*GROUP, "method_a", "method_b", *NUMBERS),
    *("difference", "low", "high", "p", "p_adjusted", "note"),
]


def localisation(table: pd.DataFrame, settings: Settings, seed: int) -> pd.DataFrame:
    """Mean with its patient-bootstrap interval, and quartiles over images.

    Parameters
    ----------
    table : as `per_image` returns it.
    settings : `replicates`, `confidence`, `interval` and `min_patients`.

    Returns
    -------
    split, class (`pooled`: every image x class pair counts once), method, threshold_rule, metric,
    n_masks (image x class pairs; for `false_alarm_area` those without the finding, so without a
    mask), n_images, n_patients, mean, low, high, median, q1, q3, note (why there is no interval).
    """
    parts = [pd.DataFrame(columns=LOCALISATION)]
    for matrix in matrices(table):
        for name, wide in matrix.classes():
            low, high = bootstrap_interval(wide.values, wide.patients, settings, seed)
            q1, median, q3 = np.nanquantile(wide.values, [0.25, 0.5, 0.75], axis=0)
            numbers = wide.numbers(wide.values)
            part = wide.index(wide.columns).assign(
                **{"split": wide.split, "class": name, **numbers},
                **{"mean": np.nanmean(wide.values, axis=0), "low": low, "high": high},
                **{"median": median, "q1": q1, "q3": q3},
                note=[too_few(count, settings) for count in numbers["n_patients"]],
            )
            parts.append(part[LOCALISATION])
    result = pd.concat(parts[1:] or parts)
    return result.sort_values(
        ["split", "metric", "threshold_rule", "class", "method"], ignore_index=True
    )


def comparisons(table: pd.DataFrame, settings: Settings, seed: int) -> pd.DataFrame:
    """Differences between all pairs of methods on the masks of test that both were scored on.

    Parameters
    ----------
    table : as `per_image` returns it.
    settings : as for `localisation`, and `baseline`, which is `method_b` in all its pairs.

    Returns
    -------
    metric, threshold_rule, class, method_a, method_b, n_masks, n_images, n_patients, difference
    (mean of a - b; which way is better is in `shamsul.metrics.METRICS`), low, high (patient
    bootstrap), p (`sign_flip_test`), p_adjusted (Holm over the pairs of the same metric,
    threshold_rule and class), note (why there is no interval).
    """
    parts = [pd.DataFrame(columns=COMPARISONS)]
    for matrix in matrices(table[table["split"] == "test"]):
        for name, wide in matrix.classes():
            pairs = list(_pairs(wide.columns, settings["baseline"]))
            if not pairs:
                continue
            first, second = np.transpose(pairs)
            difference = wide.values[:, first] - wide.values[:, second]
            numbers = wide.numbers(difference)
            low, high = bootstrap_interval(difference, wide.patients, settings, seed)
            sums = np.nansum(difference, axis=0)
            part = wide.index([wide.columns[index] for index in first]).assign(
                **{"class": name, **numbers, "low": low, "high": high},
                method_b=[wide.columns[index][2] for index in second],
                difference=sums / np.maximum(numbers["n_masks"], 1),
                p=sign_flip_test(difference, wide.patients, settings, seed),
                p_adjusted=np.nan,
                note=[too_few(count, settings) for count in numbers["n_patients"]],
            )
            part = part[part["n_masks"] > 0].rename(columns={"method": "method_a"})
            parts.append(part[COMPARISONS])
    result = pd.concat(parts[1:] or parts, ignore_index=True)
    for _, family in result.groupby(GROUP):
        result.loc[family.index, "p_adjusted"] = holm(family["p"])
    return result.sort_values([*GROUP, "method_a", "method_b"], ignore_index=True)


def _pairs(columns: list[Column], baseline: str) -> Iterator[tuple[int, int]]:
    """Places of pairs of methods under the same rule and metric, the baseline second."""
    numbered = list(enumerate(columns))
    for _, group in itertools.groupby(numbered, key=lambda item: item[1][:2]):
        ordered = sorted(group, key=lambda item: (item[1][2] == baseline, item[1][2]))
        yield from itertools.combinations([index for index, _ in ordered], 2)
