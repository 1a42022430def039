"""Confidence intervals of functions of sums over patients.

The variance is the jackknife's over patients (Efron and Stein, Annals of Statistics 1981). A
quantity with bounds, such as an IoU, a rate or a difference of two, gets the interval of Korn and
Graubard (Survey Methodology 1998): the exact one of Clopper and Pearson for as many independent
trials as have that variance, fewer by what is not known of the variance itself. It never has no
width, and it is as lopsided as its place between the bounds asks for. How often these intervals
hold the truth, beside a bootstrap's, is in `docs/explanation/coverage.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.patients import Array, effective, patient_sums, ratio, summable, too_few

Statistic = Callable[[Array], Array]
"""Function from N sets of M sums for K quantities, (N, M, K), to N values of each, (N, K)."""
Bounds = tuple[Array, Array]
"""Smallest and largest possible value of K quantities, (K,) each; infinite where there is none."""

UNBOUNDED_PATIENTS = 20
"""Fewest patients for the interval of a quantity without bounds.

With fewer, no interval holds the mean of skewed values as often as it says.
"""
GROUPS = 100
"""Number of groups of patients, of which one at a time is left out; at most as many as patients.

It is for what is no function of a few sums, such as a precision of all pixels.
"""


def mean_interval(
    values: Array, patients: NDArray[np.object_], bounds: Bounds, settings: Inference
) -> tuple[Array, Array]:
    """Return intervals of the means of K quantities.

    Parameters
    ----------
    values : (N, K); NaN where one is missing.
    patients : (N,) names of patients.
    bounds : smallest and largest possible values.
    settings : `confidence` and `min_patients`.

    Returns
    -------
    Low and high, (K,) each. They are NaN where fewer than `min_patients` patients have a value.
    """
    sums, counts = patient_sums(values, patients)
    return interval(np.stack([sums, counts], axis=1), ratio, [counts], bounds, settings)


def interval(
    totals: Array,
    statistic: Statistic,
    counts: Sequence[Array],
    bounds: Bounds,
    settings: Inference,
) -> tuple[Array, Array]:
    """Return intervals of K functions of sums over patients.

    Parameters
    ----------
    totals : (P, M, K), M sums of each patient for each quantity, such as sum and number of values.
    statistic : function of the M sums over all patients; NaN where it is not defined.
    counts : (P, K) arrays: the number of values of each patient in each part that the quantity
        compares. The part that tells least decides how well the variance is known.
    bounds : smallest and largest possible values.
    settings : `confidence` in (0, 1) and `min_patients`.

    Returns
    -------
    Low and high, (K,) each. They are NaN where a part has fewer than `min_patients` patients, where
    the quantity is not defined without one of them, and where it has no bounds and fewer than
    `UNBOUNDED_PATIENTS`.
    """
    estimate, variance = jackknife(totals, statistic)
    patients = np.min([(part > 0).sum(axis=0) for part in counts], axis=0)
    known = np.min([effective(part) for part in counts], axis=0)
    low, high = limits(estimate, variance, known, bounds, settings.confidence)
    enough = (patients >= settings.min_patients) & ~np.isnan(variance)
    bounded = np.isfinite(bounds[0]) & np.isfinite(bounds[1])
    enough &= bounded | (patients >= UNBOUNDED_PATIENTS)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def jackknife(totals: Array, statistic: Statistic) -> tuple[Array, Array]:
    """Return K functions of sums over patients, and their variances; see `interval`."""
    own = summable(totals)
    whole = own.sum(axis=0, keepdims=True)
    variance = jackknife_variance(statistic(whole - own), (totals != 0).any(axis=1))
    return statistic(whole)[0], variance


def jackknife_variance(without: Array, present: NDArray[np.bool_]) -> Array:
    """Return the jackknife's variance ``(n - 1) / n * sum (t_i - mean t)^2``.

    Parameters
    ----------
    without : (P, K) estimates without one patient each.
    present : (P, K) True where the patient has a value; the others change nothing.

    Returns
    -------
    (K,), NaN where an estimate is not defined or fewer than two patients have a value.
    """
    number = present.sum(axis=0)
    kept = np.where(present, without, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.where(present, without - summable(kept).sum(axis=0) / number, 0.0)
        found = (number - 1) / number * summable(deviation**2).sum(axis=0)
    return np.where(number > 1, found, np.nan)


def limits(
    estimate: Array, variance: Array, patients: Array, bounds: Bounds, confidence: float
) -> tuple[Array, Array]:
    """Return the limits of K estimates, whatever the number of patients.

    With bounds it is the interval of Korn and Graubard (1998), with ``x = n p`` and ``n = p (1 - p)
    / v * (z / t)^2``, where p and v are estimate and variance on the way between the bounds, and t
    has one degree of freedom less than there are patients: from the quantile of Beta(x, n - x + 1)
    to that of Beta(x + 1, n - x). Where the variance is 0, n is the number of patients. Without
    bounds it is Student's t interval.

    Parameters
    ----------
    estimate, variance, patients : (K,) each; `patients` is an effective number, not always whole.
    bounds : smallest and largest possible values.
    confidence : coverage in (0, 1).
    """
    from scipy.special import ndtri, stdtrit

    tail = (1 - confidence) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        t = stdtrit(np.maximum(patients - 1, 0), 1 - tail)
        reach = t * np.sqrt(variance)
        low, high = estimate - reach, estimate + reach
        bounded = np.isfinite(bounds[0]) & np.isfinite(bounds[1])
        span = np.where(bounded, bounds[1] - bounds[0], 1.0)
        share = np.clip((estimate - np.where(bounded, bounds[0], 0.0)) / span, 0, 1)
        trials = share * (1 - share) / (variance / span**2) * (ndtri(1 - tail) / t) ** 2
    # What is equal on paper may differ in the last bits.
    exact = variance <= 1e-20 * span**2
    ends = _beta_limits(share, np.where(exact, patients, trials), tail)
    return (
        np.where(bounded, bounds[0] + ends[0] * span, low),
        np.where(bounded, bounds[0] + ends[1] * span, high),
    )


def _beta_limits(share: Array, trials: Array, tail: float) -> tuple[Array, Array]:
    """Return Clopper and Pearson's limits of `share` of `trials`, neither of them whole."""
    from scipy.special import betaincinv

    hits, misses = share * trials, (1 - share) * trials
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, betaincinv(np.maximum(hits, 1e-300), misses + 1, tail), 0.0)
        high = np.where(misses > 0, betaincinv(hits + 1, np.maximum(misses, 1e-300), 1 - tail), 1.0)
    unknown = np.isnan(trials)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


def why_none(patients: int, least: int, bounded: bool, low: float) -> str:
    """Return the note of an estimate whose interval starts at `low`; empty where there is one."""
    if low == low:
        return ""
    if patients >= least and not bounded and patients < UNBOUNDED_PATIENTS:
        least = UNBOUNDED_PATIENTS
    return too_few(patients, least) or "not defined without one of the patients: no interval"
