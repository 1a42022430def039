"""Classes of a library and the arguments that they take, read from its source without importing it.

Libraries of explanations import torch, which takes seconds, and a configuration is checked in less.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shamsul.errors import InputError


@dataclass(frozen=True)
class Signature:
    """The arguments of a function, but for `self`."""

    names: tuple[str, ...] = ()
    """Names, in their order."""
    required: tuple[str, ...] = ()
    """Names of those without a default."""
    more: bool = False
    """True where any further keyword is taken, as `**kwargs`."""


@dataclass(frozen=True)
class _Class:
    module: str
    node: ast.ClassDef


class Library:
    """The source of an installed package.

    Parameters
    ----------
    package : name of the package, such as `captum.attr`.
    needed : command that installs it.
    """

    def __init__(self, package: str, needed: str) -> None:
        self.package = package
        top = package.partition(".")[0]
        # Of the package at the top alone: to find a part of it would import it.
        found = importlib.util.find_spec(top)
        if found is None or not found.submodule_search_locations:
            raise InputError(f"{top} is not installed; install it by `{needed}`")
        self._root = Path(next(iter(found.submodule_search_locations))).parent
        self._trees: dict[str, ast.Module] = {}

    def classes(self) -> list[str]:
        """Return the names of all classes that the package offers, sorted."""
        names = self._imported(self.package)
        return sorted(name for name in names if self._find(self.package, name))

    def bases(self, name: str) -> list[str]:
        """Return the names of a class and of all its bases within the package."""
        return [found.node.name for found in self._lineage(name)]

    def signature(self, name: str, function: str) -> Signature | None:
        """Return the arguments of a class's function, its own or the nearest base's; None where
        there is none.
        """
        for found in self._lineage(name):
            for part in found.node.body:
                # The last of several overloads is the function itself.
                if isinstance(part, ast.FunctionDef) and part.name == function:
                    same = [p for p in found.node.body if getattr(p, "name", None) == function]
                    return _signature(same[-1])
        return None

    def _lineage(self, name: str) -> Iterator[_Class]:
        """Yield a class and its bases, each before its own bases."""
        first = self._find(self.package, name)
        waiting = [first] if first else []
        while waiting:
            found = waiting.pop(0)
            yield found
            for base in found.node.bases:
                if isinstance(base, ast.Subscript):
                    base = base.value
                if isinstance(base, ast.Name) and (of := self._find(found.module, base.id)):
                    waiting.append(of)

    def _find(self, module: str, name: str) -> _Class | None:
        """Return the class of that name in a module, or where the module imports it from."""
        for node in self._tree(module).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return _Class(module, node)
        source = self._imported(module).get(name)
        return self._find(*source) if source else None

    def _imported(self, module: str) -> dict[str, tuple[str, str]]:
        """Return the names that a module imports from the same library: module and name there."""
        found = {}
        top = self.package.partition(".")[0]
        for node in self._tree(module).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == top:
                for alias in node.names:
                    found[alias.asname or alias.name] = str(node.module), alias.name
        return found

    def _tree(self, module: str) -> ast.Module:
        if module not in self._trees:
            place = self._root.joinpath(*module.split("."))
            file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            text = file.read_text(encoding="utf-8") if file.is_file() else ""
            self._trees[module] = ast.parse(text)
        return self._trees[module]


@functools.cache
def library(package: str, needed: str) -> Library:
    """Return the source of an installed package, which is read once.

    Raises
    ------
    InputError
        The package is not installed; `needed` is the command that installs it.
    """
    return Library(package, needed)


def _signature(function: ast.stmt) -> Signature:
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    placed = [*given.posonlyargs, *given.args][1:]  # Without `self`.
    first = len(placed) - len(given.defaults)
    required = [arg.arg for arg in placed[: max(first, 0)]]
    pairs = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    required += [arg.arg for arg, default in pairs if default is None]
    names = tuple(arg.arg for arg in (*placed, *given.kwonlyargs))
    return Signature(names, tuple(required), given.kwarg is not None)
