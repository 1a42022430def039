"""JSON files that cannot be trusted: what is missing, twice there or of another kind is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shamsul.errors import InputError, first_line

LARGEST_SIDE = 16384
"""Longest side of a mask in pixels; a longer one means a damaged or hostile file."""
LARGEST_MASK = 100_000_000
"""Pixels of the largest mask, as many as the largest radiograph has."""
_UNFIT = (
    "setting an array",
    "cannot reshape",
    "not enough values",
    "too many values",
    "operands",
    "zero-size",
)
"""Beginnings of Python's and NumPy's errors for numbers that are too many or too few."""


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        It is no JSON, or an object has a key twice, of which the first would be lost.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(
                f"{path}: key {twice!r} is there twice in one object, so that one of the two would "
                "be lost; join or rename them"
            )
        return found

    try:
        return json.loads(path.read_bytes(), object_pairs_hook=unique)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: not readable JSON ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable JSON ({first_line(error)})") from None


def read_object(path: Path, said: str = "an entry per image") -> dict[str, Any]:
    """Read the object that a JSON file holds; anything else in it is an InputError."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected one object with {said}")
    return content


def size_of(sides: Any) -> tuple[int, int]:
    """Return height and width of a mask; a ValueError where drawing it would fill the memory."""
    height, width = (int(side) for side in sides)
    fits = 0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE
    if not fits or height * width > LARGEST_MASK:
        raise ValueError(f"{height} x {width} pixels are no radiograph's size")
    return height, width


def said(error: BaseException) -> str:
    """Return what is wrong with an entry of a file, without Python's own words for it."""
    line = first_line(error)
    if isinstance(error, KeyError):
        return f"lacks {error.args[0]!r}"
    if isinstance(error, OverflowError):
        return "a number is too large"
    if isinstance(error, AttributeError | TypeError | RecursionError):
        return "a part of it is of another kind, such as a list or null"
    if isinstance(error, IndexError) or line.startswith(_UNFIT):
        return "a list has too many or too few numbers"
    if line.startswith(("invalid literal", "could not convert")):
        return f"{line.partition(': ')[2] or 'a part of it'} is no number"
    return line
