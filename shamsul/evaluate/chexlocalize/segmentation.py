"""Segmentations of heatmaps as CheXlocalize's scripts make them, pixel by pixel.

The scripts (Saporta et al., Nature Machine Intelligence 2022) call PyTorch, OpenCV and Pillow. This
module computes the same in the same order of arithmetic, so that no pixel differs and neither torch
nor OpenCV is needed. Signed maps are scaled from their lowest value, so negative relevance stays.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from shamsul.geometry import Frame, to_original
from shamsul.storage.heatmaps import Covers

EPSILON = float(np.finfo(np.float32).eps)
"""Share of pixels below which OpenCV's Otsu takes a class for empty."""


def on_radiograph(
    heatmap: NDArray[np.floating], frame: Frame, covers: Covers
) -> NDArray[np.float32]:
    """Bring a heatmap to the radiograph's own pixels.

    Parameters
    ----------
    heatmap : (h, w), signed, of any resolution.
    frame : frame of the radiograph in the mask's resolution.
    covers : area that the heatmap covers evenly. CheXlocalize knows whole radiographs only. Under
        `pad` and `crop` the map goes back through the frame. Where a crop kept the radiograph from
        the model, it is the map's lowest value.

    Returns
    -------
    (height, width) float32.
    """
    heatmap = np.asarray(heatmap, np.float32)
    if covers == "radiograph" or frame.whole:
        return interpolate(heatmap, frame.height, frame.width)
    return to_original(heatmap, frame, outside=float(heatmap.min()))


def interpolate(heatmap: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Interpolate bilinearly as ``interpolate(..., mode="bilinear")`` of PyTorch does.

    The result equals that of PyTorch 2 to the bit on processors with AVX2, which fuse one product
    of ``a (1 - t) + b t`` with the sum, for images of more than 128 pixels of height and width
    together. Elsewhere, and in the version behind the published segmentations, PyTorch itself
    differs in the last bit; a pixel in some millions then changes sides.

    Parameters
    ----------
    heatmap : (h, w) float32.
    height, width : height and width of the radiograph, in pixels.

    Returns
    -------
    (height, width) float32.
    """
    columns = _along(np.ascontiguousarray(heatmap.T), *_neighbours(width, heatmap.shape[1]))
    rows = np.ascontiguousarray(columns.T)
    return _along(rows, *_neighbours(height, heatmap.shape[0]))


def _neighbours(
    length: int, cells: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the cells before and behind each pixel along one axis, and the latter's weight."""
    scale = float(np.float32(cells) / np.float32(length))
    # One rounding to float32: here, too, the product is fused with the sum.
    cell = np.maximum((scale * (np.arange(length) + 0.5) - 0.5).astype(np.float32), 0)
    low = np.minimum(cell.astype(np.intp), cells - 1)
    return low, np.minimum(low + 1, cells - 1), cell - low.astype(np.float32)


@njit(cache=True, nogil=True)
def _along(rows, low, high, weight):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Interpolate between rows; the product of two float32 is exact in float64, as a fused one."""
    found = np.empty((len(low), rows.shape[1]), np.float32)
    for y in range(len(low)):
        before, behind, t = rows[low[y]], rows[high[y]], weight[y]
        rest = np.float32(1) - t
        for x in range(rows.shape[1]):
            second = np.float64(np.float32(behind[x] * t))
            found[y, x] = np.float32(np.float64(before[x]) * np.float64(rest) + second)
    return found


def scaled(original: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a map from 0 at its minimum to 1 at its maximum, signed or not.

    Where the map is constant CheXlocalize divides zero by zero and finds no foreground; zero
    throughout gives the same.

    Parameters
    ----------
    original : (height, width) float32.
    """
    lifted = original - original.min()
    high = lifted.max()
    return lifted / high if high > 0 else lifted


def above(scaled: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Return the segmentation ``x > threshold``, in float32 as the NumPy that they pin compares."""
    return scaled > np.float32(threshold)


def by_otsu(scaled: NDArray[np.float32], smoothing: int = 0) -> NDArray[np.bool_]:
    """Return the segmentation by Otsu's threshold on 256 levels, without holes and single pixels.

    CheXlocalize draws each contour of more than one point as a filled polygon. That fills what a
    contour surrounds, and leaves out a pixel that has no neighbour.

    Parameters
    ----------
    scaled : (height, width) float32 in [0, 1].
    smoothing : side of the box filter in pixels; 0 for none.

    Returns
    -------
    (height, width) bool.
    """
    levels = (np.float32(255) * scaled).astype(np.uint8)
    if smoothing:
        levels = smooth(levels, smoothing)
    threshold = otsu(np.bincount(levels.ravel(), minlength=256))
    return filled(levels > threshold)


def otsu(histogram: NDArray[np.integer]) -> int:
    """Return Otsu's threshold in OpenCV's arithmetic; foreground lies above.

    Rounding decides between splits that are equally good, so the sums run in OpenCV's order. Where
    OpenCV calls Intel's IPP it may choose another one of two splits that are exactly as good
    (Otsu, IEEE Transactions on Systems, Man, and Cybernetics 1979).

    Parameters
    ----------
    histogram : (256,) numbers of pixels.

    Returns
    -------
    The level that maximises the variance between both classes; 0 where there is but one class.
    """
    share = (histogram * (1.0 / histogram.sum())).tolist()
    total = float((np.arange(256) * histogram).sum()) * (1.0 / float(histogram.sum()))
    best, threshold = 0.0, 0
    size, mean = 0.0, 0.0
    for level, part in enumerate(share):
        moment = mean * size
        size += part
        rest = 1.0 - size
        if min(size, rest) < EPSILON or max(size, rest) > 1.0 - EPSILON:
            mean = moment
            continue
        mean = (moment + level * part) / size
        difference = mean - (total - size * mean) / rest
        between = size * rest * difference * difference
        if between > best:
            best, threshold = between, level
    return threshold


def filled(foreground: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill what the foreground surrounds and drop single pixels.

    Foreground hangs together by edges and corners, so what it surrounds hangs together by edges.

    Parameters
    ----------
    foreground : (height, width) bool.
    """
    result = np.zeros_like(foreground)
    rows, columns = (np.flatnonzero(foreground.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return result
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    padded = np.pad(foreground[box], 1)
    count = padded.view(np.uint8)
    count = count[:-2] + count[1:-1] + count[2:]
    count = count[:, :-2] + count[:, 1:-1] + count[:, 2:]
    padded[1:-1, 1:-1] &= count > 1
    regions, _ = ndimage.label(~padded)
    result[box] = (regions != regions[0, 0])[1:-1, 1:-1]
    return result


def smooth(levels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Smooth a pixelated map as CheXlocalize does: JET colours, grey, box filter, inverted.

    The colours lie blue first and are read red first, so that low levels come out dark and high
    ones darker still; after the inversion the highest levels are brightest, and the lowest next.

    Parameters
    ----------
    levels : (height, width) uint8.
    side : side of the box, in pixels; it is mirrored at the border, as ``dcb|abcd|cba``.

    Returns
    -------
    (height, width) uint8.
    """
    total = _GREY[levels].astype(np.uint32)
    for _ in range(2):
        before = side // 2
        padded = np.pad(total, ((before + 1, side - 1 - before), (0, 0)), mode="reflect")
        padded[0] = 0
        # The running sum may wrap; the difference of two is right all the same.
        running = padded.cumsum(axis=0, dtype=np.uint32)
        total = (running[side:] - running[:-side]).T
    return (255 - _mean(total, side * side)).astype(np.uint8)


def _mean(total: NDArray[np.uint32], cells: int) -> NDArray[np.integer]:
    """Divide sums over `cells` grey values as OpenCV divides them.

    Sums of up to 256 cells are multiplied by a reciprocal of 23 bits, those of more are divided in
    float32 with ties to even.
    """
    if cells == 1:
        return total
    if cells > 256:
        return np.rint(total.astype(np.float32) * np.float32(1 / cells)).astype(np.int64)
    reciprocal, rest = divmod(1 << 23, cells)
    up = 2 * rest >= cells
    return (total.astype(np.int64) + cells // 2 + (not up)) * (reciprocal + up) >> 23


def _grey() -> NDArray[np.uint8]:
    """Return the grey (256,) of each level's JET colour, blue weighed as red and red as blue."""
    level = np.arange(256)
    blue = np.clip(np.minimum(128 + 4 * level, 638 - 4 * level), 0, 255)
    green = np.clip(np.minimum(4 * level - 128, 892 - 4 * level), 0, 255)
    red = np.clip(np.minimum(4 * level - 382, 1148 - 4 * level), 0, 255)
    # 0.299, 0.587 and 0.114 in units of 2^-15.
    return ((9798 * blue + 19235 * green + 3735 * red + (1 << 14)) >> 15).astype(np.uint8)


_GREY = _grey()
