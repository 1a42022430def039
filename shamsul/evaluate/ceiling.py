"""The ceiling of a map's resolution: what the expert's own mask would score at that resolution.

A map of few cells, or with one value for each superpixel, cannot follow an outline, however well it
knows the finding. Its ceiling is the score of the mask itself, averaged in the map's cells or
superpixels and then laid over the radiograph as the map is. It is no bound: a map may do better by
chance, since the averaged mask is not the best of all maps of that resolution.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shamsul.geometry import Frame


def mask_at(
    runs: NDArray[np.int64],
    frame: Frame,
    cells: tuple[int, int],
    regions: NDArray[np.integer] | None = None,
) -> NDArray[np.float32]:
    """Average a mask in the cells of a map, or in its superpixels.

    Parameters
    ----------
    runs : run lengths of the mask down the columns, background first (`masks.run_lengths`).
    frame : frame of the radiograph in the mask's resolution.
    cells : numbers (h, w) of cells, which cover the frame evenly.
    regions : (h, w) numbers of superpixels; None where each cell is one.

    Returns
    -------
    (h, w) float32, share of the cell, or superpixel, that the mask covers; in [0, 1].
    """
    down, across = cells[0] / frame.size[0], cells[1] / frame.size[1]
    lines = frame.scale_y * down, frame.offset_y * down, frame.scale_x * across
    shares = _shares(
        np.asarray(runs, np.int64), frame.height, *cells, *lines, frame.offset_x * across
    )
    if regions is not None:
        areas = np.bincount(regions.ravel())
        sums = np.bincount(regions.ravel(), shares.ravel())
        shares = (sums / np.maximum(areas, 1))[regions]
    return np.clip(shares, 0, 1).astype(np.float32)


@njit(cache=True, nogil=True)
def _shares(runs, height, rows, columns, scale_y, offset_y, scale_x, offset_x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the area of the mask in each cell, (rows, columns), in areas of a cell."""
    shares = np.zeros((rows, columns))
    place = 0
    for run in range(len(runs)):
        stop = place + runs[run]
        if run % 2 == 0:
            place = stop
        while place < stop:
            x, top = place // height, place % height
            bottom = min(height, top + stop - place)
            place += bottom - top
            left, right = x * scale_x + offset_x, (x + 1) * scale_x + offset_x
            upper, lower = top * scale_y + offset_y, bottom * scale_y + offset_y
            for column in range(max(int(left), 0), min(int(np.ceil(right)), columns)):
                wide = min(right, column + 1) - max(left, column)
                for row in range(max(int(upper), 0), min(int(np.ceil(lower)), rows)):
                    shares[row, column] += wide * (min(lower, row + 1) - max(upper, row))
    return shares
