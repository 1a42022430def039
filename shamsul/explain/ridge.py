"""Weighted ridge regression in closed form, as scikit-learn's `Ridge` solves it.

scikit-learn takes longer to import than LIME takes to fit a shard whose predictions are shared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def coefficients(x: Array, y: Array, weights: Array, penalty: float = 1.0) -> Array:
    """Return the coefficients of a ridge regression with an intercept that is not penalised.

    ``min_b sum_n w_n (y_n - a - x_n b)^2 + penalty |b|^2`` by the normal equations (Hoerl and
    Kennard, Technometrics 1970). The digits are those of `sklearn.linear_model.Ridge` where there
    are more samples than features.

    Parameters
    ----------
    x : (N, M) features.
    y : (N, C) targets.
    weights : (N,) weights of the samples, positive.
    penalty : weight of the squared coefficients.

    Returns
    -------
    (M, C) coefficients.
    """
    from scipy import linalg

    root = np.sqrt(weights)[:, np.newaxis]
    x = (x - np.average(x, axis=0, weights=weights)) * root
    y = np.asarray(y, x.dtype)
    y = (y - np.average(y, axis=0, weights=weights)) * root
    gram = x.T @ x
    gram.flat[:: len(gram) + 1] += penalty
    return np.asarray(linalg.solve(gram, x.T @ y, assume_a="pos", overwrite_a=True))
