"""The registry of explanation methods: every `Method` in a module of this package is one."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shamsul.errors import InputError
from shamsul.explain.base import Method
from shamsul.model.structure import Structure
from shamsul.settings import explain_errors, unknown

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Pattern of a method's name, which is part of paths."""


@functools.cache
def methods() -> dict[str, type[Method]]:
    """Find all methods, by name, in every module of the package."""
    for module in pkgutil.walk_packages([str(Path(__file__).parent)], "shamsul.explain."):
        importlib.import_module(module.name)
    return _imported()


def _imported() -> dict[str, type[Method]]:
    found = {cls.method: cls for cls in _subclasses(Method) if "method" in vars(cls)}
    return dict(sorted(found.items()))


def _subclasses(cls: type[Method]) -> Iterable[type[Method]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def build(entries: Iterable[dict[str, Any]]) -> dict[str, Method]:
    """Build the methods of a configuration, by the name under which the run knows them.

    Parameters
    ----------
    entries : `explain.methods`: each has `method`, optionally `name` and `preset`, and its
        parameters, which win over the preset's.

    Raises
    ------
    InputError
        A method, preset or parameter is unknown, a name is used twice, or a method is made of one
        that is not there.
    """
    built: dict[str, Method] = {}
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
        built[name] = one(entry, f"{place} ({name})")
    _check_members(built)
    return built


def one(entry: dict[str, Any], place: str = "method", module: str | None = None) -> Method:
    """Build the method of one entry. Raises as `build`.

    Parameters
    ----------
    entry : the same as for `build`.
    place : begins an error's line.
    module : name of the module that the method is written in, where the others, which may be slow
        to import or broken, are not to be imported.
    """
    if module is None:
        found = methods()
    else:
        importlib.import_module(module)
        found = _imported()
    cls = found[entry["method"]]
    given = {key: entry[key] for key in entry if key not in ("method", "name", "preset")}
    try:
        return cls(**{**_preset(cls, entry, place), **given})
    except ValidationError as error:
        raise InputError(f"{place}: {'; '.join(explain_errors(error, cls))}") from None


def bare(cls: type[Method]) -> Method:
    """Return a method with its default parameters, unchecked, to ask what it needs."""
    return cls.model_construct()


def _preset(cls: type[Method], entry: dict[str, Any], place: str) -> dict[str, Any]:
    name = entry.get("preset")
    if name is None:
        return {}
    if not cls.presets:
        raise InputError(f"{place}: {cls.method} has no presets; remove `preset:`")
    if not isinstance(name, str) or name not in cls.presets:
        raise InputError(f"{place}: {unknown(str(name), cls.presets, 'preset')}")
    return cls.presets[name]


def _check_members(built: dict[str, Method]) -> None:
    for name, method in built.items():
        plain = [other for other in built if not built[other].members]
        for member in method.members:
            if member not in plain:
                raise InputError(
                    f"explain.methods: {name} is made of {member!r}, which is "
                    f"{'made of others itself' if member in built else 'not listed'}; "
                    f"allowed are {', '.join(plain) or 'other methods of the list'}"
                )


def check_suited(built: Mapping[str, Method], network: str, structure: Structure) -> None:
    """Raise an InputError where a method cannot explain a network.

    Parameters
    ----------
    built : the run's methods by name.
    network : name of the network.
    structure : structure of the network.
    """
    for number, (name, method) in enumerate(built.items()):
        # Methods of another checkpoint explain another network, which their job examines.
        if getattr(method, "checkpoint", None):
            continue
        if reason := structure.refusal(method.needs):
            raise InputError(f"explain.methods.{number}: {name} cannot explain {network}: {reason}")


def check_files(built: Mapping[str, Method], made: Collection[Path] = ()) -> None:
    """Raise an InputError where a method reads files that are not there.

    Parameters
    ----------
    built : the run's methods by name.
    made : files that the run makes itself, so that they need not be there yet.
    """
    for number, (name, method) in enumerate(built.items()):
        try:
            method.check_files(made)
        except InputError as error:
            raise InputError(f"explain.methods.{number} ({name}): {error}") from None


def entry(method: Method) -> dict[str, Any]:
    """Return the configuration entry that builds this method, every default written out."""
    return {"method": method.method, **method.model_dump()}


def module(method: Method) -> str:
    """Return the path of the file that the method is written in."""
    return str(sys.modules[type(method).__module__].__file__)
