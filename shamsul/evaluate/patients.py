"""Sums over patients: the patient, not the image, is the unit of every interval and test.

Images of one patient, and findings of one image, are not independent. So everything that is
estimated is a function of sums over patients, and never touches an image again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


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


def summable(totals: Array) -> Array:
    """Return the patients' sums, rounded so that any P of them add up without rounding error.

    So no result depends on the order of additions, which differs between numbers of threads and
    of columns. Values become multiples of a power of two that leaves 52 bits to the largest sum.
    """
    largest = np.abs(totals).max(axis=0, initial=0) * len(totals)
    exponent = 52 - np.frexp(largest)[1]
    rounded: Array = np.ldexp(np.rint(np.ldexp(totals, exponent)), -exponent)
    return rounded


def effective(counts: Array) -> Array:
    """Return how many patients of equal weight tell as much as these (Kish, Survey Sampling, 1965).

    Parameters
    ----------
    counts : (P, K) number of values of each patient, which is the patient's weight.

    Returns
    -------
    (K,) ``(sum n)^2 / sum n^2``, from 1 to the number of patients with a value; 0 where none has.
    """
    above, below = summable(counts).sum(axis=0) ** 2, summable(counts**2).sum(axis=0)
    return np.divide(above, below, out=np.zeros_like(below), where=below > 0)


def ratio(totals: Array) -> Array:
    """Return the first of two sums over the second, a mean or share; NaN where the second is 0.

    Parameters
    ----------
    totals : (..., 2, K), such as N sets, or N sets of C classes.

    Returns
    -------
    (..., K).
    """
    above, below = totals[..., 0, :], totals[..., 1, :]
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def weighted_mean(values: Array, weights: Array) -> Array:
    """Return the weighted mean (K,) of each column of values (N, K), without those that are NaN."""
    present = np.where(np.isnan(values), 0.0, weights)
    return np.asarray((np.nan_to_num(values) * present).sum(axis=0) / present.sum(axis=0))


def too_few(patients: int, least: int) -> str:
    """Return the note of a table where patients are fewer than the least; empty otherwise."""
    if patients >= least:
        return ""
    return (
        f"{patients} {'patient' if patients == 1 else 'patients'}, fewer than {least}: no interval"
    )
