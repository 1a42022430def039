"""The wheel is the whole product: installed alone, it makes an experiment in an empty folder."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import hatchling.build
import pandas as pd
import pytest
import yaml

import shamsul
from shamsul.job import fingerprint
from shamsul.job.fingerprint import PROJECT
from tests.experiment import SMALL

pytestmark = pytest.mark.workflow

LEAST = {
    **SMALL,
    "run": "least",
    "data": {
        "size": 64,
        "sources": [
            {"adapter": "phantom", "height": 96, "patients": {"train": 8, "tune": 8, "test": 8}}
        ],
        "shards": {"train": 1, "tune": 1, "test": 1},
    },
    "explain": {"methods": [{"method": "grad_cam"}, {"method": "random"}]},
    "probe": {"images": 0},
}


def run(*command, **given) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=1800, **given
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of what git knows: nobody's left-over files get in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in run(
        "git", "ls-files", "-co", "--exclude-standard", cwd=PROJECT
    ).stdout.splitlines():
        if (PROJECT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Folder of programs of a fresh environment with the wheel, and its libraries from here."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    target = next(environment.glob("lib/python3*/site-packages"))
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python")
    run(*pip, "install", "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    # Libraries come behind the wheel; as plain folders, so that no .pth file there is followed to
    # an editable installation of this project.
    (target / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    return environment / "bin"


def alone(programs: Path, **more: str) -> dict[str, str]:
    """Variables of somebody who has no clone."""
    hidden = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return hidden | {"PATH": f"{programs}:{os.environ['PATH']}"} | more


def test_the_wheel_holds_the_workflow_and_the_types(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        told = archive.read(f"shamsul-{shamsul.__version__}.dist-info/METADATA").decode()
    assert f"\nVersion: {shamsul.__version__}\n" in told and "\nAuthor: " in told
    extras = [line for line in told.splitlines() if line.startswith("Provides-Extra: ")]
    assert {line.split()[1] for line in extras} == {
        *("dev", "docs", "slurm", "grad-cam", "excel", "dicom", "figures", "serve"),
        *("networks", "timm", "torchxrayvision", "huggingface", "offline"),
    }
    workflow = {name for name in names if name.startswith("shamsul/workflow/")}
    for part in ("rules/*.smk", "scripts/*", "envs/*", "profiles/*/*", "captions/*", "configs/*"):
        files = {str(file.relative_to(PROJECT)) for file in PROJECT.glob(part) if file.is_file()}
        assert files and {f"shamsul/workflow/{name}" for name in files} <= names
    assert {
        f"shamsul/workflow/{n}" for n in ("Snakefile", "config.yaml", "docs/config.schema.json")
    } <= names
    library = {
        str(file.relative_to(PROJECT))
        for file in (PROJECT / "shamsul").rglob("*.*")
        if "__pycache__" not in file.parts
    }
    assert "shamsul/py.typed" in names and names - workflow >= library
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_an_experiment_in_an_empty_folder(installed, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(LEAST))
    environment = alone(installed)
    where = "import shamsul; print(shamsul.__file__)"
    place = Path(
        run(installed / "python", "-c", where, cwd=tmp_path, env=environment).stdout.strip()
    )
    assert place.is_relative_to(installed.parent) and not place.is_relative_to(PROJECT)
    run(installed / "shamsul", "check", "mine.yaml", cwd=tmp_path, env=environment)
    command = (installed / "shamsul", "run", "mine.yaml", "--cores", "2")
    run(*command, cwd=tmp_path, env=environment)
    results = tmp_path / "results" / "least"
    assert "<html" in (results / "report.html").read_text()
    scored = pd.read_parquet(results / "tables" / "localisation.parquet")
    assert set(scored["method"]) == {"grad_cam", "random"}
    again = run(*command, "--dry-run", cwd=tmp_path, env=environment)
    assert "Nothing to be done" in again.stdout + again.stderr
    # Nothing of the run is by the clone's code, and what it is made of is known by the same digest.
    record = "".join(file.read_text() for file in (tmp_path / ".snakemake" / "metadata").iterdir())
    assert str(PROJECT) not in record
    digest = fingerprint.digest(PROJECT / "scripts" / "score.py")
    assert digest in record


def test_an_editable_installation_has_no_copies(tmp_path, monkeypatch):
    """Its workflow is the repository's."""
    monkeypatch.chdir(PROJECT)
    name = hatchling.build.build_editable(str(tmp_path))
    with zipfile.ZipFile(tmp_path / name) as archive:
        names = [n for n in archive.namelist() if ".dist-info/" not in n]
        assert [Path(n).suffix for n in names] == [".pth"]
        assert archive.read(names[0]).decode().strip() == str(PROJECT)
