"""Tables for the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns, two spaces apart; the first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def wrapped(text: str, indent: int = 0) -> str:
    """Return a text as one paragraph, as wide as the terminal and at most 100 characters."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    space = " " * indent
    return textwrap.fill(
        " ".join(text.split()), width, initial_indent=space, subsequent_indent=space
    )
