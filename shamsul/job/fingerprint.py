"""Parts of a program, found from its imports: files of this project, and libraries.

Snakemake notices a changed shell command, not a changed module, nor another version of a library
that is installed where it runs itself. So each rule has as a parameter a digest of its script and
all that the script imports from this project, however deep, and the versions of the libraries that
these compute with: editing a module reruns the rules that use it and no others.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
"""Folder of the library."""
_INSTALLED = PACKAGE / "workflow"
PROJECT = _INSTALLED if (_INSTALLED / "Snakefile").is_file() else PACKAGE.parent
"""Folder of Snakefile, rules/ and scripts/: the repository, or in a wheel `shamsul/workflow`."""

ARITHMETIC = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "scipy": "scipy",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "shap": "shap",
    "numba": "numba",
    "timm": "timm",
    "transformers": "transformers",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "pydicom": "pydicom",
}
"""Libraries whose next version may compute another number, by the name that they are imported
under. Those that carry numbers, such as pandas, pyarrow and h5py, are not among them: nobody wants
a classifier trained anew for a better table."""


def files(*programs: Path) -> list[Path]:
    """Return the programs and every module of this package that they import, sorted.

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


def digest(*programs: Path) -> str:
    """Return a digest of names and contents of all `files`: 16 hexadecimal digits."""
    found = hashlib.sha256()
    for file in sorted(files(*programs), key=_place):
        found.update(f"{_place(file)} {_content(file)}\n".encode())
    return found.hexdigest()[:16]


def _place(file: Path) -> Path:
    """Return a file's path in the repository, also where it lies in a wheel."""
    for root in (PROJECT, PACKAGE.parent):
        if file.is_relative_to(root):
            return file.relative_to(root)
    return Path(file.name)  # It is of the user's own, and keeps its name where it is moved.


@functools.cache
def _content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def libraries(*programs: Path) -> dict[str, str]:
    """Return the versions of the libraries that the programs compute with, as installed here.

    The build (`+cpu`, `+cu128`) is left out: what it computes on is no part of a result's
    description. A library that is not installed here is left out too.
    """
    imported = {
        name.split(".")[0]
        for file in files(*programs)
        if file.suffix == ".py"
        for name in _names_of(file)
    }
    found = {ARITHMETIC[name]: _version(ARITHMETIC[name]) for name in imported & set(ARITHMETIC)}
    return {name: version for name, version in sorted(found.items()) if version}


@functools.cache
def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution).split("+")[0]
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def _names_of(file: Path) -> list[str]:
    """Return the dotted names that a file imports."""
    return list(_names(ast.parse(file.read_text(), filename=str(file))))


@functools.cache
def _imported(file: Path) -> list[Path]:
    """Return this package's modules that a file imports itself, and their packages' `__init__`."""
    if file.suffix != ".py":
        return []
    modules: list[Path] = []
    for name in _names_of(file):
        parts = name.split(".")
        if parts[0] != PACKAGE.name:
            continue
        for length in range(1, len(parts) + 1):
            place = PACKAGE.parent.joinpath(*parts[:length])
            for module in (place.with_suffix(".py"), place / "__init__.py"):
                if module.is_file():
                    modules.append(module)
    return modules


def _names(node: ast.AST) -> Iterator[str]:
    """Yield dotted names of imports, also by `lazy.load`; `from a import b` is `a.b`."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for statement in node.orelse:
            yield from _names(statement)
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and _is(node.value.func, "lazy", "load")
    ):
        yield ast.literal_eval(node.value.args[0])
    for child in ast.iter_child_nodes(node):
        # Expressions import nothing, and are most of a tree.
        if isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from _names(child)


def _is(node: ast.AST, name: str, attribute: str) -> bool:
    """Return whether a piece of syntax is `name.attribute`."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    )
