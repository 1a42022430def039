"""Explanation methods, one module a family.

Called as a function, the package is `shamsul.explain.call.explain`.
"""

import importlib
import sys
import types
from typing import Any


class _Callable(types.ModuleType):
    """A module that can be called: users know a function by the package's name."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Explain images; see `shamsul.explain.call.explain`."""
        # Not an import statement: what a job imports says what reruns, and no job calls this.
        return importlib.import_module("shamsul.explain.call").explain(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
