"""Similarity of two heatmaps, and complexity and sparseness of one; no torch here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

BINS = 100
"""Number of bins of the histogram whose entropy is a map's complexity."""
NEGLIGIBLE = 1e-5
"""Fraction of a map's largest absolute value below which a value counts for nothing."""


def spearman(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Return Spearman's rank correlation of two maps of one shape, signed values, ties averaged.

    Two constant maps are the same map (1); a constant one and another have nothing in common (0).

    Returns
    -------
    In [-1, 1]; NaN where a value is not finite.
    """
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.nan
    constant = [bool((values == values.flat[0]).all()) for values in (a, b)]
    if any(constant):
        return float(all(constant))
    return float(np.corrcoef([_ranks(values) for values in (a, b)])[0, 1])


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ranks from 1, ties averaged: those of `scipy.stats.rankdata`, slow to import."""
    _, place, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    averages = counts.cumsum() - (counts - 1) / 2
    return averages[place]


def random_logit(heatmap: NDArray[np.floating], others: Sequence[NDArray[np.floating]]) -> float:
    """Return the mean rank correlation of a map with the maps of the image's other classes.

    A method whose maps of all classes are alike explains no class (Sixt et al., ICML 2020).

    Parameters
    ----------
    heatmap : (h, w), signed.
    others : at least one, (h, w) each.
    """
    return float(np.mean([spearman(heatmap, other) for other in others]))


CLASS_SPECIFICITY: dict[
    str, Callable[[NDArray[np.floating], Sequence[NDArray[np.floating]]], float]
] = {"random_logit": random_logit}
"""Metrics of a map and the maps of the image's other classes, by name."""


def complexity(heatmap: NDArray[np.floating]) -> float:
    """Return the entropy in nats of a map's values, in `BINS` bins between its extremes.

    The measure is that of Hedström et al., 2024 (arXiv 2405.02383). It lies in [0, ln `BINS`], is 0
    where the map is constant, and NaN where a value is not finite.
    """
    values = np.asarray(heatmap, np.float64)
    low, high = values.min(), values.max()
    if not np.isfinite(high - low):
        return np.nan
    if low == high:
        return 0.0
    counts, _ = np.histogram((values - low) / (high - low), BINS, (0, 1))
    # `scipy.stats.entropy` to the last bit, without its import.
    return float(entr(counts / counts.sum()).sum())


def sparseness(heatmap: NDArray[np.floating]) -> float:
    """Return the Gini index of a map's absolute values (Chalasani et al., ICML 2020).

    ``sum_i (2 i - n - 1) a_i / (n sum_i a_i)`` with the values ``a_i`` ascending, i from 1 to n.

    Returns
    -------
    0 where all are equal, near 1 where one cell has everything; 0 for a map of zeros, NaN where a
    value is not finite.
    """
    values = np.sort(np.abs(np.asarray(heatmap, np.float64)), axis=None)
    total = values.sum()
    if not np.isfinite(total):
        return np.nan
    count = len(values)
    ranks = 2.0 * np.arange(1, count + 1) - count - 1
    return float(ranks @ values / (count * total)) if total else 0.0


def effective_complexity(heatmap: NDArray[np.floating]) -> float:
    """Return the share of a map's cells that are not negligible, in [0, 1] (Nguyen and Martínez,
    arXiv 2007.07584).

    The paper counts them. A share can be compared between maps of different resolutions. It is 0
    for a map of zeros, and NaN where a value is not finite.
    """
    values = np.abs(np.asarray(heatmap, np.float64))
    highest = values.max()
    if not np.isfinite(highest):
        return np.nan
    return float((values > NEGLIGIBLE * highest).mean())


SHAPE: dict[str, Callable[[NDArray[np.floating]], float]] = {
    "sparseness": sparseness,
    "effective_complexity": effective_complexity,
}
"""Metrics of a map by itself, at its own resolution, by name."""
