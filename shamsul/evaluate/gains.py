"""Gain of each method over a baseline and a position prior, and its distance from a radiologist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from shamsul.evaluate.comparisons import families
from shamsul.evaluate.intervals import interval
from shamsul.evaluate.parameters import Comparison
from shamsul.evaluate.patients import Array, patient_sums, ratio, weighted_mean
from shamsul.evaluate.value_matrix import MACRO, NUMBERS, POOLED, ValueMatrix, matrices, stacked
from shamsul.evaluate.verdicts import TESTED, tested
from shamsul.metrics import FALSE_ALARMS, kind_of, of_outlines, of_table

ROLES = ("baseline", "prior", "radiologist")
"""Roles of the methods with which others are compared."""
Roles = Mapping[str, str | None]
"""Names of the methods in each of the `ROLES`, None where no method has it."""

FAMILY = ["reference", "class", "threshold_rule", "metric"]
GAINS = [
    *("split", "reference", "reference_method", "class", "method", "threshold_rule", "metric"),
    *(*NUMBERS, "prior_masks", "mean", "reference_mean", *TESTED[:-1]),
    *("ceiling", "ceiling_share", "percent", "percent_low", "percent_high", "note"),
]


def gains(table: pd.DataFrame, settings: Comparison, roles: Roles, seed: int) -> pd.DataFrame:
    """Return the difference of each method from each reference, on test.

    The two are compared on the masks that both were scored on. The methods of the same reference,
    class, threshold_rule and metric are one family.

    Parameters
    ----------
    table : table that `per_image` returns.
    settings : settings of the comparison.
    roles : names of the baseline, the prior and the radiologist.

    Returns
    -------
    split, reference (one of `ROLES`), reference_method, class (or `pooled` or `macro`), method,
    threshold_rule, metric, n_masks, n_images, n_patients, prior_masks (masks of tune that a
    position prior of the class is made of), mean, reference_mean (on the same image x class
    pairs), and what `shamsul.evaluate.verdicts` tells of the first less the second.
    ceiling : mean on the same pairs of what the expert's mask itself would have at the method's
    resolution; NaN for metrics that have none. ceiling_share : ``(mean - reference_mean) / (ceiling
    - reference_mean)``, the share of what the resolution leaves to gain; NaN where it leaves none.
    percent, percent_low, percent_high : shortfall of the method from the radiologist, in percent of
    the radiologist's mean (CheXlocalize's percent decrease): 100 where it finds nothing, negative
    where it is better. For a metric that is better when lower it is the excess. NaN for other
    references, for metrics that do not judge and where the mean is 0. Its interval is NaN for
    fewer than 20 patients, and for `macro`.
    """
    parts = []
    masks = tune_masks(table)
    for matrix in matrices(table[table["split"] == "test"]):
        for name, wide in matrix.classes():
            of_prior = sum(masks.values()) if name in (POOLED, MACRO) else masks.get(name, 0)
            for rule, metric, places in families(wide):
                for role in ROLES:
                    part = _against(
                        wide, (rule, metric), places, role, roles.get(role), settings, seed
                    )
                    if part is not None:
                        names = {"class": name, "threshold_rule": rule, "metric": metric}
                        known = of_prior if role == "prior" else 0
                        parts.append(part | names | {"prior_masks": known})
    result = stacked(parts, GAINS)
    return result.sort_values([*FAMILY, "method"], ignore_index=True)


def tune_masks(table: pd.DataFrame) -> dict[str, int]:
    """Return the number of masks on tune by class: outlines, or boxes where a class has none."""
    tune = table[(table["split"] == "tune") & (table["metric"].map(of_outlines) != FALSE_ALARMS)]
    kinds = tune["metric"].map(kind_of)
    numbers = [
        tune[kinds == kind].groupby("class")["image_id"].nunique()
        for kind in ("segmentation", "box")
    ]
    return {str(name): int(n) for name, n in numbers[0].combine_first(numbers[1]).items()}


def _against(
    wide: ValueMatrix,
    measured: tuple[str, str],
    places: dict[str, int],
    role: str,
    reference: str | None,
    settings: Comparison,
    seed: int,
) -> dict[str, Any] | None:
    """Return the rows of one rule, metric, class and reference; None where there are none."""
    if reference not in places:
        return None
    _, metric = measured
    own = {method: place for method, place in places.items() if method != reference}
    values, theirs = wide.values[:, list(own.values())], wide.values[:, [places[reference]]]
    both = ~np.isnan(values) & ~np.isnan(theirs)
    compared = np.flatnonzero(both.any(axis=0))
    if not len(compared):
        return None
    both, methods = both[:, compared], [list(own)[index] for index in compared]
    values = np.where(both, values[:, compared], np.nan)
    theirs = np.where(both, theirs, np.nan)
    numbers, weights = wide.numbers(values), wide.weights(values)
    number = numbers["n_patients"]
    return {
        "split": wide.split,
        "reference": role,
        "reference_method": reference,
        "method": methods,
        **numbers,
        "mean": weighted_mean(values, weights),
        "reference_mean": weighted_mean(theirs, weights),
        **tested(values - theirs, wide.patients, number, metric, settings, seed, weights),
        **_ceilings(wide, measured, values, theirs, methods, weights),
        **_shortfall(wide, metric, values, theirs, weights, settings, role == "radiologist"),
    }


def _ceilings(
    wide: ValueMatrix,
    measured: tuple[str, str],
    values: Array,
    theirs: Array,
    methods: list[str],
    weights: Array,
) -> dict[str, Array]:
    """Return the ceilings of values (N, K) of methods, and the share of the room below them."""
    places = {column: place for place, column in enumerate(wide.columns)}
    rule, metric = measured
    found = np.full(values.shape[1], np.nan)
    for index, method in enumerate(methods):
        place = places.get((rule, f"{metric}_ceiling", method))
        if place is not None:
            own = np.where(np.isnan(values[:, index]), np.nan, wide.values[:, place])
            found[index] = weighted_mean(own[:, None], weights[:, [index]])[0]
    room = found - weighted_mean(theirs, weights)
    gained = weighted_mean(values, weights) - weighted_mean(theirs, weights)
    share = np.divide(gained, room, out=np.full_like(room, np.nan), where=room > 0)
    return {"ceiling": found, "ceiling_share": share}


def _shortfall(
    wide: ValueMatrix,
    metric: str,
    values: Array,
    theirs: Array,
    weights: Array,
    settings: Comparison,
    wanted: bool,
) -> dict[str, Array]:
    """Return the percent by which values (N, K) fall short of a radiologist's, with its limits."""
    sign = -1.0 if of_table(metric).better == "higher" else 1.0
    nothing = np.full(values.shape[1], np.nan)
    names = ("percent", "percent_low", "percent_high")
    if not wanted:
        return dict.fromkeys(names, nothing)
    short, counts = patient_sums((values - theirs) * sign * weights, wide.patients)
    totals = np.stack([short, patient_sums(theirs * weights, wide.patients)[0]], axis=1)
    percent = 100 * ratio(totals.sum(axis=0, keepdims=True))[0]
    low = high = nothing
    if not wide.macro:
        endless = np.full(values.shape[1], np.inf)
        low, high = interval(totals, ratio, [counts], (-endless, endless), settings)
    return dict(zip(names, (percent, 100 * low, 100 * high), strict=True))
