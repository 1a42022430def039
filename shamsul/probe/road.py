"""ROAD: logits of the network once pixels are imputed from their neighbours.

A constant in place of pixels tells the network where they were, and the shape of what is missing
may speak for a class. Noisy linear imputation leaves less of a trace (Rong et al., ICML 2022,
section 4.2): each missing pixel is the weighted mean of its eight neighbours, missing or not, plus
a little noise. That is a system of linear equations, one for each missing pixel.

Maps without detail remove connected regions, which imputation cannot bring back, and score higher
for it (Song et al., 2023, arXiv 2304.13836). Compare with the controls `random` and `blurred`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the image's pixels that are imputed."""
NOISE = 0.01
"""Standard deviation of the noise on imputed pixels, on the grey scale of 0 to 1."""
BESIDE, DIAGONAL = 1 / 6, 1 / 12
"""Weights of a pixel's neighbours; those beyond the border weigh nothing and the others more."""


class Imputer:
    """Linear imputation of square images of one side.

    Parameters
    ----------
    side : S.
    """

    def __init__(self, side: int) -> None:
        beside = sparse.diags([1.0, 1.0], [-1, 1], shape=(side, side))
        middle = sparse.eye(side)
        weights = (
            BESIDE * (sparse.kron(beside, middle) + sparse.kron(middle, beside))
            + DIAGONAL * sparse.kron(beside, beside)
        ).tocsr()
        self._system = (sparse.diags(np.asarray(weights.sum(1)).ravel()) - weights).tocsr()

    def __call__(self, image: NDArray[np.number], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the image with its hidden pixels imputed, without noise.

        Parameters
        ----------
        image : (S, S).
        hidden : (S, S), not True throughout.

        Returns
        -------
        (S, S) float64.
        """
        missing = hidden.ravel()
        filled = image.astype(np.float64).ravel()
        rows = self._system[missing]
        # The matrix is symmetric and positive definite, which this ordering makes use of.
        solver = splu(
            rows[:, missing].tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        filled[missing] = solver.solve(-rows[:, ~missing] @ filled[~missing])
        return filled.reshape(image.shape)


def imputed(
    imputer: Imputer, grey: NDArray[np.uint8], order: NDArray[np.intp], seed: int
) -> NDArray[np.float32]:
    """Return an image without its most relevant pixels, then without its least relevant ones.

    The channels that the model sees are straight lines of the grey value and the neighbours'
    weights sum to one, so that imputing the grey value imputes all channels.

    Parameters
    ----------
    grey : (S, S), 0-255.
    order : (S * S,) places of pixels, most relevant first.
    seed : seed of the noise, which is the same field for all versions.

    Returns
    -------
    (2, len(SHARES), S, S) grey values.
    """
    noise = 255 * NOISE * np.random.default_rng(seed).standard_normal(grey.shape)
    versions = []
    for direction in (order, order[::-1]):
        for share in SHARES:
            hidden = np.zeros(grey.shape, bool)
            hidden.flat[direction[: round(share * grey.size)]] = True
            versions.append(imputer(grey, hidden) + noise * hidden)
    return np.array(versions, np.float32).reshape(2, len(SHARES), *grey.shape)
