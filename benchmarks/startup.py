"""How long jobs take before they do anything, against the libraries that they cannot do without.

Run by hand: ``python -m benchmarks.startup [NAME...]``, one JSON line for each comparison. Jobs are
processes on three small images, alternating with processes that import their peer alone.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import alternate, line, main, peer
from shamsul.data.masks import MASK_COLUMNS, encode
from shamsul.explain import registry
from shamsul.geometry import Frame
from shamsul.job.fingerprint import PROJECT
from shamsul.model import checkpoint
from shamsul.storage.heatmaps import Heatmaps, write_heatmaps
from shamsul.storage.images import Images, write_images
from shamsul.storage.tables import write_table
from tests.networks import classifier

CLASSES = ["a", "b", "c", "d"]
SIZE = 32
ASK_THE_MODEL = {"explain", "import_checkpoint", "perturb", "predict", "probe", "train"}


def run(arguments: Sequence[str | Path], folder: Path) -> None:
    """A process of this Python from its start to its end."""
    subprocess.run(
        [sys.executable, *map(str, arguments)], check=True, cwd=folder, capture_output=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def against(
    arguments: Sequence[str | Path], libraries: str, folder: Path, rounds: int = 9
) -> tuple[float, float]:
    """Median seconds of a job, and of importing some libraries."""
    return alternate(
        functools.partial(run, arguments, folder),
        functools.partial(run, ["-c", f"import {libraries}"], folder),
        rounds,
    )


@functools.cache
def shard() -> Path:
    """A folder with the files of one shard."""
    folder = Path(tempfile.mkdtemp())
    checkpoint.save(classifier("densenet_small", size=SIZE), folder / "model.pt", {})
    generator, names = np.random.default_rng(0), ["x", "y", "z"]
    grey = generator.integers(0, 256, (3, SIZE, SIZE), np.uint8)
    write_images(Images(grey, names, [Frame.fit(90, 80, SIZE, "stretch")] * 3), folder / "i.h5")
    maps = generator.normal(size=(3, 4, 7, 7)).astype(np.float32)
    every = np.ones((3, 4), bool)
    write_heatmaps(Heatmaps(maps, names, every, CLASSES, "m", {}, "0"), folder / "h.h5")
    drawn = ("x", "a", "r", "segmentation", 90, 80, encode(np.eye(90, 80, dtype=bool)), 1)
    write_table(pd.DataFrame([drawn], columns=MASK_COLUMNS), folder / "m.parquet")
    return folder


def explain(method: str) -> list[str | Path]:
    """The job of a method."""
    settings = {
        "seed": 1, "classes": CLASSES, "explained": CLASSES, "name": method,
        "entry": {"method": method}, "module": registry.methods()[method].__module__,
    }  # fmt: skip
    return [
        PROJECT / "scripts" / "explain.py", "--settings", json.dumps(settings), "--device", "cpu",
        *("--checkpoint", "model.pt", "--images", "i.h5", "--heatmaps", "out.h5"),
    ]  # fmt: skip


def explain_without_network() -> dict[str, Any]:
    """Heatmaps of `random`, whole job, against importing pandas."""
    ours, theirs = against(explain("random"), "pandas", shard())
    return line(ours / theirs, at_most=1.0, ours_s=ours, peer_s=theirs, **peer("pandas"))


def explain_with_network() -> dict[str, Any]:
    """Heatmaps of Grad-CAM, whole job, against importing torch and torchvision."""
    ours, theirs = against(explain("grad_cam"), "torch, torchvision", shard(), rounds=3)
    return line(ours / theirs, at_most=1.25, ours_s=ours, peer_s=theirs, **peer("torchvision"))


def score() -> dict[str, Any]:
    """Scores of twelve maps, whole job, against importing pandas and numba.

    Most of the difference is what numba imports when it first loads what it has compiled.
    """
    settings = json.dumps({"classes": CLASSES, "sign": "positive"})
    job = [
        PROJECT / "scripts" / "score.py", "--settings", settings, "--heatmaps", "h.h5",
        *("--images", "i.h5", "--masks", "m.parquet"),
        *("--scores", "s.parquet", "--signs", "t.parquet"),
    ]  # fmt: skip
    ours, theirs = against(job, "pandas, numba", shard())
    return line(ours / theirs, at_most=2.0, ours_s=ours, peer_s=theirs, **peer("numba"))


def tables() -> dict[str, Any]:
    """The programs of images, tables and report, up to their arguments, against importing pandas.

    The value is the slowest program's.
    """
    names = {file.stem for file in (PROJECT / "scripts").glob("*.py")} - ASK_THE_MODEL
    ratios = {}
    for name in sorted(names):
        job = [PROJECT / "scripts" / f"{name}.py", "--help"]
        ours, theirs = against(job, "pandas", PROJECT, rounds=3)
        ratios[name] = ours / theirs
    return line(max(ratios.values()), at_most=2.5, **peer("pandas"), **ratios)


def rules() -> dict[str, Any]:
    """A dry run of the default experiment against one of a Snakefile of one rule."""
    folder = Path(tempfile.mkdtemp())
    (folder / "Snakefile").write_text(
        "rule one:\n    output:\n        'x'\n    shell:\n        ''\n"
    )
    dry = ["-m", "snakemake", "--dry-run", "--quiet", "all", "--cores", "1"]
    ours, theirs = alternate(
        lambda: run([*dry, "--snakefile", PROJECT / "Snakefile", "--directory", folder], folder),
        lambda: run(dry, folder),
    )
    return line(ours / theirs, at_most=2.5, ours_s=ours, peer_s=theirs, **peer("snakemake"))


COMPARISONS = {
    function.__name__: function
    for function in (explain_without_network, explain_with_network, score, tables, rules)
}

if __name__ == "__main__":
    main(COMPARISONS)
