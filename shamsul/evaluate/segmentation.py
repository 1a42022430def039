"""From a heatmap to a segmentation: levels, histograms, thresholds.

A map is quantised to 256 levels once. Counting the levels inside and outside the expert's mask
then holds everything that any threshold needs: foreground is ``level > threshold`` throughout.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shamsul.data.geometry import Frame, to_original

LEVELS = 256
ROUNDING = 1e-6
"""Relative difference below which two values of an interpolated map are the same: the weights of
float32 interpolation leave about a tenth of this on a map that is constant."""


def positive_part(heatmap: NDArray[np.floating]) -> NDArray[np.float32]:
    """Evidence for the class: ``max(heatmap, 0)``, of any shape.

    Negative relevance speaks against the class, so it must not count towards where the class is
    seen. Min-max scaling of the signed map instead would lift all that is irrelevant (zero) to a
    middle level wherever one pixel is negative, and a segmentation could become the whole image.
    """
    return np.maximum(heatmap, 0, dtype=np.float32)


def relevance(heatmap: NDArray[np.floating], frame: Frame) -> NDArray[np.float32]:
    """Positive relevance on the radiograph's own pixels.

    Parameters
    ----------
    heatmap : (h, w), signed, of any resolution, covering the model's frame evenly.
    frame : the frame of the radiograph.

    Returns
    -------
    (height, width) float32, at least 0. Where a crop kept the radiograph from the model it is the
    map's lowest value, so that it never counts as relevant. Zero throughout where the map is
    constant but for rounding: such a map points nowhere.
    """
    evidence = positive_part(heatmap)
    original = to_original(evidence, frame, outside=float(evidence.min()))
    low, high = original.min(), original.max()
    return original if high - low > ROUNDING * high else np.zeros_like(original)


def quantise(original: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Min-max scaling of a map to 256 levels, ``floor(255 (x - min) / (max - min))``.

    As CheXlocalize does it (Saporta et al., Nature Machine Intelligence 2022).

    Parameters
    ----------
    original : (height, width) float32.

    Returns
    -------
    (height, width) uint8; all 0 where the map is constant.
    """
    low, high = original.min(), original.max()
    if low == high:
        return np.zeros(original.shape, np.uint8)
    scaled = original - low
    scaled /= high - low
    scaled *= LEVELS - 1
    return scaled.astype(np.uint8)


def histograms(
    level: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many pixels have each level, inside and outside of a mask.

    Parameters
    ----------
    level, mask : (height, width).

    Returns
    -------
    Two (256,) arrays.
    """
    cell = level.ravel() + LEVELS * mask.ravel().astype(np.uint16)
    count = np.bincount(cell, minlength=2 * LEVELS)
    return count[LEVELS:], count[:LEVELS]


def hit(original: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Whether the most relevant pixel lies in the mask: the pointing game, with ties averaged.

    Zhang et al., IJCV 2018, count a hit or a miss of one maximum; which one is arbitrary where
    several pixels share it, as they do on superpixels, so the fraction of them that hit is taken.

    Parameters
    ----------
    original : (height, width) relevance.
    mask : (height, width).

    Returns
    -------
    In [0, 1]. On a constant map all pixels tie, and the value is chance: the mask's share of the
    image.
    """
    high = original.max()
    top = original >= high - ROUNDING * abs(high)
    return np.count_nonzero(top & mask) / np.count_nonzero(top)


def above(histogram: NDArray[np.integer]) -> NDArray[np.integer]:
    """Number of pixels with ``level > t`` for each t: (..., 256) histogram -> (..., 256)."""
    upwards = np.cumsum(histogram[..., ::-1], axis=-1)[..., ::-1]
    return upwards - histogram


def iou(inside: NDArray[np.integer], outside: NDArray[np.integer]) -> NDArray[np.float64]:
    """Intersection over union of mask and segmentation, ``tp / (tp + fp + fn)``.

    Parameters
    ----------
    inside, outside : (..., 256) histograms; `inside` must not be empty.

    Returns
    -------
    (..., 256), one for each threshold, in [0, 1]; 0 where the segmentation is empty.
    """
    return above(inside) / (above(outside) + inside.sum(axis=-1, keepdims=True))


def dice(iou: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Dice coefficient ``2 tp / (2 tp + fp + fn)`` as a function of the IoU."""
    return 2 * iou / (1 + iou)


def otsu(histogram: NDArray[np.integer]) -> int:
    """Otsu's threshold: the level that maximises the variance between the two classes.

    Otsu, IEEE Transactions on Systems, Man, and Cybernetics 1979. The lowest such level, as OpenCV
    and scikit-image choose it.

    Parameters
    ----------
    histogram : (256,) numbers of pixels.

    Returns
    -------
    Level in 0-255; the only level where there is but one.
    """
    count = histogram.astype(np.int64)
    below = np.cumsum(count)
    moment = np.cumsum(count * np.arange(len(count)))
    # In whole numbers up to the last division, so that equal splits are exactly equal.
    difference = (moment[-1] * below - below[-1] * moment).astype(float)
    size = below.astype(float) * (below[-1] - below)
    between = np.divide(difference**2, size, out=np.zeros(len(count)), where=size > 0)
    return int(between.argmax()) if between.any() else int(count.argmax())


def level_of(threshold: float) -> int:
    """The level that a threshold on the min-max scaled map falls on."""
    return math.floor(threshold * (LEVELS - 1))
