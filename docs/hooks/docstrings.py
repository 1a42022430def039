"""Lets the site read this project's docstrings.

A parameter is written `name : what it is` here, since its type is in the signature. The NumPy style
reads what follows the colon as a type; it has to stand on the next line to be a description. And
examples may stand before the first section, where they are code only between fences.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

SECTION = re.compile(r"^(Parameters|Attributes)\n-+\n((?:.+\n?|\n(?=[^\n]+ : ))*)", re.MULTILINE)
FIRST_SECTION = re.compile(r"^\w[\w ]*\n-+$", re.MULTILINE)
EXAMPLES = re.compile(r"^(>>> .*(?:\n(?!\n).+)*)", re.MULTILINE)
ENTRY = re.compile(r"^(\w[\w, ]*?) : (.+)$", re.MULTILINE)


def described(text: str) -> str:
    """Return a docstring that the NumPy style reads as it is meant."""

    def section(found: re.Match[str]) -> str:
        title, entries = found.groups()
        return f"{title}\n{'-' * len(title)}\n" + ENTRY.sub(r"\1\n    \2", entries)

    first = FIRST_SECTION.search(text)
    start = first.start() if first else len(text)
    told = EXAMPLES.sub(r"```pycon\n\1\n```", text[:start])
    return told + SECTION.sub(section, text[start:])


class Described(Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = described(obj.docstring.value)
