"""Where there is no room for a file, nothing is left of it and one line says which it was."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shamsul.job.fingerprint import PROJECT
from shamsul.storage.files import replacing

pytestmark = pytest.mark.workflow  # It starts the programs of jobs.

WRITERS = {
    "a table": """
import numpy as np, pandas as pd
from shamsul.storage.tables import write_table
def write(path): write_table(pd.DataFrame({"x": np.random.rand(100_000)}), path)
""",
    "an image shard": """
import numpy as np
from shamsul.storage.images import Images, write_images
def write(path): write_images(Images(np.ones((9, 224, 224), np.uint8), list("abcdefghi"), []), path)
""",
    "a heatmap shard": """
import numpy as np
from shamsul.storage.heatmaps import Heatmaps, write_heatmaps
def write(path):
    maps = np.random.default_rng(0).normal(size=(2, 1, 224, 224)).astype(np.float32)
    write_heatmaps(Heatmaps(maps, ["x", "y"], np.ones((2, 1), bool), ["c"], "m", {}, "0"), path)
""",
    "perturbed predictions": """
import numpy as np
from shamsul.storage.perturbed import PerturbedPredictions, write_perturbed
def write(path):
    logits = [np.ones((9000, 3))]
    labels, subsets = [np.zeros((8, 8), int)], [np.ones((9000, 1), bool)]
    write_perturbed(PerturbedPredictions(["x"], labels, subsets, logits, list("abc"), "0"), path)
""",
    "a checkpoint": """
from shamsul.model import checkpoint
from tests.networks import classifier
def write(path): checkpoint.save(classifier("densenet_small", size=32), path, {})
""",
}
# CPython ignores the signal that comes with it.
PROGRAM = """
import resource, sys
from shamsul.job import program
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
program.run(lambda: write(sys.argv[1]))
"""


@pytest.mark.parametrize("what", WRITERS)
def test_a_file_that_may_not_be_so_large(tmp_path, what):
    """The same fault as on a full disk, under a limit that any process can set itself."""
    path = tmp_path / "file"
    path.write_text("of an earlier run")
    done = subprocess.run(
        [sys.executable, "-c", WRITERS[what] + PROGRAM, str(path)],
        cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"error: {path}: File too large; make room and run again\n"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "of an earlier run"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_device(tmp_path):
    with pytest.raises(OSError, match="No space left on device") as told, replacing(tmp_path / "x"):
        Path("/dev/full").write_text("x")
    assert told.value.errno == errno.ENOSPC and told.value.filename == str(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_what_was_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order = []
    fsync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (order.append("fsync"), fsync(file)))
    monkeypatch.setattr(Path, "replace", lambda *a: (order.append("rename"), rename(*a)))
    with replacing(tmp_path / "x") as temporary:
        temporary.write_text("whole")
    assert order == ["fsync", "rename"] and (tmp_path / "x").read_text() == "whole"


def test_an_error_leaves_the_earlier_file(tmp_path):
    (tmp_path / "x").write_text("earlier")
    with pytest.raises(KeyError), replacing(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise KeyError
    assert [file.read_text() for file in tmp_path.iterdir()] == ["earlier"]
