"""Levels that keep the order of a map's pixels, however far apart its values are.

Levels that are fractions of the range lose the order of all other pixels where one pixel is a
thousand times the bulk. The levels here begin at each of the map's quantiles, which outliers do not
move, and at each fraction of the range besides: a small mask is told by the few highest values,
which linear levels tell apart best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shamsul.evaluate.histogram_metrics import LEVELS

SHIFT = 16
"""Bits of a float32 that do not tell its bin (`RankLevels`): bins are 0.8 % wide."""
ROUNDING = 1e-6
"""Relative distance of an edge below its quantile.

Interpolation between two equal values may round them down; they must not fall on both sides.
"""
STEEP = np.float32(1e30)
"""Largest slope of a bin: any difference is more than a level."""


@dataclass(frozen=True)
class RankLevels:
    """Rank levels by bin of values, so that the level of a pixel is found without a search.

    The levels begin at edges. A bin holds the values whose difference from `least` has the same
    highest bits. From the bin's first edge to its last the levels are equally wide, so that a value
    `v` of bin b has the level ``before + floor(1 + slope (v - edge))``, between `before` and
    `after`.

    Attributes
    ----------
    bins : (B, 4) float32. before and after: numbers of edges below the bin, and below the next.
        edge: first edge of the bin. slope: levels by unit of value.
    least : least value of the map.
    count : number of levels.
    """

    bins: NDArray[np.float32]
    least: np.float32
    count: int


def rank_levels(
    heatmap: NDArray[np.float32], least: np.float32, greatest: np.float32
) -> RankLevels:
    """Return the rank levels of a map.

    Parameters
    ----------
    heatmap : (h, w) at its own resolution, at least 0.
    least, greatest : extremes of the map on the radiograph, not equal.
    """
    quantiles = _quantiles(heatmap) * (1 - ROUNDING)
    linear = least + (np.float64(greatest) - least) * np.arange(1, LEVELS) / (LEVELS - 1)
    edges = np.unique(np.concatenate([quantiles, linear]).astype(np.float32))
    edges = edges[(edges > least) & (edges <= greatest)]
    of_bin = np.bincount((edges - least).view(np.uint32) >> SHIFT, minlength=2 ** (31 - SHIFT))
    before = np.concatenate([[0], np.cumsum(of_bin)])
    bins = np.zeros((len(of_bin), 4), np.float32)
    bins[:, 0], bins[:, 1] = before[:-1], before[1:]
    used = np.flatnonzero(of_bin)
    first, last = edges[before[used]], edges[before[used + 1] - 1]
    bins[used, 2] = first
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope = (of_bin[used] - 1).astype(np.float32) / (last - first)
    bins[used, 3] = np.where(last > first, np.minimum(slope, STEEP), STEEP)
    return RankLevels(bins, least, len(edges) + 1)


def _quantiles(heatmap: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the quantiles at 1 / LEVELS, 2 / LEVELS, ... of a map's values, (LEVELS - 1,).

    They are those of `np.quantile` to the last bit, which takes several times as long for so many.
    """
    ordered = np.sort(heatmap, axis=None).astype(np.float64)
    place = np.arange(1, LEVELS) / LEVELS * (len(ordered) - 1)
    before = place.astype(np.intp)
    low, high = ordered[before], ordered[np.minimum(before + 1, len(ordered) - 1)]
    share = place - before
    return np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))


def count_ranked(
    columns: NDArray[np.float32],
    low: NDArray[np.intp],
    high: NDArray[np.intp],
    weight: NDArray[np.float32],
    runs: NDArray[np.int64],
    levels: RankLevels,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count pixels by rank level in a mask and out of it: two arrays (K,).

    Parameters
    ----------
    columns : (w + 1, height) columns of the map, interpolated down the radiograph.
    low, high, weight : (width,) the two columns of each pixel, and the weight of the second.
    runs : run lengths of the mask down the columns, background first.
    levels : levels of the same map.
    """
    count, inside = _count(
        columns, low, high, weight, runs, levels.bins, levels.least, levels.count
    )
    return inside, count - inside


@njit(cache=True, nogil=True)
def _count(columns, low, high, weight, runs, bins, least, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return histograms of all and of masked pixels by rank level."""
    height = columns.shape[1]
    # Four histograms in turn: neighbours have the same level, and would wait for one another.
    count, inside = np.zeros((4, size), np.int64), np.zeros(size, np.int64)
    values, beyond = np.empty(height, np.float32), np.empty(height, np.float32)
    bits, levels = beyond.view(np.uint32), np.empty(height, np.uint16)
    run, left = 0, runs[0]
    for x in range(len(low)):
        a, b, t = columns[low[x]], columns[high[x]], weight[x]
        for y in range(height):
            value = a[y] * (np.float32(1) - t) + b[y] * t
            values[y] = value
            # Rounding may leave a value a little below the least.
            beyond[y] = max(value - least, np.float32(0))
        for y in range(height):
            place = bits[y] >> np.uint32(SHIFT)
            before, after = bins[place, 0], bins[place, 1]
            level = before + np.float32(1) + (values[y] - bins[place, 2]) * bins[place, 3]
            levels[y] = np.uint16(min(max(level, before), after))
        whole = height - height % 4
        for y in range(0, whole, 4):
            count[0, levels[y]] += 1
            count[1, levels[y + 1]] += 1
            count[2, levels[y + 2]] += 1
            count[3, levels[y + 3]] += 1
        for y in range(whole, height):
            count[0, levels[y]] += 1
        y = 0
        while y < height:
            while left == 0:
                run += 1
                left = runs[run]
            stop = min(y + left, height)
            if run % 2 == 1:
                for k in range(y, stop):
                    inside[levels[k]] += 1
            left -= stop - y
            y = stop
    return count.sum(axis=0), inside
