"""Files of the user's code that build a network, found without importing them."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path


def local_imports(file: Path) -> list[Path]:
    """Return a file of Python, first, and the files in its folder that it imports, however deep.

    Where the file is in a package, the folder that the package lies in counts too.
    """
    found: list[Path] = []
    todo = [file]
    while todo:
        at = todo.pop()
        if at in found or not at.is_file():
            continue
        found.append(at)
        for folder, dotted in _imports(at, file):
            place = folder.joinpath(*dotted.split("."))
            todo += [place.with_name(f"{place.name}.py"), place / "__init__.py"]
    return [found[0], *sorted(found[1:])] if found else []


def _imports(at: Path, file: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folders and dotted names under which a module may lie that `at` imports; `file` is
    the one that is run.
    """
    roots = (file.parent, _root(file))
    for node in ast.walk(ast.parse(at.read_text(), str(at))):
        if isinstance(node, ast.Import):
            yield from ((root, alias.name) for alias in node.names for root in roots)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
            folders = (at.parents[node.level - 1],) if node.level else roots
            yield from ((folder, name) for name in filter(None, names) for folder in folders)


def _root(file: Path) -> Path:
    """Return the folder that a file's package lies in, or the file's own."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def code(name: str) -> list[Path]:
    """Return the file of `FILE.py:FUNCTION` or `MODULE:FUNCTION`, and the files beside it that it
    imports, however deep.
    """
    file = _file(name.rpartition(":")[0])
    return [] if file is None else local_imports(file)


def _file(module: str) -> Path | None:
    """Return the file of a module given by its path or its dotted name; None for no such module."""
    if module.endswith(".py"):
        return Path(module)
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    return Path(spec.origin) if spec is not None and spec.origin else None
