"""Means by group, with intervals over patients: the one place where tables of means are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from shamsul.evaluate.parameters import Resampling
from shamsul.evaluate.statistics import Array, bootstrap_interval, too_few
from shamsul.evaluate.value_matrix import NUMBERS, POOLED, count

UNIT = ["patient_id", "image_id", "class"]
"""Columns that name an image x class pair, and the order in which pairs are added up."""
MEANS = [*NUMBERS, "mean", "low", "high", "note"]
"""Columns of an estimate."""


def means(
    table: pd.DataFrame,
    values: str | Sequence[str],
    by: Sequence[str],
    settings: Resampling,
    seed: int,
    *,
    beside: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the mean of each group with its patient-bootstrap interval.

    Parameters
    ----------
    table : one row for each image x class pair and group, with the columns of `UNIT`.
    values : column of the values, or several, which are metrics; NaN where one is missing.
    by : columns whose values make groups that are resampled apart from each other. Without `class`
        among them each group is divided into classes, and is itself one more, `pooled`.
    settings : settings of the resampling.
    beside : columns whose values make groups that are resampled together; then `values` is one.

    Returns
    -------
    The columns of `by`, class where it is not among them, those of `beside` (or `metric` for
    several values), and `MEANS`. Pooled rows come first in each group. The mean is NaN where a
    group has no value.
    """
    parts = []
    for key, group in groups(table, by):
        if beside:
            matrix = group.pivot(index=UNIT, columns=list(beside), values=values).sort_index()
        else:
            matrix = group.set_index(UNIT)[list(values)].sort_index().rename_axis(columns="metric")
        found = estimates(matrix.to_numpy(float), matrix.index.to_frame(), settings, seed)
        parts.append(matrix.columns.to_frame(index=False).assign(**key, **found))
    columns = [*dict.fromkeys([*by, "class"]), *(beside or ["metric"]), *MEANS]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def groups(table: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield the names and rows of each group and class, `pooled` first in a group; see `means`."""
    for key, group in table.groupby(list(by)) if by else [((), table)]:
        names = dict(zip(by, key, strict=True))
        if "class" in names:
            yield names, group
            continue
        if len(group):
            yield names | {"class": POOLED}, group
        for name, part in group.groupby("class"):
            yield names | {"class": str(name)}, part


def estimates(
    values: Array,
    pairs: pd.DataFrame,
    settings: Resampling,
    seed: int,
    mean: Callable[[Array], Array] | None = None,
) -> dict[str, Any]:
    """Return the mean of each of K columns with its interval, all on the same resamples.

    Parameters
    ----------
    values : (N, K), NaN where one is missing.
    pairs : (N rows) patient_id and image_id.
    settings : settings of the resampling.
    mean : function from values to their means (K,); by default that of each column by itself. It
        decides on the order in which numbers are added, and so on the last bits.

    Returns
    -------
    `MEANS` by name, K values each. `note` tells why there is no interval, and is empty otherwise.
    """
    numbers = count(values, pairs)
    low, high = bootstrap_interval(values, pairs["patient_id"], settings, seed)
    return {
        **numbers,
        "mean": (mean or column_means)(values),
        "low": low,
        "high": high,
        "note": [too_few(patients, settings.min_patients) for patients in numbers["n_patients"]],
    }


def column_means(values: Array) -> Array:
    """Return the mean of each column's values (N, K) that are not NaN: (K,), NaN where none is."""
    known = [column[~np.isnan(column)] for column in values.T]
    return np.array([column.mean() if len(column) else np.nan for column in known], float)
