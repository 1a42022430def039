"""Modules that are imported when they are first used, because they are slow to import.

Snakemake reads the parameters of every method before any job starts and must not wait for torch.
Python's own lazy loader, and what is built on it, puts an unfinished module in `sys.modules`, and
torch cannot be imported by anybody else then. This stand-in is known to its owner alone.
"""

from __future__ import annotations

import importlib
from typing import Any


class Lazy:
    """A stand-in for a module: the first use of an attribute imports it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Return the module's attribute, importing the module if need be."""
        return getattr(importlib.import_module(self._name), attribute)


def load(name: str) -> Any:
    """Return a stand-in for the module of that name; importing it may fail at its first use."""
    return Lazy(name)
