"""Differences between methods, pair by pair, with intervals and tests over patients."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from shamsul.evaluate.parameters import Comparison
from shamsul.evaluate.statistics import bootstrap_interval, holm, sign_flip_test, too_few
from shamsul.evaluate.value_matrix import NUMBERS, Column, matrices

GROUP = ["metric", "threshold_rule", "class"]
COMPARISONS = [
    *(*GROUP, "method_a", "method_b", *NUMBERS),
    *("difference", "low", "high", "p", "p_adjusted", "note"),
]


def comparisons(table: pd.DataFrame, settings: Comparison, seed: int) -> pd.DataFrame:
    """Return the differences between all pairs of methods on test.

    A pair is compared on the masks that both methods were scored on.

    Parameters
    ----------
    table : table that `per_image` returns.
    settings : settings of the comparison; `baseline` is `method_b` in all its pairs.

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
            pairs = list(_pairs(wide.columns, settings.baseline))
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
                note=[too_few(count, settings.min_patients) for count in numbers["n_patients"]],
            )
            part = part[part["n_masks"] > 0].rename(columns={"method": "method_a"})
            parts.append(part[COMPARISONS])
    result = pd.concat(parts[1:] or parts, ignore_index=True)
    for _, family in result.groupby(GROUP):
        result.loc[family.index, "p_adjusted"] = holm(family["p"])
    return result.sort_values([*GROUP, "method_a", "method_b"], ignore_index=True)


def _pairs(columns: list[Column], baseline: str) -> Iterator[tuple[int, int]]:
    """Yield the places of pairs of methods under the same rule and metric, the baseline second."""
    numbered = list(enumerate(columns))
    for _, group in itertools.groupby(numbered, key=lambda item: item[1][:2]):
        ordered = sorted(group, key=lambda item: (item[1][2] == baseline, item[1][2]))
        yield from itertools.combinations([index for index, _ in ordered], 2)
