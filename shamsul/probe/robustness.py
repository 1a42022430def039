"""Robustness of heatmaps to a little noise on the radiograph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating]


def noisy(grey: NDArray[np.uint8], count: int, radius: float, seed: int) -> NDArray[np.float32]:
    """Return versions of an image with uniform noise of up to `radius` (grey scale of 0 to 1).

    Parameters
    ----------
    grey : (H, W) uint8.

    Returns
    -------
    (count, H, W) float32 on a scale of 0 to 255, which noise may leave by a little.
    """
    noise = np.random.default_rng(seed).uniform(-radius, radius, (count, *grey.shape))
    return (grey + 255 * noise).astype(np.float32)


def max_sensitivity(heatmap: Map, others: Map) -> float:
    """Return ``max_n |map_n - map| / |map|`` over maps of noisy versions of an image.

    It is Eq. 3 of Yeh et al. (NeurIPS 2019), divided by the map's own norm as captum does, for maps
    have no common unit; by 1 where that norm is zero.

    Parameters
    ----------
    heatmap : (h, w).
    others : (n, h, w).
    """
    own = heatmap.astype(np.float64)
    furthest = np.sqrt(((others - own) ** 2).sum((1, 2))).max()
    return float(furthest / (np.linalg.norm(own) or 1))


ROBUSTNESS: dict[str, Callable[[Map, Map], float]] = {"max_sensitivity": max_sensitivity}
"""Metrics of a map (h, w) and the same method's maps (n, h, w) of noisy versions, by name."""
