"""Which files of this project a program is made of, found from its imports.

Snakemake notices a changed shell command, not a changed module. So each rule names its script and
all that the script imports from this project, however deep, as the input `code`: editing a module
reruns the rules that use it and no others.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent
PROJECT = PACKAGE.parent


def files(*programs: Path) -> list[Path]:
    """The programs and every module of this package that they import, sorted.

    A file that is no Python (a template) stands for itself.

    Imports inside functions count. Those under ``if TYPE_CHECKING:`` do not: they never run.
    """
    found: set[Path] = set()
    todo = [program.resolve() for program in programs]
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo.extend(_imported(file))
    return sorted(found)


@functools.cache
def _imported(file: Path) -> list[Path]:
    """Modules of this package that a file imports itself, and their packages' `__init__`."""
    if file.suffix != ".py":
        return []
    modules: list[Path] = []
    for name in _names(ast.parse(file.read_text(), filename=str(file))):
        parts = name.split(".")
        if parts[0] != PACKAGE.name:
            continue
        for length in range(1, len(parts) + 1):
            place = PROJECT.joinpath(*parts[:length])
            for module in (place.with_suffix(".py"), place / "__init__.py"):
                if module.is_file():
                    modules.append(module)
    return modules


def _names(node: ast.AST) -> Iterator[str]:
    """Dotted names that a syntax tree imports; `from a import b` gives `a.b` and with it `a`."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for statement in node.orelse:
            yield from _names(statement)
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _names(child)
