"""Gain of each method over a baseline and a position prior, and its distance from a radiologist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from shamsul.evaluate.parameters import Resampling
from shamsul.evaluate.statistics import (
    bootstrap_interval,
    holm,
    interval,
    patient_sums,
    ratio,
    sign_flip_test,
    too_few,
)
from shamsul.evaluate.value_matrix import NUMBERS, ValueMatrix, matrices
from shamsul.metrics import of_table

ROLES = ("baseline", "prior", "radiologist")
"""Roles of the methods with which others are compared."""
Roles = Mapping[str, str | None]
"""Names of the methods in each of the `ROLES`, None where no method has it."""

FAMILY = ["reference", "class", "threshold_rule", "metric"]
GAINS = [
    *("split", "reference", "reference_method", "class", "method", "threshold_rule", "metric"),
    *(*NUMBERS, "mean", "reference_mean", "difference", "low", "high", "p", "p_adjusted"),
    *("percent", "percent_low", "percent_high", "note"),
]


def gains(table: pd.DataFrame, settings: Resampling, roles: Roles, seed: int) -> pd.DataFrame:
    """Return the difference of each method from each reference, on test.

    The two are compared on the masks that both were scored on.

    Parameters
    ----------
    table : table that `per_image` returns.
    settings : `replicates`, `confidence`, `interval` and `min_patients`.
    roles : names of the baseline, the prior and the radiologist.

    Returns
    -------
    split, reference (one of `ROLES`), reference_method, class (or `pooled`), method,
    threshold_rule, metric, n_masks, n_images, n_patients, mean, reference_mean (on the same image
    x class pairs), difference (the first less the second), low, high (patient bootstrap), p
    (`sign_flip_test`), p_adjusted (Holm over the methods of the same reference, class,
    threshold_rule and metric).
    percent, percent_low, percent_high : shortfall of the method from the radiologist, in percent of
    the radiologist's mean (CheXlocalize's percent decrease): 100 where it finds nothing, negative
    where it is better. For a metric that is better when lower it is the excess. NaN for other
    references, for metrics that do not judge and where the mean is 0.
    note : why there is no interval.
    """
    parts = [pd.DataFrame(columns=GAINS)]
    for matrix in matrices(table[table["split"] == "test"]):
        for name, wide in matrix.classes():
            for role in ROLES:
                method = roles.get(role)
                part = _against(wide, role, method, settings, seed) if method else None
                if part is not None:
                    parts.append(part.assign(**{"class": name})[GAINS])
    result = pd.concat(parts[1:] or parts, ignore_index=True)
    for _, family in result.groupby(FAMILY):
        result.loc[family.index, "p_adjusted"] = holm(family["p"])
    return result.sort_values([*FAMILY, "method"], ignore_index=True)


def _against(
    wide: ValueMatrix, role: str, reference: str, settings: Resampling, seed: int
) -> pd.DataFrame | None:
    """Return the rows of one class and reference, without the class; None where none are."""
    places = {column: index for index, column in enumerate(wide.columns)}
    pairs = [
        (index, places[rule, metric, reference])
        for (rule, metric, method), index in places.items()
        if method != reference and (rule, metric, reference) in places
    ]
    if not pairs:
        return None
    first, second = np.transpose(pairs)
    own, theirs = wide.values[:, first], wide.values[:, second]
    both = ~np.isnan(own) & ~np.isnan(theirs)
    own, theirs = np.where(both, own, np.nan), np.where(both, theirs, np.nan)
    difference = own - theirs
    numbers = wide.numbers(difference)
    low, high = bootstrap_interval(difference, wide.patients, settings, seed)
    columns = [wide.columns[index] for index in first]
    found: dict[str, Any] = {
        "split": wide.split,
        "reference": role,
        "reference_method": reference,
        **numbers,
        **{"mean": _mean(own), "reference_mean": _mean(theirs), "difference": _mean(difference)},
        **{"low": low, "high": high},
        "p": sign_flip_test(difference, wide.patients, settings, seed),
        **dict.fromkeys(["p_adjusted", "percent", "percent_low", "percent_high"], np.nan),
        "note": [too_few(count, settings.min_patients) for count in numbers["n_patients"]],
    }
    if role == "radiologist":
        sign = np.array([_worse(metric) for _, metric, _ in columns])
        short = patient_sums(difference * sign, wide.patients)[0]
        totals = np.stack([short, patient_sums(theirs, wide.patients)[0]], axis=1)
        enough = (numbers["n_patients"] >= settings.min_patients) & ~np.isnan(sign)
        share = ratio(totals.sum(axis=0, keepdims=True))[0]
        found["percent"] = np.where(np.isnan(sign), np.nan, 100 * share)
        low, high = interval(totals, ratio, enough, settings, seed)
        found |= {"percent_low": 100 * low, "percent_high": 100 * high}
    part = wide.index(columns).assign(**found)
    return part[part["n_masks"] > 0]


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the mean of each column; 0 where it has no value, and then no row."""
    return np.nansum(values, axis=0) / np.maximum((~np.isnan(values)).sum(axis=0), 1)


def _worse(metric: str) -> float:
    """Return the sign of a difference to the method's disadvantage; NaN where neither is."""
    return {"higher": -1.0, "lower": 1.0, "neither": np.nan}[of_table(metric).better]
