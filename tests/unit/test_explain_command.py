"""`shamsul explain`, `shamsul.explained` and `shamsul.show`: one radiograph, explained now."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import shamsul
from shamsul.cases.explained import explained
from shamsul.cases.network_of_run import geometry
from shamsul.cases.suited import suited
from shamsul.explain import registry
from shamsul.geometry import Frame, to_model
from shamsul.job.fingerprint import PROJECT
from shamsul.model import checkpoint
from tests.networks import classifier

SIZE = 32


@pytest.fixture(scope="module")
def model():
    return classifier("densenet_small", size=SIZE)


@pytest.fixture(scope="module")
def grey():
    return np.random.default_rng(1).integers(0, 256, (48, 40), np.uint8)


@pytest.fixture
def folder(tmp_path, model, grey):
    Image.fromarray(grey).save(tmp_path / "chest.png")
    checkpoint.save(model, tmp_path / "model.pt", {})
    return tmp_path


def command(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "shamsul", "explain", *arguments],
        cwd=folder, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )  # fmt: skip


def test_maps_are_those_of_shamsul_explain(model, grey):
    found = explained(model, grey, ["grad_cam", "lrp_z"], classes=["c", "a"])
    assert [each.name for each in found.explanations] == ["grad_cam", "lrp_z"]
    for each in found.explanations:
        maps = shamsul.explain(model, grey, each.name, classes=["c", "a"])
        np.testing.assert_array_equal(each.layers["c"].values, maps[0, 0])
        np.testing.assert_array_equal(each.layers["a"].values, maps[0, 1])
    seen = to_model(grey, Frame.fit(*grey.shape, model.size, "stretch"))
    logits = model.predict(model.normalise(seen[None]))[0]
    np.testing.assert_allclose(
        list(found.probabilities.values()), logits.double().sigmoid().numpy(), rtol=1e-6
    )
    assert found.provenance["Checkpoint"] == model.digest()


def test_all_methods_that_suit_are_chosen_and_the_others_are_told(model):
    notes: list[str] = []
    chosen = suited(model, 2, 0.001, 1e9, notes)
    made = {name for name, cls in registry.methods().items() if cls.cost != "no_model"}
    told = " ".join(notes)
    assert {"grad_cam", "lime", "lrp_epsilon", "rise"} <= set(chosen) <= made
    peers = {name for name in made if ".peers." in registry.methods()[name].__module__}
    for name in made - set(chosen) - peers:
        assert name in told
    assert "attention" in told


def test_the_cheapest_come_first_and_the_slow_are_left_out_with_a_word(model):
    notes: list[str] = []
    chosen = suited(model, 2, 0.01, 3.0, notes)
    assert chosen[0] == "eigen_cam" and "rise" not in chosen
    assert "would take more than 3 s" in notes[0] and "rise (" in notes[0]
    assert suited(model, 2, 0.01, 0.0, []) == []


def test_the_most_probable_classes_are_explained_unless_some_are_named(grey):
    many = classifier("densenet_small", size=SIZE)
    found = explained(many, grey, ["grad_cam"])
    assert set(found.explanations[0].layers) == set("abcd") and found.notes == []
    one = explained(many, grey, ["grad_cam"], classes=["b", "b"])
    assert list(one.explanations[0].layers) == ["b"]


def test_masks_are_compared_with(model, grey):
    mask = np.zeros(grey.shape, bool)
    mask[10:20, 10:20] = True
    found = explained(model, grey, ["grad_cam"], classes=["a"], masks={"me": {"a": mask}})
    from shamsul.report.case.statistics import figures

    (made,) = figures(found)["methods"]
    expected = shamsul.score(found.explanations[0].layers["a"].values, mask)
    assert made["maps"][0]["iou"] == pytest.approx(expected["iou"], abs=1e-12)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"methods": ["grad_cm"]}, "did you mean 'grad_cam'"),
        ({"methods": ["mean_mask"]}, "needs masks"),
        ({"methods": ["attn_lrp"]}, "cannot explain"),
        ({"methods": ["grad_cam"], "classes": ["z"]}, "classes"),
        ({"methods": [], "masks": {"me": {"a": np.zeros((3, 3))}}}, "need 48 x 40 pixels"),
        ({"methods": [], "masks": {"me": {"z": np.ones((48, 40))}}}, "masks of me"),
    ],
)
def test_what_cannot_be_explained_is_told(model, grey, given, told):
    with pytest.raises(shamsul.InputError, match=told):
        explained(model, grey, **given)


def test_an_image_that_is_none_is_told(model):
    for wrong in (np.zeros((3, 4, 5), np.uint8), np.zeros((3, 4))):
        with pytest.raises(shamsul.InputError, match="need \\(H, W\\) uint8"):
            explained(model, wrong)


def test_show_draws_a_case_and_saves_it(model, grey, tmp_path):
    found = explained(model, grey, ["grad_cam"], classes=["a"])
    shown = shamsul.show(found, height=300)
    assert "<iframe" in shown._repr_html_() and 'height="300"' in shown._repr_html_()
    page = shown.save(tmp_path / "page.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "Grad-CAM" in page
    with pytest.raises(shamsul.InputError, match="cannot draw a ndarray"):
        shamsul.show(grey)


def test_the_geometry_of_a_run_is_read_from_its_frames():
    for wanted in ("stretch", "pad", "crop"):
        frames = [Frame.fit(30, 30, 16, wanted), Frame.fit(40, 30, 16, wanted)]
        assert geometry(frames) == wanted
    assert geometry([]) == "stretch"


def test_the_command_writes_a_page_and_prints_figures(folder):
    options = ["--checkpoint", "model.pt", "--methods", "grad_cam, gradient", "--classes", "a,b"]
    done = command(folder, "chest.png", *options)
    assert done.returncode == 0, done.stderr
    assert not done.stdout and "Grad-CAM" in (folder / "chest.html").read_text()
    assert "1 of 2: grad_cam" in done.stderr and "wrote chest.html" in done.stderr
    done = command(folder, "chest.png", *options, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["method"] for each in found["methods"]] == ["grad_cam", "gradient"]
    assert found["page"] is None and len(found["classes"]) == 4
    assert [each["class"] for each in found["methods"][0]["maps"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "which network?"),
        (["--run", "none"], "no results of a run"),
        (["--run", "none", "--network", "resnet18"], "not both"),
        (["--checkpoint", "none.pt"], "none.pt"),
        (["--checkpoint", "model.pt", "--methods", "grad_cm"], "did you mean 'grad_cam'"),
        (["--checkpoint", "model.pt", "--classes", ","], "no name"),
        (["--network", "resnet18", "--checkpoint", "model.pt"], "--outputs A,B"),
        (["--network", "nowhere/x"], "nowhere"),
    ],
)
def test_a_fault_of_the_command_is_one_line(folder, arguments, told):
    done = command(folder, "chest.png", *arguments)
    assert done.returncode == 1 and told in done.stderr, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ") and "Traceback" not in done.stderr
    assert not list(folder.glob("*.html"))


def test_what_is_no_image_is_told(folder):
    (folder / "no.png").write_text("not an image")
    done = command(folder, "no.png", "--checkpoint", "model.pt")
    assert done.returncode == 1 and "no.png: not a readable image" in done.stderr
