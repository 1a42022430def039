"""Explanation methods: one module a family. Called, the package is `shamsul.api.explain`."""

import importlib
import sys
import types
from typing import Any


class _Callable(types.ModuleType):
    """A module that can be called: users know a function by the package's name."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Explain images; see `shamsul.api.explain`."""
        # Not an import statement: what a job imports says what reruns, and no job calls this.
        return importlib.import_module("shamsul.api").explain(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
