"""Intervals and tests in which the patient, not the image, is the unit.

Images of one patient, and findings of one image, are not independent. So patients are resampled
(the cluster bootstrap; Davison and Hinkley, Bootstrap Methods and their Application, 1997, section
3.8), and what is computed from one set of resamples can be compared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

PERMUTATIONS = 9999
"""Random sign flips of a test: the smallest p-value is one in ten thousand."""


def patient_sums(
    values: NDArray[np.float64], patients: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of each patient's values.

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


def patient_weights(patients: int, replicates: int, seed: int) -> NDArray[np.float64]:
    """How often each patient is drawn in each bootstrap replicate.

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


def bootstrap_interval(
    values: NDArray[np.float64],
    patients: ArrayLike,
    replicates: int,
    confidence: float,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile intervals of the means of K quantities, all on the same resampled patients.

    Parameters
    ----------
    values : (N, K); NaN where one is missing.
    patients : (N,) names of patients.
    replicates, seed : of the bootstrap.
    confidence : in (0, 1).

    Returns
    -------
    Low and high, (K,) each; NaN where fewer than two patients have a value, since nothing is
    known then about how patients differ.
    """
    sums, counts = patient_sums(values, patients)
    weights = patient_weights(len(sums), replicates, seed)
    with np.errstate(invalid="ignore"):
        means = (weights @ sums) / (weights @ counts)
    tail = (1 - confidence) / 2
    known = (counts > 0).sum(axis=0) >= 2
    low, high = np.full((2, values.shape[1]), np.nan)
    if known.any():
        low[known], high[known] = np.nanquantile(means[:, known], [tail, 1 - tail], axis=0)
    return low, high


def sign_flip_test(
    differences: NDArray[np.float64], patients: ArrayLike, seed: int
) -> NDArray[np.float64]:
    """Two-sided p-values of paired differences: is their mean zero?

    If two methods do equally well on every patient, swapping their names within a patient changes
    nothing, so the sign of all of a patient's differences can be flipped (a paired permutation
    test with patients as exchangeable blocks; Winkler et al., NeuroImage 2015). The p-value counts
    the observed signs as one of the permutations, ``(1 + b) / (1 + m)`` (Phipson and Smyth, 2010),
    so it is never 0.

    Parameters
    ----------
    differences : (N, K); NaN where one is missing.
    patients : (N,) names of patients.

    Returns
    -------
    (K,) in (0, 1]; NaN where fewer than two patients have a difference.
    """
    sums, counts = patient_sums(differences, patients)
    generator = np.random.default_rng(seed)
    signs = generator.integers(0, 2, size=(PERMUTATIONS, len(sums))) * 2.0 - 1.0
    observed = np.abs(sums.sum(axis=0))
    rounding = 1e-9 * np.abs(sums).sum(axis=0)
    extreme = (np.abs(signs @ sums) >= observed - rounding).sum(axis=0)
    p = (1 + extreme) / (1 + PERMUTATIONS)
    return np.where((counts > 0).sum(axis=0) >= 2, p, np.nan)


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down correction of a family of p-values (Scandinavian J. of Statistics, 1979).

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
