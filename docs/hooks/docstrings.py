"""Lets the site read this project's docstrings, which tell a parameter on one line.

Here a parameter is written `name : what it is`, since its type is in the signature. The NumPy
style reads what follows the colon as a type; it has to stand on the next line to be a description.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

SECTION = re.compile(r"^(Parameters|Attributes)\n-+\n((?:.+\n?|\n(?=[^\n]+ : ))*)", re.MULTILINE)
ENTRY = re.compile(r"^(\w[\w, ]*?) : (.+)$", re.MULTILINE)


def described(text: str) -> str:
    """Move what follows `name :` in sections of a docstring to a line of its own."""

    def section(found: re.Match[str]) -> str:
        title, entries = found.groups()
        return f"{title}\n{'-' * len(title)}\n" + ENTRY.sub(r"\1\n    \2", entries)

    return SECTION.sub(section, text)


class Described(Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = described(obj.docstring.value)
