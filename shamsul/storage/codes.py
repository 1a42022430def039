"""Codes of dense heatmaps: a few bits a cell, spread over the ranks of the map's own values.

What is read of a map are ranks, sums, and areas above thresholds. So the codes are spread over
ranks, and not over the range of values: a map of relevance propagation has cells of a hundred-
thousandth of its largest, and most of a scale that is even would never be used. The bulk of the
cells has few codes, since there are many cells to average over. The few highest, on which small
findings are judged, have a code for each of them or nearly so.

A fixed pattern over the cells shifts the limits between codes, and is taken off again when a map is
read (subtractive dither: Schuchman, IEEE Transactions on Communication Technology 1964). Cells next
to one another then err independently, and areas, sums and ranks keep their means. Zero stays zero,
signs stay, and the cells of the largest size stay as they are and alone.

Maps of few cells or few different values are no gain, and ties in them may mean something, as in
superpixels. They are stored exactly, and so are maps that were read and are stored again: a second
time takes nothing more away.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

FEW_CELLS = 64**2
"""Number of cells up to which a map is stored exactly."""
DISTINCT = 0.25
"""Share of cells with different values, up to which a map is stored exactly."""
PHASES = 16
"""Number of shifts in the pattern."""
BULK = 8
"""Number of codes that the whole of a map would have if all of it were bulk."""
TOP, BOTTOM = 46, 4
"""Numbers of codes among the largest and smallest cells, for each fall of the rank by a factor of
e. The least value of a map that is positive throughout is where its range begins."""
TAIL_AT, TOP_AT = 0.25, 0.02
"""Shares of cells that are at least as large where the bulk ends, and where the top begins."""
LOW_AT, BOTTOM_AT = 0.03, 0.003
"""The same shares for small cells."""


def _spread() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shares of cells that are larger, falling from 1 to 0, and the codes below them.

    Codes by share have no steps, at which the pattern would move cells from one side to the other.
    """
    low, low_codes = _end(LOW_AT, BOTTOM_AT, BOTTOM, 4, 4)
    high, high_codes = _end(TAIL_AT, TOP_AT, TOP, 12, 8)
    bulk = np.arange(1 - LOW_AT - 0.03, TAIL_AT, -0.03)
    until = low_codes[-1] + BULK * (1 - LOW_AT - bulk)
    ends = low_codes[-1] + BULK * (1 - LOW_AT - TAIL_AT)
    codes = [low_codes[-1] - low_codes[::-1], until, ends + high_codes]
    codes[-1][-1] = np.ceil(codes[-1][-1])
    return np.concatenate([1 - low[::-1], bulk, high]), np.concatenate(codes)


def _end(
    begins: float, log_at: float, each: int, between: int, halvings: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shares that fall from `begins` to 0, and the codes from there to each of them.

    There are ``each / share`` codes by share below `log_at`, `BULK` at `begins`, and a power of the
    share in between.
    """
    power = np.log(each / log_at / BULK) / np.log(begins / log_at) - 1
    first = np.geomspace(begins, log_at, between)
    codes = BULK * begins / power * ((begins / first) ** power - 1)
    last = log_at * 2.0 ** -np.arange(1, halvings + 1)
    ends = codes[-1] + each * np.log(log_at / last)
    return (
        np.concatenate([first, last, [0]]),
        np.concatenate([codes, ends, [ends[-1] + each]]),
    )


SHARES, PLACES = _spread()
"""Shares of a map's cells that are larger than each knot, and the knots' places among the codes.
Between two knots, codes are evenly wide."""
BITS = 4.85
"""Bits a cell, before compression, that codes may take: finer codes are chosen up to there."""
ROUGH = 6.6
"""Mean difference, in codes, of cells side by side up to which codes are finer all the same."""
COARSEST, FINEST = 0.5, 8.0
"""Least and largest factor by which codes are finer."""
MARK = np.uint32(0xF)
"""Last bits of a float32 that are 0 in what codes stand for, by which a map that was stored is
known. What is computed has such values once in 16 cells."""
SMALLEST = (MARK + np.uint32(1)).view(np.float32)
"""Smallest size of a cell that is not zero."""
MOVED = 0.01
"""Share of cells that codes may bring to the other side of a threshold; beyond it, as where values
gather in clusters, a map is stored exactly."""


def is_exact(heatmap: NDArray[np.float32]) -> bool:
    """Return whether a map (h, w) is stored exactly: it has few cells or values, or was stored."""
    if heatmap.size <= FEW_CELLS:
        return True
    size = np.abs(heatmap)
    stored = not ((size.view(np.uint32) & MARK)[size < size.max()]).any()
    return stored or len(np.unique(heatmap)) <= DISTINCT * heatmap.size


def moved(made: NDArray[np.float32], stored: NDArray[np.float32]) -> float:
    """Return the largest share of cells by which two maps differ in the area above a threshold.

    The thresholds are 1023 fractions of the range of the map that was made, as scores have them.
    """
    limits = np.linspace(float(made.min()), float(made.max()), 1025)[1:-1]
    below = (np.searchsorted(np.sort(one, axis=None), limits) for one in (made, stored))
    return float(np.abs(np.subtract(*below)).max() / made.size)


def encode(heatmap: NDArray[np.float32]) -> tuple[NDArray[np.uint16], NDArray[np.float32], float]:
    """Return the codes of a map, its knots, and the factor by which its codes are finer.

    Parameters
    ----------
    heatmap : (h, w), finite, not all zero.

    Returns
    -------
    codes : (h, w), 0 for zero, then an odd one for a positive and an even one for a negative.
    knots : (J,) sizes that do not fall, the last the map's largest.
    fine : factor from `COARSEST` to `FINEST`, a float32.
    """
    size = np.abs(heatmap)
    ordered = np.sort(size[size > 0])
    at = np.floor((1 - SHARES) * (len(ordered) - 1)).astype(np.intp)
    knots = _short(ordered[at])
    knots[-1] = ordered[-1]
    place = np.interp(size, knots, PLACES)
    fine = _fine(np.where(size == 0, 0, np.copysign(place + 1, heatmap)))
    code = np.floor(fine * place + _shifts()[_phases(*heatmap.shape)]) + 1
    code = np.minimum(code, _sizes(fine)).astype(np.uint16)
    code[size == knots[-1]] = _sizes(fine) + 1
    code = 2 * code + np.where(heatmap > 0, 1, 2).astype(np.uint16)
    return np.where(size == 0, np.uint16(0), code), knots, fine


def _fine(place: NDArray[np.float64]) -> float:
    """Return the factor by which the codes of a map are finer, given its cells' signed places.

    Each doubling takes a bit more. Cells that are like those beside them may take more bits, since
    what codes take away would be seen in them.
    """
    whole = np.trunc(place).astype(np.intp)
    share = np.bincount((whole - whole.min()).ravel()) / place.size
    bits = -(share[share > 0] * np.log2(share[share > 0])).sum()
    rough = max(float(np.abs(np.diff(place, axis=1)).mean()), 1e-9)
    doublings = max(BITS - bits, float(np.log2(ROUGH / rough)))
    return float(np.clip(2.0 ** (np.floor(4 * doublings) / 4), COARSEST, FINEST).astype(np.float32))


def _sizes(fine: float) -> int:
    """Return the number of codes for the size of a cell; one more is for the largest."""
    return int(np.ceil(fine * PLACES[-1]))


def decode(
    codes: NDArray[np.uint16],
    knots: NDArray[np.float32],
    fine: float,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return the map that codes stand for; parameters are what `encode` returns.

    It is written to `out` (h, w) where that is given.

    Raises
    ------
    IndexError
        A code is not one of those of its map.
    """
    below, weight = _between(fine)
    step = np.zeros_like(knots)
    np.subtract(knots[1:], knots[:-1], out=step[:-1])
    size = np.empty((PHASES, _sizes(fine) + 2), np.float32)
    size[:, :-1] = knots[below] + step[below] * weight
    # No other cell is as large as the largest, and none is zero.
    np.clip(size, SMALLEST, np.nextafter(knots[-1], np.float32(0)), out=size)
    size.view(np.uint32)[...] &= ~MARK
    size[:, -1] = knots[-1]
    value = np.zeros((PHASES, 2 * size.shape[1] + 1), np.float32)
    value[:, 1::2], value[:, 2::2] = size, -size
    if codes.max(initial=0) >= value.shape[1]:
        raise IndexError("a code is too large")
    at = _rows(*codes.shape, value.shape[1]) + codes
    # No place lies outside: `clip` spares a look at each.
    return np.take(value.ravel(), at, out=out, mode="clip")


def _short(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return values of 8 bits' precision, no larger than these: knots may lie anywhere near."""
    return (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def _shifts() -> NDArray[np.float64]:
    return (np.arange(PHASES) + 0.5) / PHASES - 0.5


@functools.lru_cache(32)
def _between(fine: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return, for each shift and code, the knot below the value and the way to the next one."""
    # The shift takes the smallest sizes below nothing; there they are taken as far above it.
    place = np.abs(np.arange(-1, _sizes(fine)) + 0.5 - _shifts()[:, None]) / fine
    place = np.minimum(place, PLACES[-1])
    below = np.minimum(np.searchsorted(PLACES, place, side="right"), len(PLACES) - 1) - 1
    weight = (place - PLACES[below]) / (PLACES[below + 1] - PLACES[below])
    return below, weight.astype(np.float32)


@functools.lru_cache(4)
def _rows(height: int, width: int, length: int) -> NDArray[np.intp]:
    """Return where the row of each cell's shift begins in a table of rows of a length."""
    return _phases(height, width) * length


@functools.lru_cache(4)
def _phases(height: int, width: int) -> NDArray[np.intp]:
    """Return the pattern: (height, width) numbers below `PHASES`, as even in every part of it.

    It is the additive recurrence of the plastic number (Roberts, 2018), in whole numbers, so that
    no machine rounds it.
    """
    row = np.arange(height, dtype=np.uint32)[:, None] * np.uint32(3242174889)
    column = np.arange(width, dtype=np.uint32) * np.uint32(2447445414)
    return ((row + column) >> np.uint32(28)).astype(np.intp)
