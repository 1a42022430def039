"""JSON files that cannot be trusted: what is missing, twice there or of another kind is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shamsul.errors import InputError, first_line

LARGEST_SIDE = 16384
"""Longest side of a mask in pixels; a longer one means a damaged or hostile file."""


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
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        raise ValueError(f"{height} x {width} pixels are no radiograph's size")
    return height, width
