"""Tests of a family of paired differences by flipping the signs of whole patients.

If two methods do equally well on every patient, swapping their names within a patient changes
nothing, so the sign of all of a patient's differences can be flipped: a paired permutation test
with patients as exchangeable blocks (Winkler et al., NeuroImage 2014 and 2015). It assumes that a
patient's difference is distributed symmetrically where the hypothesis holds. With skewed
differences of few patients it rejects a little too often, which `benchmarks.statistics` measures.

All differences of a family are flipped together. The largest of them in each flip is what chance
does with the best of many, so p-values are corrected without loss where differences go together
(step-down max-T; Westfall and Young, Resampling-Based Multiple Testing, 1993, algorithm 2.8), and
the same flips give intervals that hold for all at once.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.patients import Array, patient_sums, summable

PERMUTATIONS = 9999
"""Number of random sign flips of a test.

The smallest p-value is one in ten thousand, for a family of any size: max-T multiplies nothing.
"""
ENUMERATED = 12
"""Largest number of patients for which a test tries all sign flips, at most 4,096."""
BLOCK = 200_000
"""Number of values held at once, over flips and differences, so that they stay in the cache."""
POWER = 0.8
"""Chance with which the least detectable difference is found."""
TOLERANCE = 1e-9
"""Difference of two statistics that are equal on paper."""


@dataclass(frozen=True)
class Family:
    """Results of sign flips of K mean differences, (K,) each.

    Attributes
    ----------
    difference : mean over the N values.
    low, high : limits that hold for all K at once; NaN where too few patients leave none.
    p : two-sided p-value of the difference alone, in (0, 1].
    p_adjusted : p-value that holds for the family, step-down.
    p_least : least `p_adjusted` that the patients allow: that of differences of the same size which
        all have the same sign, the rest of the family as it is; at most `p_adjusted`.
    p_equivalent : p-value, for the family, of the hypothesis that the difference is `margin` or
        more (two one-sided tests; Schuirmann 1987); NaN without a margin.
    detectable : difference that would be found with a chance of `POWER`, NaN where none would.

    All but `difference` are NaN where fewer than `min_patients` patients have a difference.
    """

    difference: Array
    low: Array
    high: Array
    p: Array
    p_adjusted: Array
    p_least: Array
    p_equivalent: Array
    detectable: Array


def sign_flips(
    differences: Array,
    patients: ArrayLike,
    settings: Inference,
    seed: int,
    margin: float = np.nan,
    weights: Array | None = None,
) -> Family:
    """Test a family of paired differences, and bound them.

    For up to twelve patients all flips are tried, and p is the share of those that are as extreme
    as what was observed. For more patients random flips are tried, and the observed signs count as
    one of them, ``(1 + b) / (1 + m)`` (Phipson and Smyth, 2010), so that p is never 0.

    The statistic of a flip is ``|sum s_p| / sqrt(sum s_p^2)``, over the sums s_p of the patients;
    it rises with Student's t. An interval holds the means d for which the statistic of ``s_p - d
    n_p`` is at most the level that the largest of the family passes in a share of 1 - `confidence`
    of the flips of its residuals. It agrees with `p_adjusted`: where that rejects, it ends at 0 at
    the latest, and else it holds 0.

    Parameters
    ----------
    differences : (N, K); NaN where one is missing.
    patients : (N,) names of patients.
    settings : `confidence` and `min_patients`.
    margin : difference that does not matter, in the unit of the differences.
    weights : (N, K) weights of the values; 1 by default.
    """
    own = np.where(np.isnan(differences), np.nan, 1.0 if weights is None else weights)
    sums, counts = patient_sums(differences * own, patients)[0], patient_sums(own, patients)[0]
    sums, counts = summable(sums), summable(counts)
    total = counts.sum(axis=0)
    mean = np.divide(sums.sum(axis=0), total, out=np.zeros_like(total), where=total != 0)
    found = {name: np.full(len(total), np.nan) for name in Family.__dataclass_fields__}
    found["difference"] = mean
    wanted = (counts > 0).sum(axis=0) >= settings.min_patients
    if wanted.any():
        tested = _test(sums[:, wanted], counts[:, wanted], settings, seed, margin)
        for name, values in tested.items():
            found[name][wanted] = values
    return Family(**found)


def _test(
    sums: Array, counts: Array, settings: Inference, seed: int, margin: float
) -> dict[str, Array]:
    """Return the results of `Family`, but the mean, from sums and weights of patients (P, K)."""
    alpha = 1 - settings.confidence
    size = _lengths(sums)
    observed = np.abs(sums.sum(axis=0)) / size - TOLERANCE
    most = np.abs(sums).sum(axis=0) / size - TOLERANCE
    order = np.argsort(observed, kind="stable")
    residuals = summable(sums - counts * (sums.sum(axis=0) / counts.sum(axis=0)))
    spread = _lengths(residuals)
    number, extreme, adjusted, least, largest = 0, *np.zeros((3, len(size))), [np.zeros(0)]
    flips = _flips(len(sums), seed)
    step = max(1, BLOCK // sums.shape[1])
    for signs in (flips[start : start + step] for start in range(0, len(flips), step)):
        flipped = np.abs(signs @ sums) / size
        extreme = extreme + (flipped >= observed).sum(axis=0)
        # From the least observed up, the largest among those that are not more extreme.
        running = np.maximum.accumulate(flipped[:, order], axis=1)
        adjusted = adjusted + (running >= observed[order]).sum(axis=0)
        alike = np.abs(signs @ np.abs(sums)) / size
        least = least + _attained(flipped, alike, most)
        largest.append((np.abs(signs @ residuals) / spread).max(axis=1))
        number += len(signs)
    extra = len(sums) > ENUMERATED  # The observed signs are one of all flips, not of random ones.
    p, p_least, stepped = ((n + extra) / (number + extra) for n in (extreme, least, adjusted))
    p_adjusted = np.empty_like(p)
    # A more extreme difference has no larger p.
    p_adjusted[order] = np.maximum.accumulate(stepped[::-1])[::-1]
    level = np.sort(np.concatenate(largest))
    critical = _critical(level, alpha)
    bound = _bounds(sums, counts, critical)
    detectable = _detectable(residuals, counts, critical)
    p_least = np.minimum(p_least, p_adjusted)
    return {
        "p": p,
        "p_adjusted": p_adjusted,
        "p_least": p_least,
        **_agreeing(*bound, sums.sum(axis=0), p_adjusted < alpha),
        "p_equivalent": _equivalence(sums, counts, level, margin, extra),
        "detectable": np.where(p_least < alpha, detectable, np.nan),
    }


def _lengths(sums: Array) -> Array:
    """Return the root of each column's sum of squares (P, K); 1 where all are 0."""
    size = np.sqrt(summable(sums**2).sum(axis=0))
    return np.where(size > 0, size, 1.0)


@functools.lru_cache(maxsize=4)
def _flips(patients: int, seed: int) -> Array:
    """Return sign flips (F, P) of -1 and 1: all of few patients, random ones of many.

    Of a flip and its opposite, which tell the same, one is enough where all are tried.
    """
    if patients <= ENUMERATED:
        half = np.arange(2 ** (patients - 1))
        return np.asarray((half[:, None] >> np.arange(patients) & 1) * 2.0 - 1.0)
    size = (PERMUTATIONS, patients)
    return np.asarray(np.random.default_rng(seed).integers(0, 2, size=size) * 2.0 - 1.0)


def _attained(flipped: Array, alike: Array, most: Array) -> Array:
    """Return how many flips attain `most` (K,) in the column's own `alike` or in another column.

    Parameters
    ----------
    flipped, alike : (F, K) statistics as they are, which are used up, and with all of a column's
        signs alike.
    """
    rows, top = np.arange(len(flipped)), flipped.argmax(axis=1)
    first = flipped[rows, top].copy()
    found = ((alike >= most) | (first[:, None] >= most)).sum(axis=0).astype(float)
    # Where the column is the largest itself, the second of the row is the largest of the others.
    flipped[rows, top] = 0
    second, own, limit = flipped.max(axis=1), alike[rows, top], most[top]
    passed = (np.maximum(second, own) >= limit).astype(float)
    np.add.at(found, top, passed - (np.maximum(first, own) >= limit))
    return found


def _critical(ordered: Array, alpha: float) -> float:
    """Return the level that a share of at most `alpha` of the sorted flips passes."""
    return float(ordered[min(int(np.ceil((1 - alpha) * len(ordered))), len(ordered)) - 1])


def _bounds(sums: Array, counts: Array, critical: float) -> tuple[Array, Array]:
    """Return the means d at which ``|sum (s - d n)| = critical sqrt(sum (s - d n)^2)``.

    They are the roots of a quadratic. They are NaN where there are none, so that any mean would do,
    and where all patients differ by the same.
    """
    total, number = sums.sum(axis=0), counts.sum(axis=0)
    a = number**2 - critical**2 * (counts**2).sum(axis=0)
    b = total * number - critical**2 * (sums * counts).sum(axis=0)
    c = total**2 - critical**2 * (sums**2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(np.maximum(b * b - a * c, 0))
        low, high = (b - root) / a, (b + root) / a
    largest = np.abs(sums).max(axis=0)
    varies = np.abs(sums - counts * (total / number)).max(axis=0) > 1e-12 * largest
    known = varies & (a > 1e-9 * number**2)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def _agreeing(low: Array, high: Array, total: Array, told: NDArray[np.bool_]) -> dict[str, Array]:
    """Return limits that hold 0 where no difference was told, and end there where one was."""
    low = np.where(told, np.where(total > 0, np.maximum(low, 0), low), np.minimum(low, 0))
    high = np.where(told, np.where(total < 0, np.minimum(high, 0), high), np.maximum(high, 0))
    return {"low": low, "high": high}


def _equivalence(sums: Array, counts: Array, level: Array, margin: float, extra: bool) -> Array:
    """Return the p-values of a difference of `margin` or more, the worse of two one-sided tests."""
    if np.isnan(margin):
        return np.full(sums.shape[1], np.nan)
    above, below = sums + margin * counts, sums - margin * counts
    from_below = above.sum(axis=0) / _lengths(above)
    from_above = -below.sum(axis=0) / _lengths(below)
    least = np.minimum(from_below, from_above) - TOLERANCE
    passed = len(level) - np.searchsorted(level, least, side="left")
    return np.where(least > 0, (passed + extra) / (len(level) + extra), 1.0)


def _detectable(residuals: Array, counts: Array, critical: float) -> Array:
    """Return the difference that passes with a chance of `POWER`; NaN where none does."""
    from scipy.special import stdtrit

    number = (counts > 0).sum(axis=0)
    error = np.sqrt(number / (number - 1)) * np.sqrt((residuals**2).sum(axis=0))
    error = error / counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # The statistic u has t = u sqrt((n - 1) / (n - u^2)).
        student = critical * np.sqrt((number - 1) / (number - critical**2))
    return np.where(number > critical**2, (student + stdtrit(number - 1, POWER)) * error, np.nan)
