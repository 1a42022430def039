"""CheXlocalize's intervals and its decrease from the human benchmark, from the table of images.

As in Saporta et al. (Nature Machine Intelligence 2022), images are resampled and not patients, each
metric and method from the same seed. A replicate's mean leaves out what is NaN in it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.errors import InputError

REPLICATES = 1000
LOWER, UPPER = 24, 974
"""Places of the interval's ends among the sorted replicates."""
AVERAGE = "average"
"""Name of the row over all classes."""

COLUMNS = {
    "method": "str",
    "metric": "str",
    "class": "str",
    "n": "Int64",
    "n_images": "Int64",
    "lower": "float64",
    "mean": "float64",
    "upper": "float64",
    "threshold": "str",
    "probability_cutoff": "float64",
    "percent_decrease": "float64",
    "percent_lower": "float64",
    "percent_upper": "float64",
}
"""Columns of the summary and their types.

class : name of the class, or `average`, which they give where there is a human benchmark, without
an interval.
n : number of images that count.
n_images : number of images that were resampled.
lower, mean, upper : numbers in [0, 1], three decimals; the mean is that of the replicates.
percent_* : lost percentage of the human benchmark's value; null without one, and for itself.
"""


def summarise(per_image: pd.DataFrame, human: str | None = None) -> pd.DataFrame:
    """Return the figures of each method, metric and class.

    Parameters
    ----------
    per_image : tables of `shamsul.evaluate.chexlocalize.scores.measure` of any methods, joined.
    human : method that is the human benchmark; there may be none.

    Returns
    -------
    Columns `COLUMNS`, sorted by metric and method, classes by name and then `average`. Empty where
    no image of any method counts.

    Raises
    ------
    InputError
        The human benchmark is not among the methods.
    """
    if per_image.empty:
        return pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    if human is not None and human not in set(per_image["method"]):
        raise InputError(
            f"evaluate.radiologist: no method {human!r} among {sorted(set(per_image['method']))}"
        )
    rows: list[dict[str, Any]] = []
    for metric, of_metric in per_image.groupby("metric"):
        values = {
            str(method): group.pivot(index="image_id", columns="class", values="value")
            for method, group in of_metric.groupby("method")
        }
        replicates = {method: bootstrap(table.to_numpy()) for method, table in values.items()}
        notes = of_metric.groupby(["method", "class"])[["threshold", "probability_cutoff"]].first()
        for method, table in values.items():
            key = {"method": method, "metric": metric}
            ends = [interval(column) for column in replicates[method].T]
            own = [
                key
                | {
                    "class": name,
                    "n": int(table[name].notna().sum()),
                    "n_images": len(table),
                    **dict(zip(("lower", "mean", "upper"), ends[index], strict=True)),
                    **notes.loc[(method, name)],
                }
                for index, name in enumerate(table.columns)
            ]
            if human in values:
                whole = _average(replicates[method])
                own.append(key | {"class": AVERAGE, "n_images": len(table), "mean": whole})
                if method != human:
                    lost = _decrease(replicates[method], replicates[human])
                    own = [row | extra for row, extra in zip(own, lost, strict=True)]
            rows += own
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def bootstrap(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of resampled images.

    Parameters
    ----------
    values : (N, C), of images sorted by name; NaN where an image does not count.

    Returns
    -------
    (1000, C), NaN where no image of a resample counts.
    """
    random = np.random.RandomState(0)
    numbers = ~np.isnan(values.T)
    filled = np.ascontiguousarray(np.where(numbers, values.T, 0))
    means = np.full((REPLICATES, values.shape[1]), np.nan)
    for mean in means:
        drawn = random.choice(len(values), size=len(values), replace=True)
        # Summing class by class, and not by weights, rounds as their sums do.
        total, count = filled[:, drawn].sum(axis=1), numbers[:, drawn].sum(axis=1)
        np.divide(total, count, out=mean, where=count > 0)
    return means


def interval(replicates: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return lower end, mean, upper end of replicates (1000,), three decimals; NaN sorts last."""
    ordered = np.sort(replicates)
    found = (ordered[LOWER], _mean(ordered), ordered[UPPER])
    return tuple(float(np.round(value, 3)) for value in found)  # type: ignore[return-value]


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are numbers; NaN where none is."""
    numbers = ~np.isnan(values)
    return float(np.where(numbers, values, 0).sum() / numbers.sum()) if numbers.any() else np.nan


def _average(replicates: NDArray[np.float64]) -> float:
    """Return the mean over classes of their replicates' means, three decimals."""
    return float(np.round(_mean(np.array([_mean(column) for column in replicates.T])), 3))


def _decrease(own: NDArray[np.float64], human: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return the percent decrease from the human benchmark by class, and of the average.

    Parameters
    ----------
    own, human : (1000, C) replicates.

    Returns
    -------
    percent_decrease, percent_lower and percent_upper of C classes and the average. It is infinite
    or NaN where the human benchmark is zero, as theirs is.
    """
    found = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for ours, theirs in zip(own.T, human.T, strict=True):
            low, _, high = interval((theirs - ours) / theirs)
            benchmark = np.float64(_mean(theirs))
            lost = (benchmark - _mean(ours)) / benchmark * 100
            found.append((lost, low * 100, high * 100))
        ours, theirs = (np.array([_mean(row) for row in table]) for table in (own, human))
        low, _, high = interval(100 * (theirs - ours) / theirs)
        benchmark = np.float64(_average(human))
        found.append(((benchmark - _average(own)) / benchmark * 100, low, high))
    names = ("percent_decrease", "percent_lower", "percent_upper")
    return [dict(zip(names, map(float, np.round(row, 3)), strict=True)) for row in found]
