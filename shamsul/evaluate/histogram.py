"""Histograms of a map's levels in and out of a mask, from one pass over a radiograph's pixels.

They hold all that any threshold, ranking or pointing metric needs. Thresholds are fractions of the
map's range, so their levels are linear. Ranks do not know the range, so their levels are also the
map's quantiles (`shamsul.evaluate.rank_levels`).

A heatmap is interpolated to the radiograph's own pixels column by column and counted while it is
in the processor's cache. Neither the map nor the mask is ever held at full resolution. Columns are
taken because COCO's run lengths go down them, so that a mask is a few thousand intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shamsul.evaluate.histogram_metrics import LEVELS
from shamsul.evaluate.rank_levels import count_ranked, rank_levels
from shamsul.geometry import Frame, Line

ROUNDING = 1e-6
"""Relative difference below which two values of an interpolated map are the same.

The weights of float32 interpolation leave about a tenth of this on a map that is constant.
"""


@dataclass(frozen=True)
class Sweep:
    """Counts and shares of one map in and out of one mask.

    Attributes
    ----------
    inside, outside : (1024,) int64, pixels by level, in the mask and out of it.
    hit : share of the most relevant pixels, which may be several, that lies in the mask; in [0, 1].
    mass : share of the relevance that lies in the mask; in [0, 1], 0 where there is no relevance.
    ranked : pixels by rank level, in the mask and out of it, (K,) int64 each; None where they were
        not asked for.
    """

    inside: NDArray[np.int64]
    outside: NDArray[np.int64]
    hit: float
    mass: float
    ranked: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None


def sweep(
    heatmap: NDArray[np.floating],
    frame: Frame,
    runs: NDArray[np.int64] | None = None,
    *,
    ranked: bool = False,
) -> Sweep:
    """Lay a map over a mask on the radiograph's own pixels.

    The map is scaled to ``floor(1023 (x - min) / (max - min))``, minimum and maximum being those
    on the radiograph. A map that is constant but for rounding points nowhere: all its pixels have
    level 0 and no relevance, and they tie for the maximum, so that `hit` is chance: the mask's
    share of the image. Where a crop kept the radiograph from the model, relevance is the map's
    lowest.

    Parameters
    ----------
    heatmap : (h, w) of any resolution, covering the model's frame evenly, at least 0: `evidence`.
    frame : frame of the radiograph in the mask's resolution, height x width.
    runs : run lengths of the mask down the columns, background first (`masks.run_lengths`); None
        stands for a mask that is empty.
    ranked : True where the pixels are also counted by rank level, which costs as much again.
    """
    pixels = frame.height * frame.width
    runs = np.array([pixels]) if runs is None else np.asarray(runs, np.int64)
    # A further row and column of the lowest value stand for pixels that the frame did not see.
    padded = np.pad(np.asarray(heatmap, np.float32), (0, 1), constant_values=heatmap.min())
    down, across = Line.both(frame, heatmap.shape)
    down, across = down.beside(heatmap.shape[0]), across.beside(heatmap.shape[1])
    turned = np.ascontiguousarray(padded.T)
    columns = turned[:, down.low] * (1 - down.weight) + turned[:, down.high] * down.weight
    extremes = _extremes(columns, across.low, across.high, across.weight)
    low, high = (np.float32(value) for value in extremes)
    area = int(runs[1::2].sum())
    if high - low <= ROUNDING * high:
        inside, outside = np.zeros((2, LEVELS), np.int64)
        inside[0], outside[0] = area, pixels - area
        return Sweep(inside, outside, area / pixels, 0.0, (inside, outside))
    top = high - np.float32(ROUNDING) * high
    found = _count(columns, across.low, across.high, across.weight, runs, low, high - low, top)
    count, inside, tops, tops_inside, mass = found
    # The sum of an interpolated map is the sum of its columns, each as often as it is used.
    used = np.zeros(len(columns))
    np.add.at(used, across.low, 1.0 - across.weight)
    np.add.at(used, across.high, across.weight)
    total = float(used @ columns.sum(axis=1, dtype=np.float64))
    ranks = None
    if ranked:
        levels = rank_levels(padded[:-1, :-1], low, high)
        ranks = count_ranked(columns, across.low, across.high, across.weight, runs, levels)
    return Sweep(inside, count - inside, tops_inside / tops, min(mass / total, 1.0), ranks)


def lay_segmentation(
    segmentation: NDArray[np.bool_], frame: Frame, runs: NDArray[np.int64] | None = None
) -> Sweep:
    """Lay a segmentation, made elsewhere, over a mask on the radiograph's own pixels.

    Its pixels have level 1023 and all others level 0, whatever its share of the radiograph, and
    none between: in another resolution than the mask's, each pixel takes the value of the one that
    its centre lies in. All its pixels are maxima and share the relevance, so `hit` and `mass` are
    its precision. An empty one is a map that points nowhere, as in `sweep`.

    Parameters
    ----------
    segmentation : (h, w) bool of any resolution, covering the model's frame evenly.
    frame, runs : the same as for `sweep`.
    """
    pixels = frame.height * frame.width
    runs = np.array([pixels]) if runs is None else np.asarray(runs, np.int64)
    height, width = segmentation.shape
    down = _nearest(frame.height, frame.scale_y, frame.offset_y, frame.size[0], height)
    across = _nearest(frame.width, frame.scale_x, frame.offset_x, frame.size[1], width)
    # Down the columns, as run lengths go and as pycocotools decodes them.
    count, hits = _overlap(np.ascontiguousarray(segmentation.T), down, across, runs)
    area = int(runs[1::2].sum())
    inside, outside = np.zeros((2, LEVELS), np.int64)
    inside[[0, -1]] = area - hits, hits
    outside[[0, -1]] = pixels - area - (count - hits), count - hits
    pair = inside, outside
    if count == 0:
        return Sweep(*pair, area / pixels, 0.0, pair)
    return Sweep(*pair, hits / count, hits / count, pair)


def _nearest(length: int, scale: float, offset: float, size: int, cells: int) -> NDArray[np.intp]:
    """Return the cell of each of `length` pixels, or -1; `cells` cover the `size` of its axis."""
    model = (np.arange(length) + 0.5) * scale + offset
    # A centre on the border of two cells lies in the second, whatever rounding makes of it.
    cell = np.minimum(np.floor(model * (cells / size) + 1e-6), cells - 1).astype(np.intp)
    return np.where((model >= 0) & (model <= size), cell, -1)


@njit(cache=True, nogil=True)
def _overlap(columns, down, across, runs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the number of a segmentation's pixels, laid out by columns, and of those in a mask."""
    count, hits = 0, 0
    run, left = 0, runs[0]
    for x in range(len(across)):
        shown, y = across[x] >= 0, 0
        while y < len(down):
            while left == 0:
                run += 1
                left = runs[run]
            stop = min(y + left, len(down))
            found = 0
            if shown:
                for k in range(y, stop):
                    found += down[k] >= 0 and columns[across[x], down[k]]
            count += found
            hits += found * (run % 2)
            left -= stop - y
            y = stop
    return count, hits


@njit(cache=True, nogil=True)
def _extremes(columns, low, high, weight):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return least and greatest value; between two of the map's columns the ends suffice."""
    least, greatest = np.float32(np.inf), np.float32(-np.inf)
    last = len(low) - 1
    for x in range(last + 1):
        if 0 < x < last and low[x - 1] == low[x] == low[x + 1]:
            continue
        a, b, t = columns[low[x]], columns[high[x]], weight[x]
        for y in range(columns.shape[1]):
            value = a[y] * (np.float32(1) - t) + b[y] * t
            least, greatest = min(least, value), max(greatest, value)
    return least, greatest


@njit(cache=True, nogil=True)
def _count(columns, low, high, weight, runs, least, span, top):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return histograms of all and of masked pixels, numbers of maxima, the mask's relevance."""
    height = columns.shape[1]
    # Four histograms in turn: neighbours have the same level, and would wait for one another.
    count, inside = np.zeros((4, LEVELS), np.int64), np.zeros(LEVELS, np.int64)
    values, levels = np.empty(height, np.float32), np.empty(height, np.uint16)
    tops, tops_inside, mass = 0, 0, 0.0
    run, left = 0, runs[0]
    for x in range(len(low)):
        a, b, t = columns[low[x]], columns[high[x]], weight[x]
        for y in range(height):
            value = a[y] * (np.float32(1) - t) + b[y] * t
            values[y] = value
            # Rounding may leave a value a little beyond the extremes; the cast puts it back to 0.
            level = np.int32((value - least) / span * np.float32(LEVELS - 1))
            levels[y] = min(level, LEVELS - 1)
            tops += value >= top
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
                    mass += values[k]
                    tops_inside += values[k] >= top
            left -= stop - y
            y = stop
    return count.sum(axis=0), inside, tops, tops_inside, mass


def contains(runs: NDArray[np.int64], height: int, y: int, x: int) -> bool:
    """Return whether a pixel lies in the mask of these run lengths."""
    return bool(np.searchsorted(np.cumsum(runs), x * height + y, side="right") % 2)
