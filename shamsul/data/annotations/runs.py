"""Run lengths as competitions write them: pairs of a start and a number of pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Runs:
    """Run lengths whose image's size may not be known yet.

    Attributes
    ----------
    numbers : (2 N,) start, length, start, length, ...
    order : order of pixels, along the rows or down the columns.
    start : start of a run, counted from the first pixel or from the end of the run before.
    first : number of the first pixel.
    """

    numbers: NDArray[np.int64]
    order: Literal["row", "column"]
    start: Literal["absolute", "relative"]
    first: int

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return the mask of an image of that size.

        Raises
        ------
        ValueError
            Numbers are not pairs, a run is negative, overlaps another or lies outside the image.
        """
        if len(self.numbers) % 2:
            raise ValueError(f"run lengths are pairs, not {len(self.numbers)} numbers")
        largest = self.numbers[np.abs(self.numbers.astype(np.float64)) > height * width]
        if len(largest):  # Sums of larger ones may be no numbers of 64 bits.
            raise ValueError(f"{largest[0]} is no pixel of {height * width} ({height} x {width})")
        starts, lengths = self.numbers[::2].astype(np.int64), self.numbers[1::2]
        if self.start == "relative":
            starts = np.cumsum(starts) + np.concatenate([[0], np.cumsum(lengths)[:-1]])
        starts = starts - self.first
        ends = starts + lengths
        if (lengths < 0).any() or (starts < 0).any():
            raise ValueError("a run has a negative start or length; is `first` right?")
        if len(ends) and ends.max() > height * width:
            raise ValueError(
                f"a run ends at pixel {ends.max()} of {height * width} ({height} x {width}); are "
                "`start`, `first` and `frame` right?"
            )
        inner = np.argsort(starts, kind="stable")
        if (starts[inner][1:] < ends[inner][:-1]).any():
            raise ValueError("runs overlap; is `start` right?")
        change = np.zeros(height * width + 1, np.int64)
        np.add.at(change, starts, 1)
        np.add.at(change, ends, -1)
        flat = np.cumsum(change)[:-1] > 0
        if self.order == "row":
            return flat.reshape(height, width)
        return np.ascontiguousarray(flat.reshape(width, height).T)

    def borders(self, height: int, width: int) -> tuple[int, int]:
        """Return the lengths of the border of the mask, and of what the other order would give.

        A mask that is read in the wrong order falls into stripes, unless the image is square: the
        border is long then, of the same area.
        """
        other = replace(self, order="row" if self.order == "column" else "column")
        return _border(self.mask(height, width)), _border(other.mask(height, width))


def _border(mask: NDArray[np.bool_]) -> int:
    """Return the number of sides of pixels between the mask and what it leaves out."""
    framed = np.pad(mask, 1)
    return int(
        np.count_nonzero(framed[1:] != framed[:-1])
        + np.count_nonzero(framed[:, 1:] != framed[:, :-1])
    )


def uncompressed(counts: list[int], height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask of COCO's uncompressed run lengths, which begin with the background.

    Raises
    ------
    ValueError
        They are no whole numbers, or do not fill the image.
    """
    lengths = np.asarray(counts)
    fits = lengths.ndim == 1 and lengths.dtype.kind in "iu" and len(lengths) > 0
    # Each by itself first: a sum of huge ones may be any number of 64 bits.
    fits = fits and lengths.min() >= 0 and lengths.max() <= height * width
    if not fits or lengths.sum() != height * width:
        raise ValueError(f"run lengths do not fill {height} x {width} pixels")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return np.ascontiguousarray(flat.reshape(width, height).T)
