"""Differences between two runs, method by method, on the masks that both were scored on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from shamsul.evaluate.comparisons import of_families
from shamsul.evaluate.parameters import Comparison
from shamsul.evaluate.patients import weighted_mean
from shamsul.evaluate.value_matrix import NUMBERS, ValueMatrix, stacked
from shamsul.evaluate.verdicts import TESTED, tested

FAMILY = ["metric", "threshold_rule", "class"]
RUN_DIFFERENCES = [*FAMILY, "method", *NUMBERS, "mean_a", "mean_b", *TESTED]
"""Columns of the differences between two runs: the second's value less the first's."""
MARK = "\0"
"""Mark at the end of a method's name of the second run; no name has it."""


def run_differences(
    one: pd.DataFrame, other: pd.DataFrame, settings: Comparison, seed: int
) -> pd.DataFrame:
    """Return the difference of each method between two runs, on test.

    A method is compared with the one of the same name on the masks that both runs scored. The
    methods of the same metric, threshold_rule and class are one family.

    Parameters
    ----------
    one, other : tables that `per_image` returns.
    settings : settings of the comparison.

    Returns
    -------
    Columns `RUN_DIFFERENCES`. mean_a, mean_b : means of the two on the same masks. verdict : of the
    second run against the first.
    """
    marked = other.assign(method=other["method"] + MARK)
    both = pd.concat([one, marked])
    parts = of_families(
        both,
        lambda wide, metric, places: _family(wide, metric, places, settings, seed),
    )
    result = stacked(parts, RUN_DIFFERENCES)
    return result.sort_values([*FAMILY, "method"], ignore_index=True)


def _family(
    wide: ValueMatrix, metric: str, places: dict[str, int], settings: Comparison, seed: int
) -> dict[str, Any] | None:
    """Return the rows of one rule, metric and class, without these; None where none is shared."""
    methods = [name for name in sorted(places) if name + MARK in places]
    first = wide.values[:, [places[name] for name in methods]]
    second = wide.values[:, [places[name + MARK] for name in methods]]
    difference = second - first
    shared = np.flatnonzero(~np.isnan(difference).all(axis=0))
    if not len(shared):
        return None
    difference = difference[:, shared]
    missing = np.isnan(difference)
    numbers, weights = wide.numbers(difference), wide.weights(difference)
    means = {
        name: weighted_mean(np.where(missing, np.nan, values[:, shared]), weights)
        for name, values in (("mean_a", first), ("mean_b", second))
    }
    number = numbers["n_patients"]
    return {
        "method": [methods[index] for index in shared],
        **numbers,
        **means,
        **tested(difference, wide.patients, number, metric, settings, seed, weights),
    }
