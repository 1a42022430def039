"""Explanations of chest-radiograph classifiers, scored against radiologists.

Data runs one way: ``data -> model -> explain -> probe -> evaluate -> report``. Importing this
package imports none of them: the names below are looked up when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shamsul.version import __version__ as __version__

_PUBLIC = {"__version__": "shamsul.version"}
"""Public names, and the modules that define them."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """List the public names too, which are not there before they are used."""
    return sorted({*globals(), *_PUBLIC})
