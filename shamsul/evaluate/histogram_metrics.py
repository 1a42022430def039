"""Metrics of a heatmap's histograms: overlap at every threshold, ranking, and Otsu's threshold.

A map is quantised to 1024 levels once (`shamsul.evaluate.histogram`). Counting the levels inside
and outside the expert's mask then holds everything that any threshold needs: foreground is
``level > threshold`` throughout. The levels of the measures of ranking are others, and more
(`shamsul.evaluate.rank_levels`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LEVELS = 1024
"""Number of levels of a map scaled to 0-1: level k is ``k / 1023 <= x < (k + 1) / 1023``."""
Counts = NDArray[np.integer]


def above(histogram: Counts) -> Counts:
    """Return the number of pixels with ``level > t`` for each t: (..., 1024) of (..., 1024)."""
    upwards = np.cumsum(histogram[..., ::-1], axis=-1)[..., ::-1]
    return upwards - histogram


def iou(inside: Counts, outside: Counts) -> NDArray[np.float64]:
    """Return intersection over union of mask and segmentation, ``tp / (tp + fp + fn)``.

    Parameters
    ----------
    inside, outside : (..., 1024) histograms; `inside` must not be empty.

    Returns
    -------
    (..., 1024), one for each threshold, in [0, 1]; 0 where the segmentation is empty.
    """
    return above(inside) / (above(outside) + inside.sum(axis=-1, keepdims=True))


def dice(inside: Counts, outside: Counts) -> NDArray[np.float64]:
    """Return Dice's coefficient ``2 tp / (2 tp + fp + fn)``, in the form of `iou`."""
    overlap = iou(inside, outside)
    return 2 * overlap / (1 + overlap)


def recall(inside: Counts, outside: Counts) -> NDArray[np.float64]:
    """Return the share of the mask that is foreground, ``tp / (tp + fn)``, in the form of `iou`."""
    return above(inside) / inside.sum(axis=-1, keepdims=True)


def precision(inside: Counts, outside: Counts) -> NDArray[np.float64]:
    """Return the share of the foreground in the mask, ``tp / (tp + fp)``, in the form of `iou`."""
    found = above(inside)
    return found / np.maximum(found + above(outside), 1)


def area(inside: Counts, outside: Counts) -> NDArray[np.float64]:
    """Return the share of the image that is foreground, in the form of `iou`.

    Here `inside` may be empty.
    """
    total = inside + outside
    return above(total) / total.sum(axis=-1, keepdims=True)


OVERLAP: dict[str, Callable[[Counts, Counts], NDArray[np.float64]]] = {
    "iou": iou,
    "dice": dice,
    "precision": precision,
    "recall": recall,
}
"""Measures of a segmentation, by name."""
DESCRIPTION: dict[str, Callable[[Counts, Counts], NDArray[np.float64]]] = {"marked_area": area}
"""Descriptions of a segmentation, which do not judge it, by name."""


def auprc(inside: Counts, outside: Counts) -> NDArray[np.float64]:
    """Return average precision ``sum_t (R_t - R_(t-1)) P_t`` of pixels that are ranked by level.

    Parameters
    ----------
    inside, outside : (..., K) histograms of K levels; `inside` must not be empty.

    Returns
    -------
    (...) in (0, 1]. A constant map has that of chance: the mask's share of the image.
    """
    tp, fp = (_upwards(histogram) for histogram in (inside, outside))
    precision = tp / np.maximum(tp + fp, 1)
    return (inside * precision).sum(axis=-1) / inside.sum(axis=-1)


def auroc(inside: Counts, outside: Counts) -> NDArray[np.float64]:
    """Return the chance that a pixel of the mask has a higher level than one outside.

    Ties count a half.

    Parameters
    ----------
    inside, outside : (..., K) histograms of K levels; `inside` must not be empty.

    Returns
    -------
    (...) in [0, 1]; 0.5 for a constant map, and where the mask is the whole image.
    """
    below = np.cumsum(outside, axis=-1) - outside
    wins = (inside * (below + outside / 2)).sum(axis=-1)
    pairs = inside.sum(axis=-1).astype(float) * outside.sum(axis=-1)
    return np.where(pairs > 0, wins / np.maximum(pairs, 1), 0.5)


def relevance_rank(inside: Counts, outside: Counts) -> NDArray[np.float64]:
    """Return relevance rank accuracy: the share of the K highest pixels that lies in the mask.

    The mask has K pixels (Arras et al., Information Fusion 2022). Where the K-th pixel ties with
    others of its level, the expected number is taken.

    Parameters
    ----------
    inside, outside : (..., K) histograms of K levels; `inside` must not be empty.

    Returns
    -------
    (...) in [0, 1].
    """
    size = inside.sum(axis=-1, keepdims=True)
    level = inside + outside
    room = np.clip(size - above(level), 0, level)
    return (inside * room / np.maximum(level, 1)).sum(axis=-1) / size[..., 0]


RANKING: dict[str, Callable[[Counts, Counts], NDArray[np.float64]]] = {
    "auprc": auprc,
    "auroc": auroc,
    "relevance_rank": relevance_rank,
}
"""Measures of a heatmap that need no threshold, by name."""


def _upwards(histogram: Counts) -> Counts:
    return np.cumsum(histogram[..., ::-1], axis=-1)[..., ::-1]


def otsu(histogram: Counts) -> NDArray[np.int64]:
    """Return Otsu's threshold: the level that maximises the variance between the two classes.

    Of several such levels the lowest is returned, as OpenCV and scikit-image do (Otsu, IEEE
    Transactions on Systems, Man, and Cybernetics 1979).

    Parameters
    ----------
    histogram : (..., K) numbers of pixels.

    Returns
    -------
    (...) levels. Where a map has one level only, it is that level, or the one below where that is
    the highest, so that a map that is all foreground stays so.
    """
    count = histogram.astype(np.int64)
    below = np.cumsum(count, axis=-1)
    moment = np.cumsum(count * np.arange(count.shape[-1]), axis=-1)
    # Numbers are whole up to the last division, so that equal splits are exactly equal.
    difference = (moment[..., -1:] * below - below[..., -1:] * moment).astype(float)
    size = below.astype(float) * (below[..., -1:] - below)
    between = np.divide(difference**2, size, out=np.zeros(count.shape), where=size > 0)
    only = np.minimum(count.argmax(axis=-1), count.shape[-1] - 2)
    return np.where(between.any(axis=-1), between.argmax(axis=-1), only)


def level_of(threshold: float) -> int:
    """Return the level that a threshold on the min-max scaled map falls on."""
    return math.floor(threshold * (LEVELS - 1))
