"""The page's script measures as the library does: its modules run in Node, where there is one."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest

import shamsul
from shamsul.data.masks import decode, encode, run_lengths
from shamsul.evaluate.histogram import lay_segmentation, sweep
from shamsul.evaluate.histogram_metrics import LEVELS, otsu
from shamsul.evaluate.sign import evidence
from shamsul.geometry import Frame, to_original
from shamsul.job.fingerprint import PROJECT
from shamsul.report.case import bundle
from shamsul.report.case.packing import pack, unpack

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="no node on the PATH")
TOOLS = PROJECT / "tests" / "browser"
DRIVER = """
import { readFileSync } from "node:fs";
import { pixelsOf, runLengths, valuesOf } from "./content.js";
import { at, toOriginal } from "./geometry.js";
import { addressOf, START, stateOf } from "./state.js";
import * as sweeping from "./sweep.js";

const { cases, addresses } = JSON.parse(readFileSync(0, "utf8"));
const measured = [];
for (const { map, sign, frame, segmentation, mask, thresholds } of cases) {
  const runs = mask ? runLengths(mask.counts) : [frame[0] * frame[1]];
  let laid, values = [], spread = [];
  if (segmentation) {
    const { height, width } = segmentation;
    laid = sweeping.laySegmentation(pixelsOf(segmentation), [height, width], frame, runs);
  } else {
    values = await valuesOf(map);
    laid = sweeping.sweep(sweeping.evidence(values, sign), map.shape, frame, runs);
    spread = toOriginal(values, map.shape, at(frame, 17, 23), 0);
  }
  const curve = sweeping.overlaps(laid);
  measured.push({
    runs, values: [...values], spread: [...spread],
    inside: [...laid.inside], outside: [...laid.outside],
    hit: laid.hit, mass: laid.mass, point: laid.point, otsu: sweeping.otsu(laid),
    at: thresholds.map((threshold) => curve[sweeping.levelOf(threshold)]),
  });
}
const known = { classes: ["a", "b&c"], methods: ["x", "y", "z"], readers: ["r 1"] };
const first = { ...START, class: "a", methods: ["x", "y"], method: "x" };
const views = addresses.map((address) => {
  const state = stateOf(address, first, known);
  return { state, again: stateOf(addressOf(state, first), first, known) };
});
process.stdout.write(JSON.stringify({ measured, views }));
"""
THRESHOLDS = [0, 0.005, 0.1, 0.315, 0.5, 0.77, 0.995, 1]


@pytest.fixture(scope="module")
def run_script(tmp_path_factory):
    """Run the modules of the page, as they are, on cases and addresses."""
    folder = tmp_path_factory.mktemp("script")
    for file in bundle.FOLDER.glob("*.js"):
        shutil.copy2(file, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "driver.js").write_text(DRIVER)

    def run(cases=(), addresses=()):
        given = json.dumps({"cases": list(cases), "addresses": list(addresses)})
        done = subprocess.run(
            [NODE, "driver.js"], cwd=folder, input=given, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def situation(seed, geometry, cells, sign="positive", precision="float32", kind="noise"):
    """A map, its frame and a mask: what the script is given, and what the library needs."""
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(20, 90)), int(rng.integers(20, 90))
    frame = Frame.fit(height, width, (32, 40), geometry)
    maps = {
        "noise": rng.normal(size=cells),
        "blob": np.exp(-np.hypot(*(np.indices(cells) - 3)) / 2),
        "constant": np.full(cells, 0.3),
        "coarse": rng.integers(-2, 3, cells) / 3,
    }
    heatmap = maps[kind].astype(np.float32)
    mask = np.zeros((height, width), bool)
    y, x = rng.integers(0, height - 8), rng.integers(0, width - 8)
    mask[y : y + 8 + int(rng.integers(0, 9)), x : x + 8] = True
    packed = pack(heatmap, precision)
    runs = {"height": height, "width": width, "counts": encode(mask)}
    given = {"map": packed, "sign": sign, "frame": frame.to_row(), "mask": runs}
    return {**given, "thresholds": THRESHOLDS}, unpack(packed), frame, mask


SITUATIONS = [
    situation(seed, geometry, cells, sign, precision, kind)
    for seed, (geometry, cells, sign, precision, kind) in enumerate(
        [
            ("stretch", (7, 7), "positive", "float32", "noise"),
            ("stretch", (32, 40), "absolute", "float32", "noise"),
            ("pad", (8, 10), "positive", "float32", "blob"),
            ("crop", (8, 10), "minmax", "float32", "noise"),
            ("pad", (32, 40), "minmax", "int16", "noise"),
            ("crop", (64, 80), "positive", "int16", "blob"),
            ("stretch", (5, 9), "positive", "float32", "constant"),
            ("crop", (6, 6), "positive", "float32", "coarse"),
            ("pad", (1, 1), "positive", "float32", "noise"),
        ]
    )
]


def test_a_map_is_cut_and_measured_as_the_library_does_it(run_script):
    """To the pixel: the arithmetic is the same, in floats of 32 bits."""
    found = run_script([given for given, *_ in SITUATIONS])["measured"]
    for (given, heatmap, frame, mask), got in zip(SITUATIONS, found, strict=True):
        np.testing.assert_array_equal(np.float32(got["values"]), heatmap.ravel())
        np.testing.assert_array_equal(got["runs"], run_lengths(given["mask"]))
        laid = sweep(evidence(heatmap, given["sign"]), frame, run_lengths(given["mask"]))
        np.testing.assert_array_equal(got["inside"], laid.inside)
        np.testing.assert_array_equal(got["outside"], laid.outside)
        assert got["otsu"] == int(otsu(laid.inside + laid.outside))
        assert got["hit"] == pytest.approx(laid.hit, abs=1e-12)
        assert got["mass"] == pytest.approx(laid.mass, abs=1e-6)
        spread = to_original(heatmap, frame.at(17, 23))
        np.testing.assert_allclose(got["spread"], spread.ravel(), atol=1e-6)
        if got["point"] and laid.hit in (0, 1):
            x, y = int(got["point"][0] * mask.shape[1]), int(got["point"][1] * mask.shape[0])
            assert mask[y, x] == (laid.hit == 1)


def test_iou_at_a_threshold_is_that_of_shamsul_score(run_script):
    whole = [each for each in SITUATIONS if each[0]["sign"] == "positive" and each[2].whole]
    found = run_script([given for given, *_ in whole])["measured"]
    assert len(whole) >= 2
    for (_, heatmap, _, mask), got in zip(whole, found, strict=True):
        for threshold, live in zip(THRESHOLDS, got["at"], strict=True):
            expected = shamsul.score(heatmap, mask, threshold=threshold)
            for name in ("iou", "dice", "precision", "recall"):
                assert live[name] == pytest.approx(expected[name], abs=1e-6), (name, threshold)
            assert live["area"] == pytest.approx(expected["marked_area"], abs=1e-6)


def test_overlap_is_that_of_pixels_counted_by_hand(run_script):
    """A map of 4 cells on 4 pixels: 0, 1, 2, 4 of 4; the mask is the last two."""
    heatmap = np.array([[0.0, 1], [2, 4]], np.float32)
    frame = Frame.fit(2, 2, 2, "stretch")
    mask = {"height": 2, "width": 2, "counts": encode(np.array([[0, 0], [1, 1]]))}
    given = {"map": pack(heatmap, "float32"), "sign": "positive", "frame": frame.to_row()}
    given |= {"mask": mask, "thresholds": [0, 0.3, 0.6, 1]}
    (got,) = run_script([given])["measured"]
    assert [live["iou"] for live in got["at"]] == pytest.approx([2 / 3, 1, 1 / 2, 0])
    assert [live["area"] for live in got["at"]] == [0.75, 0.5, 0.25, 0]
    assert got["hit"] == 1 and got["mass"] == pytest.approx(6 / 7)
    assert got["point"] == [0.75, 0.75]


def test_a_radiograph_without_outline_has_an_area_and_no_overlap(run_script):
    given, heatmap, frame, _ = SITUATIONS[0]
    (got,) = run_script([{**given, "mask": None}])["measured"]
    laid = sweep(evidence(heatmap), frame)
    np.testing.assert_array_equal(got["outside"], laid.outside)
    assert sum(got["inside"]) == 0
    assert got["at"][3]["iou"] is None and 0 < got["at"][3]["area"] < 1


@pytest.mark.parametrize("geometry", ["stretch", "pad", "crop"])
def test_a_segmentation_is_laid_as_the_library_does_it(run_script, geometry):
    rng = np.random.default_rng(5)
    drawn = rng.random((24, 30)) > 0.6
    frame = Frame.fit(50, 41, (24, 30), geometry)
    mask = np.zeros((50, 41), bool)
    mask[10:30, 5:25] = True
    runs = {"height": 50, "width": 41, "counts": encode(mask)}
    made = {"height": 24, "width": 30, "counts": encode(drawn)}
    given = {"segmentation": made, "frame": frame.to_row(), "mask": runs, "thresholds": [0.5]}
    (got,) = run_script([given])["measured"]
    laid = lay_segmentation(decode(made), frame, run_lengths(runs))
    np.testing.assert_array_equal(got["inside"], laid.inside)
    np.testing.assert_array_equal(got["outside"], laid.outside)
    assert got["hit"] == pytest.approx(laid.hit) and len(got["inside"]) == LEVELS


def test_long_run_lengths_are_read(run_script):
    """Runs of a full radiograph: numbers of several characters, and differences below zero."""
    mask = np.zeros((2048, 1500), bool)
    mask[3:2000, 700:703] = True
    mask[5:7, 1400] = True
    runs = {"height": 2048, "width": 1500, "counts": encode(mask)}
    frame = Frame.fit(2048, 1500, 8, "stretch").to_row()
    given = {"map": pack(np.eye(8), "float32"), "sign": "positive", "frame": frame, "mask": runs}
    (got,) = run_script([{**given, "thresholds": [0]}])["measured"]
    np.testing.assert_array_equal(got["runs"], run_lengths(runs))
    assert sum(got["inside"]) == mask.sum()


def test_an_address_brings_a_view_back_and_what_cannot_be_is_left_out(run_script):
    good = "#class=b%26c&methods=z&methods=x&rule=fixed&threshold=0.31&zoom=2.5&x=0.4&map=false"
    bad = "#class=none&methods=q&rule=eval&threshold=abc&zoom=900&toString=1&__proto__=2&opacity="
    views = run_script(addresses=["", good, bad, "#reader=r+1&layout=single&window=0"])["views"]
    for view in views:
        assert view["state"] == view["again"]
    first, named, wrong, single = (view["state"] for view in views)
    assert named["class"] == "b&c" and named["methods"] == ["z", "x"] and named["map"] is False
    assert (named["rule"], named["threshold"], named["zoom"]) == ("fixed", 0.31, 2.5)
    assert wrong == {**first, "zoom": 16}
    assert (single["reader"], single["layout"], single["window"]) == ("r 1", "single", 1)


def installed(name):
    program = TOOLS / "node_modules" / ".bin" / name
    if not program.exists():
        pytest.skip(f"no {name}; run `npm install` in tests/browser")
    return program


def test_types_of_the_script_hold():
    done = subprocess.run(
        [installed("tsc"), "--project", TOOLS / "tsconfig.json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_script_is_clean():
    command = ["-c", "tests/browser/eslint.config.js", "shamsul"]
    done = subprocess.run(
        [installed("eslint"), *command], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
