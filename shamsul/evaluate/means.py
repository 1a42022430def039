"""Means by group, with intervals over patients: the one place where tables of means are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.evaluate.intervals import Bounds, Statistic, interval, mean_interval, why_none
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.patients import Array, patient_sums, ratio
from shamsul.evaluate.value_matrix import MACRO, NUMBERS, POOLED, count, stacked
from shamsul.metrics import of_table

UNIT = ["patient_id", "image_id", "class"]
"""Columns that name an image x class pair, and the order in which pairs are added up."""
MEANS = [*NUMBERS, "mean", "low", "high", "note"]
"""Columns of an estimate."""


def means(
    table: pd.DataFrame,
    values: str | Sequence[str],
    by: Sequence[str],
    settings: Inference,
    *,
    beside: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the mean of each group with its interval over patients.

    Parameters
    ----------
    table : one row for each image x class pair and group, with the columns of `UNIT`.
    values : column of the values, or several, which are metrics; NaN where one is missing.
    by : columns whose values make groups of rows. Without `class` among them each group is divided
        into classes, and is itself two more: `pooled`, and `macro`, the mean over classes.
    settings : settings of the intervals.
    beside : columns whose values make groups of the same rows; then `values` is one. It names the
        metric where `metric` is not among them.

    Returns
    -------
    The columns of `by`, class where it is not among them, those of `beside` (or `metric` for
    several values), and `MEANS`. The rows of all classes come first in each group. The mean is NaN
    where a group has no value.
    """
    parts: list[dict[str, Any]] = []
    # Sorted once: rows of a group stay in this order.
    table = table if beside else table.sort_values(UNIT, kind="stable")
    for key, group in groups(table, by):
        if beside:
            matrix = group.pivot(index=UNIT, columns=list(beside), values=values).sort_index()
            names = {name: matrix.columns.get_level_values(name).tolist() for name in beside}
            numbers, pairs = matrix.to_numpy(float), matrix.index.to_frame()
        else:
            names = {"metric": list(values)}
            numbers, pairs = group[names["metric"]].to_numpy(float), group[UNIT]
        metrics = names.get("metric", [str(values)] * numbers.shape[1])
        macro = key["class"] == MACRO
        parts.append(
            names | key | estimates(numbers, pairs, bounds(metrics), settings, macro=macro)
        )
    return stacked(parts, [*dict.fromkeys([*by, "class"]), *(beside or ["metric"]), *MEANS])


def groups(table: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield the names and rows of each group and class, `pooled` and `macro` first; see `means`."""
    for key, group in table.groupby(list(by)) if by else [((), table)]:
        names = dict(zip(by, key, strict=True))
        if "class" in names:
            yield names, group
            continue
        if len(group):
            yield names | {"class": POOLED}, group
            yield names | {"class": MACRO}, group
        for name, part in group.groupby("class"):
            yield names | {"class": str(name)}, part


def estimates(
    values: Array,
    pairs: pd.DataFrame,
    limits: Bounds,
    settings: Inference,
    mean: Callable[[Array], Array] | None = None,
    *,
    macro: bool = False,
) -> dict[str, Any]:
    """Return the mean of each of K columns with its interval.

    Parameters
    ----------
    values : (N, K), NaN where one is missing.
    pairs : (N rows) patient_id, image_id and class.
    limits : smallest and largest possible values.
    settings : settings of the intervals.
    mean : function from values to their means (K,); by default that of each column by itself. It
        decides on the order in which numbers are added, and so on the last bits.
    macro : True where the mean is that over classes of their means.

    Returns
    -------
    `MEANS` by name, K values each. `note` tells why there is no interval, and is empty otherwise.
    """
    numbers, mean = count(values, pairs), mean or column_means
    patients = pairs["patient_id"].to_numpy(object)
    if macro:
        codes, names = pd.factorize(pairs["class"])
        parts = [np.where((codes == code)[:, None], values, np.nan) for code in range(len(names))]
        found = over_classes(np.array([mean(part) for part in parts]))
        low, high = _macro_interval(parts, patients, limits, settings)
    else:
        found = mean(values)
        low, high = mean_interval(values, patients, limits, settings)
    bounded = np.isfinite(limits[0]) & np.isfinite(limits[1])
    why = zip(numbers["n_patients"], bounded, low, strict=True)
    notes = [why_none(patients, settings.min_patients, known, end) for patients, known, end in why]
    return {**numbers, "mean": found, "low": low, "high": high, "note": notes}


def _macro_interval(
    parts: list[Array], patients: Array, limits: Bounds, settings: Inference
) -> tuple[Array, Array]:
    """Return intervals of the mean over classes, of values (N, K) by class."""
    totals = [patient_sums(part, patients) for part in parts]
    sums = np.stack([array for pair in totals for array in pair], axis=1)
    number = np.array([counts.sum(axis=0) for _, counts in totals])
    weights = sum(
        counts / np.maximum(total, 1) for (_, counts), total in zip(totals, number, strict=True)
    )
    return interval(sums, _macro(number > 0), [np.asarray(weights)], limits, settings)


def _macro(present: NDArray[np.bool_]) -> Statistic:
    """Return the statistic of sums and numbers of C classes in turn, (N, 2 C, K).

    It is the mean over the classes that are present (C, K), NaN where one has no value left.
    """

    def statistic(totals: Array) -> Array:
        by_class = totals.reshape(len(totals), -1, 2, totals.shape[2])
        means = np.where(present, ratio(by_class), 0.0)
        return np.asarray(means.sum(axis=1) / np.maximum(present.sum(axis=0), 1))

    return statistic


def over_classes(means: Array) -> Array:
    """Return the mean over classes (C, K) that have one: (K,), NaN where none has."""
    number = (~np.isnan(means)).sum(axis=0)
    return np.where(number > 0, np.nansum(means, axis=0) / np.maximum(number, 1), np.nan)


def bounds(metrics: Sequence[str]) -> Bounds:
    """Return the smallest and largest possible values of metrics, by their names in a table."""
    found = [of_table(str(name)) for name in metrics]
    return np.array([m.low for m in found], float), np.array([m.high for m in found], float)


def column_means(values: Array) -> Array:
    """Return the mean of each column's values (N, K) that are not NaN: (K,), NaN where none is."""
    known = [column[~np.isnan(column)] for column in values.T]
    return np.array([column.mean() if len(column) else np.nan for column in known], float)
