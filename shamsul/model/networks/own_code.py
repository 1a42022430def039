"""Files of the user's code that build a network, found without importing them."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path


def local_imports(file: Path) -> list[Path]:
    """Return a file of Python, first, and the files in its folder that it imports, however deep."""
    found: list[Path] = []
    todo = [file]
    while todo:
        at = todo.pop()
        if at in found or not at.is_file():
            continue
        found.append(at)
        for node in ast.walk(ast.parse(at.read_text(), str(at))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                names = [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
            for dotted in filter(None, names):
                place = file.parent.joinpath(*dotted.split("."))
                todo += [place.with_suffix(".py"), place / "__init__.py"]
    return [found[0], *sorted(found[1:])] if found else []


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
