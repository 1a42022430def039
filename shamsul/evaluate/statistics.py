"""Intervals and tests in which the patient, not the image, is the unit.

Images of one patient, and findings of one image, are not independent. So patients are resampled
(the cluster bootstrap; Davison and Hinkley, Bootstrap Methods and their Application, 1997, section
3.8), and what is computed from one set of resamples can be compared. Everything that is estimated
here is a function of sums over patients, so that a replicate is a weighted sum and never touches
an image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from shamsul.evaluate.parameters import Resampling

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Function from N sets of M sums for K quantities, (N, M, K), to N values of each, (N, K)."""

PERMUTATIONS = 9999
"""Number of random sign flips of a test; the smallest p-value is one in ten thousand."""
ENUMERATED = 12
"""Largest number of patients for which a test tries all sign flips, at most 4,096."""
BLOCK = 8_000_000
"""Number of values held at once, over replicates or flips and all quantities: 64 MB."""


def patient_sums(values: Array, patients: ArrayLike) -> tuple[Array, Array]:
    """Return the sum and the number of each patient's values.

    Parameters
    ----------
    values : (N, K), K quantities of N images; NaN where one is missing.
    patients : (N,) names of patients.

    Returns
    -------
    Two (P, K) arrays, in the sorted order of the P patients.
    """
    codes, names = pd.factorize(np.asarray(patients, dtype=object), sort=True)
    present = ~np.isnan(values)
    sums, counts = np.zeros((2, len(names), values.shape[1]))
    np.add.at(sums, codes, np.where(present, values, 0.0))
    np.add.at(counts, codes, present)
    return sums, counts


def patient_weights(patients: int, replicates: int, seed: int) -> Array:
    """Return how often each patient is drawn in each bootstrap replicate.

    Parameters
    ----------
    patients : number of patients P, at least 1.
    replicates : number of replicates R.

    Returns
    -------
    (R, P) whole numbers, each row summing to P: P draws with replacement. Quantities that are
    weighted with the same matrix are resampled together.
    """
    generator = np.random.default_rng(seed)
    shares = np.full(patients, 1 / patients)
    return generator.multinomial(patients, shares, size=replicates).astype(np.float64)


def ratio(totals: Array) -> Array:
    """Return the first of two sums over the second, a mean or share; NaN where the second is 0."""
    above, below = totals[:, 0], totals[:, 1]
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def bootstrap_interval(
    values: Array, patients: ArrayLike, settings: Resampling, seed: int
) -> tuple[Array, Array]:
    """Return intervals of the means of K quantities, all on the same resampled patients.

    Parameters
    ----------
    values : (N, K); NaN where one is missing.
    patients : (N,) names of patients.
    settings : see `interval`, and `min_patients`.

    Returns
    -------
    Low and high, (K,) each. They are NaN where fewer than `min_patients` patients have a value,
    since too little is known then about how patients differ.
    """
    sums, counts = patient_sums(values, patients)
    enough = (counts > 0).sum(axis=0) >= settings.min_patients
    return interval(np.stack([sums, counts], axis=1), ratio, enough, settings, seed)


def interval(
    totals: Array, statistic: Statistic, enough: NDArray[np.bool_], settings: Resampling, seed: int
) -> tuple[Array, Array]:
    """Return bootstrap intervals of K functions of sums over patients.

    Parameters
    ----------
    totals : (P, M, K), M sums of each patient for each quantity, such as sum and number of values.
    statistic : function of the M sums over all patients; NaN where it is not defined.
    enough : (K,) True for the quantities of which an interval is wanted.
    settings : `replicates`; `confidence` in (0, 1); `interval`, which is `percentile` or `bca`
        (bias-corrected and accelerated; Efron, JASA 1987), its acceleration from leaving out one
        patient at a time. BCa falls back to percentiles where it is not defined: where all
        replicates are equal, or lie on one side of the estimate.

    Returns
    -------
    Low and high, (K,) each. Replicates in which the statistic is NaN are left out.
    """
    patients, parts, _ = totals.shape
    weights = patient_weights(patients, settings.replicates, seed)
    low, high = np.full((2, totals.shape[2]), np.nan)
    wanted = np.flatnonzero(enough)
    step = max(1, BLOCK // (settings.replicates * parts))
    for start in range(0, len(wanted), step):
        columns = wanted[start : start + step]
        own = _summable(totals[:, :, columns])
        drawn = (weights @ own.reshape(patients, -1)).reshape(-1, parts, len(columns))
        replicates = statistic(drawn)
        tail = (1 - settings.confidence) / 2
        levels = np.repeat([[tail], [1 - tail]], len(columns), axis=1)
        if settings.interval == "bca":
            whole = own.sum(axis=0, keepdims=True)
            levels = bca_levels(statistic(whole)[0], replicates, statistic(whole - own), levels)
        low[columns], high[columns] = _quantiles(replicates, levels)
    return low, high


def bca_levels(estimate: Array, replicates: Array, jackknife: Array, levels: Array) -> Array:
    """Return the quantiles of the replicates at which BCa reads the limits (Efron, JASA 1987).

    They are ``Phi(z0 + (z0 + z) / (1 - a (z0 + z)))`` for ``z = Phi^-1(level)``. The bias ``z0``
    follows from the share of replicates below the estimate (ties count half), the acceleration
    ``a`` from the skewness of the jackknife.

    Parameters
    ----------
    estimate : (K,) from all patients.
    replicates : (R, K), NaN where not defined.
    jackknife : (P, K), without one patient each, NaN where not defined.
    levels : (L, K) in (0, 1).

    Returns
    -------
    (L, K) in [0, 1]; as `levels` where BCa is not defined.
    """
    from scipy.special import ndtr, ndtri

    valid = (~np.isnan(replicates)).sum(axis=0)
    below = (replicates < estimate).sum(axis=0) + (replicates == estimate).sum(axis=0) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = ndtri(below / valid)
        deviation = np.nansum(jackknife, axis=0) / (~np.isnan(jackknife)).sum(axis=0) - jackknife
        spread = np.nansum(deviation**2, axis=0)
        acceleration = np.where(
            spread > 0, np.nansum(deviation**3, axis=0) / (6 * spread**1.5), 0.0
        )
        shifted = bias + ndtri(levels)
        stretch = 1 - acceleration * shifted
        corrected = ndtr(bias + shifted / stretch)
    # Both limits or none, else the one could pass the other.
    defined = (np.isfinite(corrected) & (stretch > 0)).all(axis=0)
    return np.where(defined, corrected, levels)


def _summable(totals: Array) -> Array:
    """Return the patients' sums, rounded so that any P of them add up without rounding error.

    So no result depends on the order of additions, which differs between numbers of threads and
    of columns. Values become multiples of a power of two that leaves 52 bits to the largest sum.
    """
    largest = np.abs(totals).max(axis=0) * len(totals)
    exponent = 52 - np.frexp(largest)[1]
    rounded: Array = np.ldexp(np.rint(np.ldexp(totals, exponent)), -exponent)
    return rounded


def _quantiles(replicates: Array, levels: Array) -> Array:
    """Return each column's quantiles (L, K), interpolated linearly, NaN left out."""
    ordered = np.sort(replicates, axis=0)  # NaN last
    place = levels * np.maximum((~np.isnan(ordered)).sum(axis=0) - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.ceil(place).astype(np.int64)
    low, high = (np.take_along_axis(ordered, index, axis=0) for index in (below, above))
    return low + (place - below) * (high - low)


def sign_flip_test(
    differences: Array, patients: ArrayLike, settings: Resampling, seed: int
) -> Array:
    """Return two-sided p-values of the hypothesis that the mean of paired differences is zero.

    If two methods do equally well on every patient, swapping their names within a patient changes
    nothing, so the sign of all of a patient's differences can be flipped (a paired permutation
    test with patients as exchangeable blocks; Winkler et al., NeuroImage 2015). For up to twelve
    patients with a difference all flips are tried, and p is the share of those that are as extreme
    as what was observed. For more patients random flips are tried, and the observed signs count as
    one of them, ``(1 + b) / (1 + m)`` (Phipson and Smyth, 2010), so that p is never 0.

    Parameters
    ----------
    differences : (N, K); NaN where one is missing.
    patients : (N,) names of patients.
    settings : `min_patients`.

    Returns
    -------
    (K,) in (0, 1]; NaN where fewer than `min_patients` patients have a difference.
    """
    sums, counts = patient_sums(differences, patients)
    sums, own = _summable(sums), counts > 0
    wanted = own.sum(axis=0) >= settings.min_patients
    few = wanted & (own.sum(axis=0) <= ENUMERATED)
    p = np.full(len(wanted), np.nan)
    for those in np.unique(own[:, few], axis=1).T:  # Each set of patients with a difference.
        columns = few & (own == those[:, None]).all(axis=0)
        flips = np.arange(2 ** those.sum())[:, None] >> np.arange(those.sum()) & 1
        p[columns] = _extreme(flips, sums[np.ix_(those, columns)]) / len(flips)
    many = wanted & ~few
    if many.any():
        flips = np.random.default_rng(seed).integers(0, 2, size=(PERMUTATIONS, len(sums)))
        p[many] = (1 + _extreme(flips, sums[:, many])) / (1 + PERMUTATIONS)
    return p


def _extreme(flips: NDArray[np.int64], sums: Array) -> Array:
    """Return the number (K,) of flips (F, P), 0 or 1, that leave sums (P, K) as extreme."""
    signs = flips * 2.0 - 1.0
    # What is equal on paper may differ in the last bits.
    observed = np.abs(sums.sum(axis=0)) - 1e-9 * np.abs(sums).sum(axis=0)
    extreme = np.zeros(sums.shape[1])
    step = max(1, BLOCK // len(signs))
    for start in range(0, sums.shape[1], step):
        part = slice(start, start + step)
        extreme[part] = (np.abs(signs @ sums[:, part]) >= observed[part]).sum(axis=0)
    return extreme


def holm(p: ArrayLike) -> Array:
    """Correct a family of p-values by Holm's step-down (Scandinavian J. of Statistics, 1979).

    Parameters
    ----------
    p : (K,) p-values; NaN ones stay so and do not count.
    """
    values: NDArray[Any] = np.asarray(p, dtype=float)
    adjusted = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def too_few(patients: int, least: int) -> str:
    """Return the note of a table where patients are fewer than the least; empty otherwise."""
    if patients >= least:
        return ""
    return (
        f"{patients} {'patient' if patients == 1 else 'patients'}, fewer than {least}: no interval"
    )
