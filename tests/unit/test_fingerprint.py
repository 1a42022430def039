"""Digests of programs: the files and libraries on which a job's result depends."""

import os
import shutil
import subprocess
import sys
from importlib import metadata

import numpy
import pytest

from shamsul.job import fingerprint


def names(*programs):
    return {str(file.relative_to(fingerprint.PROJECT)) for file in fingerprint.files(*programs)}


def test_imports_are_followed_however_deep():
    found = names(fingerprint.PROJECT / "scripts" / "manifest.py")
    assert {
        "scripts/manifest.py",
        "shamsul/data/sources.py",
        "shamsul/data/reading/files.py",
    } <= found
    assert {"shamsul/__init__.py", "shamsul/data/__init__.py"} <= found
    assert "shamsul/config.py" not in found and "shamsul/explain/lrp.py" not in found


def test_imports_inside_functions_count_and_those_for_types_do_not(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from shamsul import config\n"
        "def run():\n    from shamsul.storage import tables\n"
    )
    found = {file.name for file in fingerprint.files(program)}
    assert "tables.py" in found and "config.py" not in found


def test_a_method_depends_on_its_own_module_only():
    explain = fingerprint.PROJECT / "shamsul" / "explain"
    found = names(fingerprint.PROJECT / "scripts" / "explain.py", explain / "cam.py")
    assert "shamsul/explain/cam.py" in found
    assert not {"shamsul/explain/lrp.py", "shamsul/explain/surrogate.py"} & found


def test_training_depends_on_no_file_that_it_neither_reads_nor_writes():
    found = names(fingerprint.PROJECT / "scripts" / "train.py")
    assert {"shamsul/storage/images.py", "shamsul/storage/tables.py"} <= found
    assert not {"shamsul/storage/heatmaps.py", "shamsul/storage/perturbed.py"} & found


# What a program really imports, against what its syntax says.
LOADED = """
import runpy, sys
sys.argv = ["x", "--help"]
try:
    runpy.run_path({path!r}, run_name="__main__")
except SystemExit:
    pass
import pathlib
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None)
    if file and module.__name__.split(".")[0] == "shamsul":
        print(pathlib.Path(file).resolve())
"""


@pytest.mark.workflow
@pytest.mark.parametrize(
    "program", [file.stem for file in sorted((fingerprint.PROJECT / "scripts").glob("*.py"))]
)
def test_nothing_is_imported_that_is_not_listed(program):
    path = fingerprint.PROJECT / "scripts" / f"{program}.py"
    source = LOADED.format(path=str(path))
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        check=True,
        cwd=fingerprint.PROJECT,
    )
    lines = done.stdout.splitlines()
    loaded = {line for line in lines if line.endswith(".py") and "/shamsul/" in line}
    assert loaded <= {str(file) for file in fingerprint.files(path)}


def test_libraries_are_those_that_the_program_computes_with(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy, pandas\nfrom shamsul import lazy\nscipy = lazy.load('scipy')\n"
        "def run():\n    from sklearn import metrics\n"
    )
    found = fingerprint.libraries(program)
    assert list(found) == ["numpy", "scikit-learn", "scipy"]
    assert found["numpy"] == numpy.__version__


def test_the_build_of_a_library_is_no_part_of_its_version():
    found = fingerprint.libraries(fingerprint.PROJECT / "scripts" / "train.py")
    assert found["torch"] == metadata.version("torch").split("+")[0]


def test_a_wheel_has_the_digests_of_the_repository(tmp_path):
    """There the workflow lies inside the library's folder and the files in another order."""
    installed = tmp_path / "site-packages" / "shamsul"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(fingerprint.PACKAGE, installed, ignore=ignored)
    for part in ("Snakefile", "scripts"):
        source = fingerprint.PROJECT / part
        copy = installed / "workflow" / part
        copy.parent.mkdir(exist_ok=True)
        shutil.copytree(source, copy, ignore=ignored) if source.is_dir() else copy.touch()
    programs = ["explain", "report", "train"]
    source = (
        "from shamsul.job import fingerprint as f\n"
        f"print(*(f.digest(f.PROJECT / 'scripts' / f'{{name}}.py') for name in {programs}))\n"
        "print(f.PROJECT)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed.parent)},
    )
    scripts = fingerprint.PROJECT / "scripts"
    digests = [fingerprint.digest(scripts / f"{name}.py") for name in programs]
    assert done.stdout.split() == [*digests, str(installed / "workflow")]
