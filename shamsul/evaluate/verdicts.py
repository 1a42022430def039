"""Verdicts on differences, in the words that the tables and the report use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shamsul.evaluate.parameters import Comparison
from shamsul.evaluate.patients import Array, too_few
from shamsul.evaluate.sign_flips import Family, sign_flips
from shamsul.metrics import of_table

VERDICTS = (
    *("better", "worse", "equivalent", "not distinguishable"),
    *("cannot be told", "the same", ""),
)
"""Verdicts on a difference.

better, worse : the adjusted p is below 1 - `confidence`.
equivalent : the difference is smaller than `margin`.
not distinguishable : neither, though these patients could have told.
cannot be told : the least adjusted p that these patients allow is not below 1 - `confidence`.
the same : no value differs.
"" : not tested, since there are too few patients.
"""
TESTED = [
    *("difference", "low", "high", "p", "p_adjusted", "p_least", "p_equivalent", "detectable"),
    *("verdict", "note"),
]
"""Columns of a tested difference."""


def tested(
    differences: Array,
    patients: Array,
    n_patients: NDArray[np.int64],
    metric: str,
    settings: Comparison,
    seed: int,
    weights: Array,
) -> dict[str, Any]:
    """Return `TESTED` by name, for a family of K differences of one metric.

    Parameters
    ----------
    differences : (N, K), NaN where one is missing.
    patients : (N,) names of patients.
    n_patients : (K,) numbers of patients with a difference.
    metric : name in a table, of a metric that judges.
    weights : (N, K) weights of the differences.
    """
    judged = of_table(metric)
    # A margin of 0.05 means something between 0 and 1 only.
    margin = settings.margin if judged.low == 0 and judged.high == 1 else np.nan
    found = sign_flips(differences, patients, settings, seed, margin, weights)
    same = np.array([not np.nan_to_num(column).any() for column in differences.T], bool)
    notes = [
        too_few(number, settings.min_patients)
        or ("no value differs: no interval" if alike else "")
        or ("" if low == low else "no interval holds for all methods at once: too few patients")
        for number, alike, low in zip(n_patients, same, found.low, strict=True)
    ]
    columns = {name: getattr(found, name) for name in TESTED[:-2]}
    verdicts = _verdicts(found, same, judged.better, 1 - settings.confidence)
    return columns | {"verdict": verdicts, "note": notes}


def _verdicts(found: Family, same: Array, better: str, alpha: float) -> list[str]:
    """Return the verdicts (K) on a family; `better` is the metric's better direction."""
    above, below = ("better", "worse") if better == "higher" else ("worse", "better")
    words = []
    for index in range(len(same)):
        if np.isnan(found.p_adjusted[index]):
            words.append("")
        elif same[index]:
            words.append("the same")
        elif found.p_adjusted[index] < alpha:
            words.append(above if found.difference[index] > 0 else below)
        elif found.p_equivalent[index] < alpha:
            words.append("equivalent")
        elif found.p_least[index] >= alpha:
            words.append("cannot be told")
        else:
            words.append("not distinguishable")
    return words
