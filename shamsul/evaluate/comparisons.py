"""Differences between methods, pair by pair, with intervals and tests over patients."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from shamsul.evaluate.parameters import Comparison
from shamsul.evaluate.value_matrix import NUMBERS, ValueMatrix, matrices, stacked
from shamsul.evaluate.verdicts import TESTED, tested
from shamsul.metrics import of_table

GROUP = ["metric", "threshold_rule", "class"]
COMPARISONS = [*GROUP, "method_a", "method_b", *NUMBERS, *TESTED]


def comparisons(table: pd.DataFrame, settings: Comparison, seed: int) -> pd.DataFrame:
    """Return the differences between all pairs of methods on test.

    A pair is compared on the masks that both methods were scored on, by the metrics that judge. The
    pairs of the same metric, threshold_rule and class are one family.

    Parameters
    ----------
    table : table that `per_image` returns.
    settings : settings of the comparison; `baseline` is `method_b` in all its pairs.

    Returns
    -------
    metric, threshold_rule, class, method_a, method_b, n_masks, n_images, n_patients, and what
    `shamsul.evaluate.verdicts` tells of the mean of a - b: difference, low, high, p, p_adjusted,
    p_least, p_equivalent, detectable, verdict, note.
    """
    parts = of_families(
        table,
        lambda wide, metric, places: _family(wide, metric, places, settings, seed),
    )
    result = stacked(parts, COMPARISONS)
    return result.sort_values([*GROUP, "method_a", "method_b"], ignore_index=True)


def of_families(
    table: pd.DataFrame,
    rows: Callable[[ValueMatrix, str, dict[str, int]], dict[str, Any] | None],
) -> list[dict[str, Any]]:
    """Return the rows of each family on test: each metric, threshold_rule and class.

    Parameters
    ----------
    table : table that `per_image` returns.
    rows : function of a class's matrix, a metric and the places of the methods' columns, which
        returns columns by name, or None where there is nothing to compare.
    """
    parts = []
    for matrix in matrices(table[table["split"] == "test"]):
        for name, wide in matrix.classes():
            for rule, metric, places in families(wide):
                part = rows(wide, metric, places)
                if part is not None:
                    parts.append(part | {"class": name, "threshold_rule": rule, "metric": metric})
    return parts


def families(wide: ValueMatrix) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield each rule and metric of a matrix, with the places of the methods' columns by name.

    Metrics that do not judge, such as ceilings, make no family: there is nothing to be better in.
    """
    numbered = enumerate(wide.columns)
    for (rule, metric), group in itertools.groupby(numbered, key=lambda item: item[1][:2]):
        if of_table(metric).better != "neither":
            yield rule, metric, {method: place for place, (_, _, method) in group}


def _family(
    wide: ValueMatrix, metric: str, places: dict[str, int], settings: Comparison, seed: int
) -> dict[str, Any] | None:
    """Return the rows of one rule, metric and class, without these; None where no pair is."""
    methods = sorted(places, key=lambda method: (method == settings.baseline, method))
    pairs = list(itertools.combinations(methods, 2))
    first, second = ([places[pair[side]] for pair in pairs] for side in (0, 1))
    difference = wide.values[:, first] - wide.values[:, second]
    numbers = wide.numbers(difference)
    compared = np.flatnonzero(numbers["n_masks"] > 0)
    if not len(compared):
        return None
    difference = difference[:, compared]
    numbers = {name: number[compared] for name, number in numbers.items()}
    number, weights = numbers["n_patients"], wide.weights(difference)
    return {
        "method_a": [pairs[index][0] for index in compared],
        "method_b": [pairs[index][1] for index in compared],
        **numbers,
        **tested(difference, wide.patients, number, metric, settings, seed, weights),
    }
