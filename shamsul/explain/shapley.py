"""Shapley values of superpixels by Gaussian-process quadrature.

A game ``v`` gives every subset of M superpixels a value, the network's output when they are shown;
the Shapley value of superpixel i is ``v(S + i) - v(S)`` averaged over all orders of adding
superpixels one by one. Only some subsets can be asked about. Kernel SHAP fits a linear game to
them and calls all else noise. Here the rest is modelled too: the game is a linear trend plus a
Gaussian process whose covariance falls with the number of superpixels that two subsets differ in,

    ``k(S, T) = rho ** |S xor T|``

so that interactions of few superpixels are thought likelier than those of many. The posterior mean
passes through every value that was asked for, and its Shapley values, which are linear in it, have
a closed form (`of_kernel`). This is Bayesian quadrature (O'Hagan, J. Statistical Planning and
Inference 1991) for the sum that defines the Shapley value. Values add up to ``v(all) - v(none)``
exactly, and are exact when all subsets have been asked for.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CORRELATIONS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Candidate values of `rho`."""
ENOUGH = 256
"""Number of subsets that are used to choose `rho`, or four for each superpixel where that is
more."""
NUGGET = 1e-9
"""Term added to the covariance's diagonal of ones, so that rounding does not make it singular."""


def draw(superpixels: int, samples: int, seed: int) -> NDArray[np.bool_]:
    """Draw distinct subsets to ask about, in pairs of a subset and its complement.

    First none and all; then every superpixel alone and all but it; then subsets whose size is
    uniform over what is left, as the leverage scores of the linear regression have it (Musco and
    Witter, ICLR 2025). Of pairs, odd interactions alone are left to disturb the values (Covert and
    Lee, AISTATS 2021).

    Parameters
    ----------
    superpixels : M.
    samples : largest number of subsets; fewer where there are no more.

    Returns
    -------
    (n, M) bool; n is even.
    """
    generator = np.random.default_rng(seed)
    alone = np.eye(superpixels, dtype=bool)
    pairs = [np.zeros(superpixels, bool), *alone]
    seen = {subset.tobytes() for subset in (*pairs, *~np.array(pairs))}
    while len(pairs) < samples // 2 and len(seen) < 2**superpixels:
        subset = np.zeros(superpixels, bool)
        subset[generator.permutation(superpixels)[: generator.integers(2, superpixels - 1)]] = True
        if subset.tobytes() not in seen:
            seen |= {subset.tobytes(), (~subset).tobytes()}
            pairs.append(subset)
    first = np.array(pairs[: max(1, samples // 2)])
    both = np.stack([first, ~first], 1).reshape(-1, superpixels)
    return both[np.sort(np.unique(both, axis=0, return_index=True)[1])]  # M = 1: alone is all.


def values(subsets: NDArray[np.bool_], outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the Shapley values of the game that was asked about.

    Parameters
    ----------
    subsets : (n, M), among them none and all; n may be less than M.
    outputs : (n, K), the game's values for K classes.

    Returns
    -------
    (M, K). `rho` is the one under which the outputs of all classes together are likeliest
    (restricted maximum likelihood, each class with a variance of its own), judged by some hundred
    of the subsets.
    """
    subsets, first = np.unique(subsets, axis=0, return_index=True)
    outputs = outputs[first]
    count, superpixels = subsets.shape
    shown = subsets.astype(float)
    different = shown @ (1 - shown.T)
    different += different.T
    # The trend: a constant and, where there are subsets enough, a slope for every superpixel.
    trend = np.ones((count, 1))
    if count > 2 * (superpixels + 1):
        trend = np.hstack([trend, shown - 0.5])
    # Some of the subsets tell which correlation fits; all of them are then fitted once.
    some = np.random.default_rng(0).permutation(count)[: max(ENOUGH, 4 * superpixels)]
    fits = [
        _fit(r, different[np.ix_(some, some)], trend[some], outputs[some]) for r in CORRELATIONS
    ]
    rho = CORRELATIONS[int(np.argmax([likelihood for likelihood, *_ in fits]))]
    _, slopes, residuals = _fit(rho, different, trend, outputs)
    inside, outside = of_kernel(superpixels, rho)
    size = subsets.sum(1)
    found = np.where(subsets, inside[size][:, None], outside[size][:, None]).T @ residuals
    return found + slopes[1:] if trend.shape[1] > 1 else found


def _fit(
    rho: float,
    different: NDArray[np.float64],
    trend: NDArray[np.float64],
    outputs: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the log-likelihood, the coefficients of the trend (P, K) and of the kernel (n, K)."""
    from scipy.linalg import cholesky, solve_triangular  # Here, because it is slow to import.

    covariance = rho**different
    covariance[np.diag_indices_from(covariance)] += NUGGET
    lower = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    white = solve_triangular(lower, np.hstack([trend, outputs]), lower=True)
    basis, whitened = white[:, : trend.shape[1]], white[:, trend.shape[1] :]
    gram = basis.T @ basis
    slopes = np.linalg.solve(gram, basis.T @ whitened)
    left = whitened - basis @ slopes
    free = len(outputs) - trend.shape[1]
    # A class whose output never changes says nothing of rho; its variance must not be zero.
    floor = np.finfo(float).tiny + 1e-12 * (outputs**2).mean(0)
    variance = np.maximum((left**2).sum(0) / free, floor)
    determinants = np.log(np.diag(lower)).sum() + np.linalg.slogdet(gram)[1] / 2
    likelihood = -free / 2 * np.log(variance).sum() - outputs.shape[1] * determinants
    return likelihood, slopes, solve_triangular(lower, left, lower=True, trans="T")


@functools.cache
def of_kernel(superpixels: int, rho: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Shapley values of the game ``S -> rho ** |S xor T|``, for T of every size.

    The game is a product over superpixels, so its multilinear extension is one too, and the Shapley
    value is the integral of its slope along the diagonal (Owen, Management Science 1972): a
    polynomial of degree M - 1, which Gauss-Legendre quadrature integrates exactly.

    Returns
    -------
    Two (M + 1,): of a superpixel inside T and of one outside, by the size of T.
    """
    nodes, weights = np.polynomial.legendre.leggauss(superpixels // 2 + 1)
    at = (nodes[:, None] + 1) / 2
    agree, differ = at + (1 - at) * rho, (1 - at) + at * rho
    size = np.arange(superpixels + 1)
    with np.errstate(divide="ignore"):
        product = agree**size * differ ** (superpixels - size)
    inside = (1 - rho) / 2 * weights @ (product / agree)
    outside = -(1 - rho) / 2 * weights @ (product / differ)
    return inside, outside


@contextlib.contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, and put it back: shap draws from no other."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
