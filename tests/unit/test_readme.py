"""The example of a method in the documents works as it stands: one file, one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml

from shamsul.explain import registry
from shamsul.geometry import Frame
from shamsul.job.fingerprint import PROJECT
from shamsul.model import checkpoint
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.images import Images, write_images
from tests.experiment import SMALL, copy_project
from tests.networks import classifier

pytestmark = pytest.mark.workflow  # It starts the programs of jobs.

PAGE = (PROJECT / "docs" / "how-to" / "add-a-method.md").read_text()
STUDIES = (PROJECT / "docs" / "explanation" / "as-the-studies-had-it.md").read_text()


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [text for text in blocks if containing in text]
    return found


@pytest.fixture
def project(tmp_path):
    """A copy of the project with the page's file in it."""
    copy_project(tmp_path)
    code = block("python", "Save as")
    (tmp_path / re.search(r"Save as (\S+\.py)", code)[1]).write_text(code)
    return tmp_path


def run(project, *command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_method_of_the_page_explains_images(project):
    (entry,) = yaml.safe_load(block("yaml", "elementwise_cam"))["explain"]["methods"]
    model = classifier("densenet_small", size=32)
    checkpoint.save(model, project / "model.pt", {})
    grey = np.random.default_rng(1).integers(0, 256, (3, 32, 32), np.uint8)
    frame = Frame.fit(40, 30, 32, "stretch")
    write_images(Images(grey, ["x", "y", "z"], [frame] * 3), project / "images.h5")
    settings = {
        "seed": 1, "classes": list("abcd"), "explained": ["c", "a"], "name": "mine", "entry": entry,
        "module": "shamsul.explain.elementwise_cam",
    }  # fmt: skip
    run(
        project, "scripts/explain.py", "--settings", json.dumps(settings),
        "--checkpoint", "model.pt", "--images", "images.h5", "--heatmaps", "out.h5",
        "--device", "cpu",
    )  # fmt: skip
    made = read_heatmaps(project / "out.h5")
    assert made.heatmap.shape[:2] == (3, 2) and made.heatmap.max() > 0
    wanted = {"method": "elementwise_cam", "network": "trained", "floor": 0.001}
    assert made.parameters.items() >= wanted.items()


def test_the_line_of_the_page_is_all_that_the_workflow_needs(project):
    (entry,) = yaml.safe_load(block("yaml", "elementwise_cam"))["explain"]["methods"]
    configuration = SMALL | {"explain": {"methods": [entry, {"method": "random"}]}}
    (project / "config.yaml").write_text(yaml.safe_dump(configuration))
    told = run(project, "-m", "snakemake", "--cores", "1", "--dry-run", "--quiet", "host")
    assert "method=elementwise_cam, shard=test-0000" in told


def test_every_preset_is_among_what_the_studies_did():
    """Each with the method that has it; the other facts of methods are generated."""
    for name, cls in registry.methods().items():
        for preset in cls.presets:
            assert f"`preset: {preset}`" in STUDIES and f"`{name}`" in STUDIES, name
