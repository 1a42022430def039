"""The page of a radiograph of a finished run: its maps, its measures, and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import shamsul
from shamsul.data.masks import by_image, decode
from shamsul.job.fingerprint import PROJECT
from shamsul.report.case.page import render
from shamsul.report.case.statistics import figures


@pytest.fixture(scope="module")
def run(finished):
    return shamsul.open_run(finished.results)


@pytest.fixture(scope="module")
def image_id(run):
    """The test image with the most masks."""
    manifest = run.table("manifest").set_index("image_id")
    masks = run.table("masks")
    counts = masks[masks["image_id"].map(manifest["split"]) == "test"]["image_id"].value_counts()
    return counts.index[0]


def test_every_explained_image_is_a_case(run):
    manifest = run.table("manifest")
    assert run.cases == sorted(manifest.loc[manifest["split"] != "train", "image_id"])
    with pytest.raises(shamsul.InputError, match="image"):
        run.case("nobody")
    train = manifest.loc[manifest["split"] == "train", "image_id"].iloc[0]
    with pytest.raises(shamsul.InputError, match="image shard|no heatmaps"):
        run.case(train)


def test_a_case_has_the_runs_maps_masks_and_thresholds(run, image_id):
    found = run.case(image_id)
    assert {each.name for each in found.explanations} == set(run.methods)
    for each in found.explanations:
        for shard in run.heatmaps(each.name):
            if image_id not in shard.image_id:
                continue
            row = shard.image_id.index(image_id)
            for name, layer in each.layers.items():
                column = shard.classes.index(name)
                if isinstance(layer.values, np.ndarray):
                    np.testing.assert_array_equal(layer.values, shard.heatmap[row, column])
    manifest = run.table("manifest").set_index("image_id").loc[image_id]
    assert found.image.shape == (manifest["height"], manifest["width"]) and not found.notes
    masks = run.table("masks")
    assert len(found.masks) == (masks["image_id"] == image_id).sum()
    assert found.provenance["Checkpoint"] and "<h1>" in render(found)


def test_figures_are_what_the_runs_tables_recorded(run, image_id):
    """IoU under Otsu's threshold is recorded where the run has that rule; hits always are."""
    table = run.table("per_image")
    table = table[table["image_id"] == image_id]
    found = figures(run.case(image_id))
    compared = 0
    for method in found["methods"]:
        for made in method["maps"]:
            own = table[(table["method"] == method["method"]) & (table["class"] == made["class"])]
            for metric, rule in (("iou", "otsu"), ("relevance_mass", "none")):
                value = own[(own["metric"] == metric) & (own["threshold_rule"] == rule)]["value"]
                if len(value):
                    assert made[metric] == pytest.approx(value.iloc[0], abs=1e-9)
                    compared += 1
    assert compared > 5


def test_without_its_file_a_radiograph_is_shown_as_the_model_saw_it(run, image_id, tmp_path):
    found = run.case(image_id, roots={"phantom": tmp_path})
    assert found.image.shape == (found.height, found.width)
    assert "as the model saw it, in 96 x 64 pixels" in found.notes[0]
    plain = run.case(image_id).image.astype(float)
    assert np.corrcoef(plain.ravel(), found.image.ravel())[0, 1] > 0.9


def test_the_command_compares_a_radiograph_of_the_run_with_its_readers(run, image_id, tmp_path):
    row = run.table("manifest").set_index("image_id").loc[image_id]
    image = run.folder / "phantom" / row["source"] / row["path"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "shamsul", "explain", str(image), "--run", str(run.folder)),
            *("--methods", "grad_cam", "--json", "--output", "page.html"),
        ],
        cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["image"] == image_id and found["page"] == "page.html"
    assert (tmp_path / "page.html").is_file()
    (made,) = found["methods"]
    outlined = by_image(run.case(image_id).masks)
    for one in made["maps"]:
        mask = outlined.get((image_id, one["class"], "segmentation"))
        assert ("iou" in one) == (mask is not None and decode(mask).any())
    # The map is the run's own: the same image, weights and parameters.
    (recorded,) = [e for e in figures(run.case(image_id))["methods"] if e["method"] == "grad_cam"]
    by_class = {each["class"]: each for each in recorded["maps"]}
    for one in made["maps"]:
        assert one["greatest"] == pytest.approx(by_class[one["class"]]["greatest"], rel=1e-5)
