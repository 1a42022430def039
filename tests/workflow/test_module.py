"""The workflow as a module of another: `module shamsul`, with a prefix and names of its own."""

import os
import subprocess
import sys

import pytest
import yaml

from shamsul.job.fingerprint import PROJECT
from tests import compare
from tests.experiment import SMALL

pytestmark = pytest.mark.workflow

FEW = SMALL | {
    "explain": {
        "methods": [
            entry
            for entry in SMALL["explain"]["methods"]
            if entry["method"] in ("random", "radiologist")
        ]
    },
}
"""The small experiment with the methods that are quick: what is of one method stays the same."""
UNPROBED = {"probe": {"images": 0}}
"""To probe is half of the time; `make test-all` does."""
OF_ALL_METHODS = ("tables/", "agreement/", "pxap.parquet")

OUTER = """
configfile: "outer.yaml"

module shamsul:
    snakefile: "{snakefile}"
    config: config
    prefix: "sub"

use rule * from shamsul as shamsul_*

rule all:
    default_target: True
    input:
        rules.shamsul_all.input,
"""


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.long)], ids="probed={}".format)
def outer(request, tmp_path):
    """A folder of another workflow, whose name has a blank."""
    folder = tmp_path / "another workflow"
    folder.mkdir()
    (folder / "Snakefile").write_text(OUTER.format(snakefile=PROJECT / "Snakefile"))
    (folder / "outer.yaml").write_text(yaml.safe_dump(FEW if request.param else FEW | UNPROBED))
    return folder


def snakemake(folder, *options):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--workflow-profile", "none", *options],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=3600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_module_makes_the_same_results_under_its_prefix(outer, finished):
    planned = snakemake(outer, "--dry-run", "--quiet", "host")
    assert "shamsul_manifest" in planned and "sub/results/small/report.html" in planned
    assert not (outer / "sub").exists()
    snakemake(outer)
    assert not (outer / "results").exists()
    results = outer / "sub" / "results" / "small"
    assert (results / "report.html").is_file()
    made, expected = compare.digests(results), finished.digests()
    differ = {name for name in made if made[name] != expected.get(name)}
    assert len(made) - len(differ) > 35
    assert "tables/classification.parquet" in made.keys() - differ
    assert "configuration.json" in differ  # It has fewer methods.
    differ.remove("configuration.json")
    # These heatmaps name the files that they were read from.
    differ = {name for name in differ if not name.startswith(OF_ALL_METHODS)}
    assert {name.split("/")[1] for name in differ} <= {"radiologist"}, differ
    again = snakemake(outer, "--dry-run")
    assert "Nothing to be done" in again, again
