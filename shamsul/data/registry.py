"""Finds dataset adapters by name: every `Source` in a module of `shamsul.data.adapters` is one."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
import typing
from typing import Any

import shamsul.data.adapters
from shamsul.data.adapter import Source


@functools.cache
def adapters() -> dict[str, type[Source]]:
    """Return all adapters by name, found by importing every module of the package."""
    found: dict[str, type[Source]] = {}
    for info in pkgutil.iter_modules(shamsul.data.adapters.__path__, "shamsul.data.adapters."):
        module = importlib.import_module(info.name)
        for cls in vars(module).values():
            own = isinstance(cls, type) and cls.__module__ == module.__name__
            if own and issubclass(cls, Source) and "adapter" in cls.model_fields:
                found[name(cls)] = cls
    return dict(sorted(found.items()))


def name(cls: type[Source]) -> str:
    """Return the name by which `data.sources` chooses an adapter."""
    return str(typing.get_args(cls.model_fields["adapter"].annotation)[0])


def build(entry: dict[str, Any]) -> Source:
    """Return the source of one checked entry of `data.sources`."""
    return adapters()[entry["adapter"]].model_validate(entry)


def module(source: Source) -> str:
    """Return the path of the file that the source's adapter is written in."""
    return str(sys.modules[type(source).__module__].__file__)
