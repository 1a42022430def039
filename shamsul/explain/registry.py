"""Finds explanation methods by name: every `Explainer` in a module of this package is one."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
import sys
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

import shamsul.explain
from shamsul.errors import InputError
from shamsul.explain.base import Explainer
from shamsul.settings import explain_errors, unknown

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""A method's name is part of paths."""


@functools.cache
def methods() -> dict[str, type[Explainer]]:
    """All methods by name, found by importing every module of the package."""
    for module in pkgutil.iter_modules(shamsul.explain.__path__):
        importlib.import_module(f"shamsul.explain.{module.name}")
    found = {cls.method: cls for cls in _subclasses(Explainer) if "method" in vars(cls)}
    return dict(sorted(found.items()))


def _subclasses(cls: type[Explainer]) -> Iterable[type[Explainer]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def build(entries: Iterable[dict[str, Any]], backbone: str) -> dict[str, Explainer]:
    """The methods of a configuration by the name under which the run knows them.

    Parameters
    ----------
    entries : `explain.methods`: each has `method`, optionally `name`, and its parameters.
    backbone : the network to explain.

    Raises
    ------
    InputError
        A method or parameter is unknown, a name is used twice, or the method cannot explain the
        backbone.
    """
    built: dict[str, Explainer] = {}
    for number, entry in enumerate(entries):
        place = f"explain.methods.{number}"
        if not isinstance(entry.get("method"), str):
            raise InputError(f"{place}: needs `method:`; allowed are {', '.join(methods())}")
        cls = methods().get(entry["method"])
        if cls is None:
            raise InputError(f"{place}: {unknown(entry['method'], methods(), 'method')}")
        name = entry.get("name", cls.method)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(f"{place}: name {name!r}: allowed are letters, digits, `_`, `.`, `-`")
        if name in built:
            raise InputError(f"{place}: {name!r} appears twice; give one of them another `name:`")
        if reason := cls.unsuited(backbone):
            raise InputError(f"{place}: {name} cannot explain {backbone}: {reason}")
        parameters = {key: entry[key] for key in entry if key not in ("method", "name")}
        try:
            built[name] = cls(**parameters)
        except ValidationError as error:
            faults = "; ".join(explain_errors(error, cls))
            raise InputError(f"{place} ({name}): {faults}") from None
    return built


def entry(explainer: Explainer) -> dict[str, Any]:
    """The configuration entry that builds this explainer, every default written out."""
    return {"method": explainer.method, **explainer.model_dump()}


def module(explainer: Explainer) -> str:
    """Path of the file that the method is written in."""
    return str(sys.modules[type(explainer).__module__].__file__)
