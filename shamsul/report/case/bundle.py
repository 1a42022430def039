"""The page's script: its modules put into one, since a page from disk cannot import files."""

from __future__ import annotations

import functools
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "script"

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|class|const)", re.MULTILINE)


@functools.cache
def script() -> str:
    """Return all modules as one, each behind those that it imports.

    Names are unique over all modules, which a test holds, so that none hides another's.
    """
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in parts:
            return
        parts[name] = ""  # Modules may import one another.
        text = (FOLDER / name).read_text(encoding="utf-8")
        for imported in _IMPORT.findall(text):
            add(imported)
        own = _EXPORT.sub("", _IMPORT.sub("", text)).strip()
        # Those added meanwhile are needed first.
        del parts[name]
        parts[name] = f"// {name}\n{own}\n"

    add("main.js")
    return "\n".join(parts.values())
