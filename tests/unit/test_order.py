"""The layout shows the architecture: packages import only what lies below them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from shamsul.job.fingerprint import PROJECT

PACKAGE = PROJECT / "shamsul"
ORDER = (
    "tables",
    "job",
    "storage",
    "data",
    "phantom",
    "model",
    "explain",
    "probe",
    "evaluate",
    "report",
)
"""Packages from the ground up; single modules beside them are below or above all of these."""
ABOVE = {
    "__init__",
    "__main__",
    "config",
    "schema",
    "reference",
    "experiment",
    "api",
    "results",
    "charts",
    "plan",
    "command",
}
"""Modules and packages that put the others together, so that any package may be imported there."""
LONGEST = 320
"""Lines that a reader takes in at one sitting."""
FILES = sorted(PACKAGE.rglob("*.py"))


def floor(room: str) -> int:
    """0 for the ground floor, then the place in `ORDER`, and the roof above all."""
    if room in ABOVE:
        return len(ORDER) + 1
    return ORDER.index(room) + 1 if room in ORDER else 0


def room_of(file: Path) -> str:
    first = file.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(file: Path) -> Iterator[str]:
    """First name below `shamsul` of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == PACKAGE.name and rest:
                yield rest.split(".")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_arrow_runs_back_up(file):
    own = room_of(file)
    above = {room for room in imported(file) if room != own and floor(room) > floor(own)}
    assert not above, f"{own} lies below {', '.join(sorted(above))}"


def test_every_package_has_its_place_in_the_order():
    packages = {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")}
    assert packages - ABOVE == set(ORDER)


def test_an_arrow_back_would_be_seen(tmp_path):
    (tmp_path / "one.py").write_text(
        "def late():\n    from shamsul import report\n\nimport shamsul.model.training.train\n"
        "importlib.import_module('shamsul.api')\n"
    )
    assert set(imported(tmp_path / "one.py")) == {"report", "model", "api"}
    assert floor("errors") < floor("storage") < floor("report") < floor("config")


def test_ground_floor_modules_import_no_package():
    ground = [file for file in FILES if floor(room_of(file)) == 0]
    assert {"errors", "geometry", "labels", "metrics", "settings"} <= {f.stem for f in ground}
    for file in ground:
        assert {room for room in imported(file) if floor(room)} == set(), file


@pytest.mark.parametrize(
    "file",
    [
        *FILES,
        *sorted((PROJECT / "scripts").glob("*.py")),
        *sorted(PROJECT.glob("rules/*.smk")),
        *sorted(PROJECT.glob("benchmarks/*.py")),
    ],
    ids=lambda file: str(file.relative_to(PROJECT)),
)
def test_a_module_is_read_at_one_sitting(file):
    assert len(file.read_text().splitlines()) <= LONGEST
