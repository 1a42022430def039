"""Explanations of chest-radiograph classifiers, scored against radiologists.

Data runs one way: ``data -> model -> explain -> probe -> evaluate -> report``. Importing this
package imports none of them: the names below are looked up when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shamsul.api import classifier as classifier
    from shamsul.api import methods as methods
    from shamsul.api import score as score
    from shamsul.cases.explained import explained as explained
    from shamsul.cases.show import show as show
    from shamsul.errors import InputError as InputError
    from shamsul.explain.call import explain as explain
    from shamsul.model.classifier import Classifier as Classifier
    from shamsul.results import Run as Run
    from shamsul.results import open_run as open_run
    from shamsul.storage.heatmaps import read_heatmaps as read_heatmaps
    from shamsul.storage.tables import read_table as read_table
    from shamsul.version import __version__ as __version__

_PUBLIC = {
    "Classifier": "shamsul.model.classifier",
    "InputError": "shamsul.errors",
    "Run": "shamsul.results",
    "__version__": "shamsul.version",
    "classifier": "shamsul.api",
    "explained": "shamsul.cases.explained",
    "methods": "shamsul.api",
    "open_run": "shamsul.results",
    "read_heatmaps": "shamsul.storage.heatmaps",
    "read_table": "shamsul.storage.tables",
    "score": "shamsul.api",
    "show": "shamsul.cases.show",
}
"""Public names, and the modules that define them. `explain` is the package of that name."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name == "explain":
        return importlib.import_module("shamsul.explain")
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """List the public names too, which are not there before they are used."""
    return sorted({*globals(), *_PUBLIC, "explain"})
