"""ROAD: logits of the network once pixels are imputed from their neighbours.

A constant in place of pixels tells the network where they were, and the shape of what is missing
may speak for a class. Noisy linear imputation leaves less of a trace (Rong et al., ICML 2022,
section 4.2): each missing pixel is the weighted mean of its eight neighbours, missing or not, plus
a little noise. That is a system of linear equations, one for each missing pixel.

Maps without detail remove connected regions, which imputation cannot bring back, and score higher
for it (Song et al., 2023, arXiv 2304.13836). Compare with the controls `random` and `blurred`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from shamsul.size import Size, pair

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the image's pixels that are imputed."""
NOISE = 0.01
"""Standard deviation of the noise on imputed pixels, on the grey scale of 0 to 1."""
BESIDE, DIAGONAL = 1 / 6, 1 / 12
"""Weights of a pixel's neighbours; those beyond the border weigh nothing and the others more."""


class Imputer:
    """Linear imputation of images of one size.

    Parameters
    ----------
    size : height H and width W, or the side of a square.
    """

    def __init__(self, size: int | Size) -> None:
        height, width = pair(size)
        # A border of one pixel stands around the image, so that every pixel has eight neighbours.
        line = width + 2
        self._steps = {
            down * line + right: DIAGONAL if down and right else BESIDE
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if down or right
        }
        inside = self._bordered(np.ones((height, width)))
        moved = [weight * np.roll(inside, -step) for step, weight in self._steps.items()]
        self._weight = np.sum(moved, axis=0)

    def __call__(self, image: NDArray[np.number], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the image with its hidden pixels imputed, without noise.

        The matrix is symmetric and positive definite. With the pixels in the image's order it is
        also banded, since no neighbour is more than a line away, and its Cholesky factor fills the
        band alone.

        Parameters
        ----------
        image : (H, W).
        hidden : (H, W), not True throughout.

        Returns
        -------
        (H, W) float64.
        """
        missing = np.flatnonzero(self._bordered(hidden))
        place = np.full(self._weight.shape, -1)
        place[missing] = np.arange(len(missing))
        known = self._bordered(np.where(hidden, 0, image))
        right = np.sum(
            [weight * known[missing + step] for step, weight in self._steps.items()], axis=0
        )
        before = {step: place[missing + step] for step in self._steps if step < 0}
        width = max(
            int((place[missing] - other)[other >= 0].max(initial=0)) for other in before.values()
        )
        # Column n holds the diagonal's entry n in its last row, and above it those before it.
        band = np.zeros((width + 1, len(missing)), order="F")
        band[width] = self._weight[missing]
        for step, other in before.items():
            column = np.flatnonzero(other >= 0)
            band[width + other[column] - column, column] = -self._steps[step]
        filled = image.astype(np.float64)
        filled[hidden] = solveh_banded(band, right, overwrite_ab=True, check_finite=False)
        return filled

    def _bordered(self, image: NDArray[Any]) -> NDArray[np.float64]:
        """Return an image (H, W) in a border of zeros, flat: ((H + 2) * (W + 2),)."""
        return np.pad(image.astype(np.float64), 1).ravel()


def imputed(
    imputer: Imputer, grey: NDArray[np.uint8], order: NDArray[np.intp], seed: int
) -> NDArray[np.float32]:
    """Return an image without its most relevant pixels, then without its least relevant ones.

    The channels that the model sees are straight lines of the grey value and the neighbours'
    weights sum to one, so that imputing the grey value imputes all channels.

    Parameters
    ----------
    grey : (H, W), 0-255.
    order : (H * W,) places of pixels, most relevant first.
    seed : seed of the noise, which is the same field for all versions.

    Returns
    -------
    (2, len(SHARES), H, W) grey values.
    """
    noise = 255 * NOISE * np.random.default_rng(seed).standard_normal(grey.shape)
    versions = []
    for direction in (order, order[::-1]):
        for share in SHARES:
            hidden = np.zeros(grey.shape, bool)
            hidden.flat[direction[: round(share * grey.size)]] = True
            versions.append(imputer(grey, hidden) + noise * hidden)
    return np.array(versions, np.float32).reshape(2, len(SHARES), *grey.shape)
