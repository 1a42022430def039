"""A new metric is a function and a record: two files, and it is in the tables and the report."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shamsul.job.fingerprint import PROJECT
from tests.experiment import copy_project

pytestmark = pytest.mark.workflow  # It starts the programs of jobs.

RECORD = """    Metric(
        "{name}", "{title}", "Made up for a test.",
        "nobody", "higher", "{group}",
    ),
)  # fmt: skip
"""

OVERLAP = """

def overlap_coefficient(inside: Counts, outside: Counts) -> NDArray[np.float64]:
    \"\"\"Return the area shared by mask and segmentation over the smaller of both.\"\"\"
    shared = above(inside)
    smaller = np.minimum(shared + above(outside), inside.sum(axis=-1, keepdims=True))
    return shared / np.maximum(smaller, 1)


OVERLAP["overlap_coefficient"] = overlap_coefficient
"""

LOCALISED = """
import pathlib, tempfile
import numpy as np
import shamsul.metrics
from tests.results import KINDS, make

assert shamsul.metrics.__file__.startswith({folder!r})
with tempfile.TemporaryDirectory() as folder:
    results, config = make(pathlib.Path(folder), count=18)
    tables = results.tables
    for name in ("per_image", "localisation", "comparisons", "gains"):
        table = tables[name]
        own = table[table["metric"] == "overlap_coefficient"]
        assert set(own["threshold_rule"]) == {{"otsu", "tuned", "fixed", "best"}}, name
    both = tables["per_image"].pivot_table(
        index=["image_id", "class", "method", "threshold_rule"], columns="metric", values="value"
    )
    expected = np.maximum(both["precision"], both["recall"])
    np.testing.assert_allclose(both["overlap_coefficient"], expected)
    from shamsul.report.page import render
    assert "Overlap coefficient" in render(results, config, KINDS)
"""

PROBE = """

def mean_fall_inside(
    heatmap: NDArray[np.float64], hidden: NDArray[np.bool_], falls: NDArray[np.float64]
) -> float:
    \"\"\"Return the mean fall of the logit.\"\"\"
    return float(falls.mean())


SQUARES["mean_fall_inside"] = mean_fall_inside
"""

PROBED = """
import numpy as np
import pandas as pd
import shamsul.metrics
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.probes import summarise
from shamsul.explain.cam import GradCam
from shamsul.geometry import Frame
from shamsul.probe.settings import Probe
from shamsul.report.sections.faithfulness import FAITHFULNESS
from shamsul.storage.heatmaps import Heatmaps
from shamsul.storage.images import Images
from tests.frames import probe
from tests.networks import classifier

assert shamsul.metrics.__file__.startswith({folder!r})
settings = Probe(images=2, reexplained_images=0, fills=("mean",), steps=2, squares=4)
assert "mean_fall_inside" in settings.metrics
model, names = classifier("densenet_small", 32), ["x", "y"]
grey = np.random.default_rng(0).integers(0, 256, (2, 32, 32), np.uint8)
images = Images(grey, names, [Frame.fit(32, 32, 32, "stretch")] * 2)
maps = np.random.default_rng(1).random((2, 4, 7, 7)).astype(np.float32)
heatmaps = Heatmaps(maps, names, np.ones((2, 4), bool), list("abcd"), "cam", {{}}, "0")
table = probe(model, images, heatmaps, GradCam(), settings, 1)
manifest = pd.DataFrame({{"image_id": names, "patient_id": ["p", "q"], "split": "test"}})
faithfulness, sanity = summarise(table, manifest, Inference(0.9, 2))
own = faithfulness[faithfulness["metric"] == "mean_fall_inside"]
assert set(own["fill"]) == {{"mean"}} and own["mean"].notna().all()
assert "mean_fall_inside" not in set(sanity["metric"]) and "mean_fall_inside" in FAITHFULNESS
"""


def extended(folder, name, title, group, module, function):
    """A copy of the project to which one metric was added, in two files."""
    copy_project(folder)
    record = folder / "shamsul" / "metrics.py"
    text = record.read_text()
    before, records, after = text.rpartition(")  # fmt: skip\n")
    assert records
    added = RECORD.format(name=name, title=title, group=group)
    record.write_text(before + added + after)
    with (folder / module).open("a") as file:
        file.write(function)


def run(folder, program):
    path = os.pathsep.join([str(folder), str(PROJECT)])
    return subprocess.run(
        [sys.executable, "-c", program.format(folder=str(folder))],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


def test_an_overlap_metric_is_in_the_tables_and_the_report(tmp_path):
    module = "shamsul/evaluate/histogram_metrics.py"
    named = ("overlap_coefficient", "Overlap coefficient", "overlap")
    extended(tmp_path, *named, module, OVERLAP)
    done = run(tmp_path, LOCALISED)
    assert done.returncode == 0, done.stderr


def test_a_probe_metric_is_measured_and_in_its_table(tmp_path):
    module = "shamsul/probe/faithfulness.py"
    extended(tmp_path, "mean_fall_inside", "Mean fall", "faithfulness", module, PROBE)
    done = run(tmp_path, PROBED)
    assert done.returncode == 0, done.stderr
