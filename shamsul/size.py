"""Height and width in pixels of the images that a network sees."""

from __future__ import annotations

Size = tuple[int, int]
"""Height and width in pixels."""
USUAL = 224**2
"""Pixels of the images that numbers of images at a time are written for."""


def pair(size: int | Size) -> Size:
    """Return the height and width of a square where its side is given, and else what is given.

    Examples
    --------
    >>> pair(224), pair((96, 64))
    ((224, 224), (96, 64))
    """
    return (size, size) if isinstance(size, int) else size


def told(size: Size) -> str:
    """Return the size for people: `96 x 64`."""
    return f"{size[0]} x {size[1]}"


def written(size: Size) -> int | list[int]:
    """Return the size as `data.size` has it: the side of a square, or height and width."""
    return size[0] if size[0] == size[1] else list(size)


def at_a_time(usual: int, size: Size) -> int:
    """Return the number of images handled together: at least one, and fewer of larger ones.

    Parameters
    ----------
    usual : number of images of 224 x 224 pixels; there are never more.
    size : height and width of the images.
    """
    return max(1, usual * USUAL // max(size[0] * size[1], USUAL))
