"""A decoded radiograph on its way to 8-bit grey values, and what is to be said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LARGEST = 100_000_000
"""Pixels of the largest image that is read, about ten times a radiograph's. A larger one is refused
by its header, before memory is taken for it."""
LARGEST_FILE = 2**30
"""Bytes of the largest image file that is read."""

Note = Literal[
    "turned upright as its EXIF orientation says",
    "transparency composed on black",
    "first of several frames",
    "one grey value everywhere",
    "smaller than 32 pixels",
    "more than five times as long as wide",
    "overlay of the DICOM file not drawn",
    "outside of the DICOM shutter made black",
    "padding of the DICOM file made black",
    "text is burnt in, says the DICOM header",
    "no window in the DICOM header: all stored bits are the range",
]
"""Changes made to an image, and doubts about it; the log counts the images of each."""

DOUBTFUL: tuple[Note, ...] = (
    "first of several frames",
    "one grey value everywhere",
    "smaller than 32 pixels",
    "more than five times as long as wide",
    "text is burnt in, says the DICOM header",
)
"""Notes that are told as warnings."""


class UnreadableError(ValueError):
    """The reason for which a file is not read as a radiograph; it does not name the file."""


@dataclass(frozen=True)
class Picture:
    """A radiograph as its file has it: upright, grey, composed on black.

    Attributes
    ----------
    grey : (height, width), unsigned integers of at most `bits` bits.
    bits : number of bits in which the file stores a grey value.
    own_range : True where the file says its range, as those of 8 bits and DICOM do: `grey` is uint8
        and of full range. False where the values may fill a part of the file's bits alone.
    inverted : True where low values are white.
    notes : remarks on it.
    """

    grey: NDArray[np.integer]
    bits: int
    own_range: bool
    inverted: bool = False
    notes: tuple[Note, ...] = ()

    def full_range(self, depth: int) -> NDArray[np.uint8]:
        """Return 8-bit grey values, black 0 and white 255.

        Parameters
        ----------
        depth : number of bits that the values of the source fill; it is not looked at where the
            file says its range. A value above 2^depth - 1 becomes 255.
        """
        if self.own_range:
            return self.grey.astype(np.uint8)
        highest = 2**depth - 1
        # In float64, which holds every value of 32 bits: x * 255 / highest, rounded half up.
        grey = np.minimum(self.grey, highest) * (255 / highest) + 0.5
        return 255 - grey.astype(np.uint8) if self.inverted else grey.astype(np.uint8)


def check_size(height: int, width: int) -> None:
    """Raise an UnreadableError where an image has no pixels, or more than `LARGEST`."""
    if height < 1 or width < 1:
        raise UnreadableError(f"is {height} x {width} pixels")
    if height * width > LARGEST:
        raise UnreadableError(
            f"is {height} x {width} pixels, more than {LARGEST // 10**6} million; no radiograph is"
        )


def notes_on_shape(height: int, width: int) -> tuple[Note, ...]:
    """Return what is doubtful about the shape of an image."""
    found: list[Note] = []
    if min(height, width) < 32:
        found.append("smaller than 32 pixels")
    if max(height, width) > 5 * min(height, width):
        found.append("more than five times as long as wide")
    return tuple(found)
