"""CheXlocalize's protocol on cases worked out by hand, and its two programs."""

import json
import math
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shamsul.data.masks import MASK_COLUMNS, encode
from shamsul.errors import InputError
from shamsul.evaluate.chexlocalize import segmentation as segment
from shamsul.evaluate.chexlocalize.cases import Case, Run
from shamsul.evaluate.chexlocalize.scores import measure, tune_cutoffs, tune_thresholds
from shamsul.evaluate.chexlocalize.summary import bootstrap, interval, summarise
from shamsul.evaluate.parameters import Protocol
from shamsul.geometry import Frame
from shamsul.job.fingerprint import PROJECT
from shamsul.storage.heatmaps import Heatmaps, RunLengths, write_heatmaps
from shamsul.storage.images import Images, write_images
from shamsul.storage.tables import read_table, write_table
from tests.checkpoints import write_description

SIZE = 10
SETTINGS = Protocol("otsu", smoothing={}, probability_cutoff="none", true_pos_only=True)


def square(top, left, side):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def tables(masks, splits, probability=()):
    rows = [
        (image_id, name, "a", "segmentation", SIZE, SIZE, encode(mask))
        for (image_id, name), mask in masks.items()
    ]
    columns = ["image_id", "class", "annotator", "kind", "height", "width", "counts"]
    return (
        pd.DataFrame(rows, columns=columns).reindex(columns=MASK_COLUMNS),
        pd.DataFrame({"image_id": list(splits), "split": list(splits.values())}),
        pd.DataFrame(
            [(*key, value) for key, value in dict(probability).items()],
            columns=["image_id", "class", "probability"],
        ),
    )


def run_of(masks, splits, classes, probability=(), geometry="stretch"):
    frames = {image_id: Frame.fit(SIZE, SIZE, SIZE, geometry) for image_id in splits}
    return Run.of(*tables(masks, splits, probability), frames, classes)


def shard(path, maps, classes, method="maps", **more):
    """A shard of maps (10 x 10) by image and class; those that are missing are not explained."""
    images = list(dict.fromkeys(image_id for image_id, _ in maps))
    heatmap = np.zeros((len(images), len(classes), SIZE, SIZE), np.float32)
    explained = np.zeros(heatmap.shape[:2], bool)
    for (image_id, name), values in maps.items():
        if values is not None:
            at = images.index(image_id), classes.index(name)
            heatmap[at], explained[at] = values, True
    write_heatmaps(Heatmaps(heatmap, images, explained, classes, method, {}, "", **more), path)
    return path


def case(mask=None, original=None, given=None, points=None):
    original = None if original is None else np.asarray(original, np.float32)
    return Case(("a", "Edema"), given, original, mask, 0.5, points)


# Overlap and hits.


@pytest.mark.parametrize(
    ("mask", "segmentation", "alone", "otherwise"),
    [
        (square(0, 0, 4), square(0, 0, 2), 4 / 16, 4 / 16),
        (square(0, 0, 4), square(5, 5, 2), 0.0, 0.0),
        (square(0, 0, 4), None, math.nan, 0.0),
        (square(0, 0, 4), square(0, 0, 0), math.nan, 0.0),
        (None, square(0, 0, 4), math.nan, 0.0),
        (None, square(0, 0, 0), math.nan, math.nan),
        (None, None, math.nan, math.nan),
    ],
)
def test_overlap_is_nan_where_they_leave_an_image_out(mask, segmentation, alone, otherwise):
    found = case(mask)
    np.testing.assert_equal(found.overlap(segmentation, True), alone)
    np.testing.assert_equal(found.overlap(segmentation, False), otherwise)


def test_of_several_maxima_the_first_decides():
    original = np.zeros((SIZE, SIZE))
    original[2, 3] = original[7, 7] = 1
    assert case(square(2, 3, 1), original).hit() == 1
    assert case(square(6, 6, 3), original).hit() == 0
    # A constant map points at the first pixel.
    assert case(square(0, 0, 1), np.zeros((SIZE, SIZE))).hit() == 1
    assert math.isnan(case(None, original).hit())


def test_a_reader_hits_with_any_point():
    mask = square(4, 6, 2)  # rows 4 and 5, columns 6 and 7
    assert case(mask, points=np.array([[0.0, 0.0], [6.9, 4.2]])).hit() == 1
    assert case(mask, points=np.array([[4.0, 6.0], [99.0, 4.0]])).hit() == 0
    assert case(mask, points=np.zeros((0, 2))).hit() == 0
    assert math.isnan(case(mask, given=mask).hit())


# Segmentations.


@pytest.mark.filterwarnings("error")
def test_constant_maps_are_empty():
    for value in (0, 3, -2):
        scaled = segment.scaled(np.full((12, 14), value, np.float32))
        assert not segment.by_otsu(scaled).any()
        assert not segment.above(scaled, 0.2).any()


def test_negative_relevance_is_lifted_and_not_cut_off():
    signed = np.zeros((SIZE, SIZE), np.float32)
    signed[0, 0] = -1  # one pixel against the class makes all the others foreground
    assert segment.by_otsu(segment.scaled(signed)).sum() == SIZE * SIZE - 1


def test_holes_are_filled_and_single_pixels_dropped():
    ring = square(1, 1, 6) & ~square(2, 2, 4)
    ring[4, 4] = True  # in the ring
    expected = square(1, 1, 6)
    ring[9, 9] = True  # alone
    np.testing.assert_array_equal(segment.filled(ring), expected)
    diagonal = np.eye(4, dtype=bool)[:, ::-1]
    np.testing.assert_array_equal(segment.filled(diagonal), diagonal)
    # What opens to the border is no hole.
    open_ring = ring & ~square(3, 0, 2)
    assert not segment.filled(open_ring)[4, 3]


@settings(deadline=None)
@given(arrays(bool, (9, 8)))
def test_filling_is_idempotent_and_drops_only_lone_pixels(foreground):
    found = segment.filled(foreground)
    np.testing.assert_array_equal(segment.filled(found), found)
    for y, x in np.argwhere(foreground & ~found):
        assert foreground[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].sum() == 1


def test_a_threshold_is_exceeded_and_not_met():
    scaled = np.array([[0, 0.5, 0.75, 1]], np.float32)
    np.testing.assert_array_equal(segment.above(scaled, 0.5), [[False, False, True, True]])
    # 0.3 of float32 is a little more than 0.3, and still does not exceed it.
    assert not segment.above(np.full((1, 1), 0.3, np.float32), 0.3)


def test_maps_of_the_frame_go_back_through_it():
    heatmap = np.zeros((4, 4), np.float32)
    heatmap[1:3] = 1  # all that shows the radiograph, which is twice as wide as high
    frame = Frame.fit(100, 200, 64, "pad")
    assert segment.on_radiograph(heatmap, frame, "frame").min() > 0
    whole = segment.on_radiograph(heatmap, frame, "radiograph")
    assert whole[0].max() == 0 and whole[50].min() == 1


# Slices.


def test_which_images_are_counted(tmp_path):
    masks = {("a", "Edema"): square(0, 0, 4), ("b", "Support Devices"): square(0, 0, 4)}
    masks["t", "Edema"] = square(0, 0, 4)
    splits = {"a": "test", "b": "test", "c": "test", "d": "test", "t": "tune"}
    maps = {(image_id, "Edema"): square(0, 0, 2) for image_id in "abct"} | {("d", "Edema"): None}
    paths = [shard(tmp_path / "0.h5", maps, ["Edema"])]
    run = run_of(masks, splits, ["Edema"])
    alone = measure(paths, run, "maps", SETTINGS)
    everything = measure(paths, run, "maps", replace(SETTINGS, true_pos_only=False))
    iou = alone[alone["metric"] == "iou"].set_index("image_id")["value"]
    # b has a mask, of another class, so it is resampled; c has none and is not.
    assert list(iou.index) == ["a", "b"] and iou["a"] == 4 / 16 and math.isnan(iou["b"])
    iou = everything[everything["metric"] == "iou"].set_index("image_id")["value"]
    # d has neither mask nor map.
    assert iou.to_dict() == {"a": 4 / 16, "b": 0.0, "c": 0.0}
    for table in (alone, everything):
        hits = table[table["metric"] == "hit_rate"].set_index("image_id")["value"]
        assert list(hits.index) == ["a", "b"] and hits["a"] == 1 and math.isnan(hits["b"])


def test_a_missing_map_is_empty_and_a_miss(tmp_path):
    paths = [shard(tmp_path / "0.h5", {("a", "Edema"): None}, ["Edema"])]
    run = run_of({("a", "Edema"): square(0, 0, 4)}, {"a": "test"}, ["Edema"])
    for alone, expected in ((True, math.nan), (False, 0.0)):
        table = measure(paths, run, "maps", replace(SETTINGS, true_pos_only=alone))
        values = table.set_index("metric")["value"]
        np.testing.assert_equal(values["iou"], expected)
        assert values["hit_rate"] == 0


def test_boxes_and_classes_that_are_not_asked_for_are_left_out(tmp_path):
    masks, manifest, predictions = tables(
        {("a", "Edema"): square(0, 0, 4), ("b", "Marker"): square(0, 0, 4)},
        {"a": "test", "b": "test", "c": "test"},
    )
    box = masks.iloc[[0]].assign(image_id="c", kind="box")
    frames = {image_id: Frame.fit(SIZE, SIZE, SIZE, "stretch") for image_id in "abc"}
    run = Run.of(pd.concat([masks, box]), manifest, predictions, frames, ["Edema"])
    assert run.masked("test") == ["a"]


# Cutoffs and thresholds.


def test_below_the_cutoff_a_segmentation_is_empty(tmp_path):
    masks = {(image_id, "Edema"): square(0, 0, 4) for image_id in "ab"}
    maps = {key: square(0, 0, 2) for key in masks}
    paths = [shard(tmp_path / "0.h5", maps, ["Edema"])]
    probability = {("a", "Edema"): 0.5, ("b", "Edema"): 0.49}
    run = run_of(masks, dict.fromkeys("ab", "test"), ["Edema"], probability)
    chosen = replace(SETTINGS, probability_cutoff={"Edema": 0.5})
    table = measure(paths, run, "maps", chosen)
    iou = table[table["metric"] == "iou"]
    np.testing.assert_equal(iou["value"].tolist(), [4 / 16, math.nan])
    assert set(iou["probability_cutoff"]) == {0.5}
    # The maximum is not asked whether the class is predicted.
    assert table[table["metric"] == "hit_rate"]["value"].tolist() == [1, 1]


def test_probabilities_of_the_shard_come_before_those_of_the_run(tmp_path):
    masks = {("a", "Edema"): square(0, 0, 4)}
    run = run_of(masks, {"a": "test"}, ["Edema"], {("a", "Edema"): 0.1})
    chosen = replace(SETTINGS, probability_cutoff={"Edema": 0.5})
    for said, expected in ((0.9, 4 / 16), (math.nan, math.nan)):
        path = shard(
            tmp_path / "0.h5",
            {("a", "Edema"): square(0, 0, 2)},
            ["Edema"],
            probability=np.array([[said]], np.float32),
        )
        table = measure([path], run, "maps", chosen)
        np.testing.assert_equal(table.set_index("metric")["value"]["iou"], expected)


def test_a_cutoff_without_a_probability_is_an_error(tmp_path):
    run = run_of({("a", "Edema"): square(0, 0, 4)}, {"a": "test"}, ["Edema"])
    path = shard(tmp_path / "0.h5", {("a", "Edema"): square(0, 0, 2)}, ["Edema"])
    with pytest.raises(InputError, match="no probability for image 'a', class 'Edema'"):
        measure([path], run, "maps", replace(SETTINGS, probability_cutoff={"Edema": 0.5}))


def test_the_threshold_is_the_first_of_the_best_on_tune(tmp_path):
    steps = np.zeros((SIZE, SIZE))
    steps[:6, :6], steps[:4, :4], steps[:2, :2] = 0.45, 0.75, 1
    masks = {("t", "Edema"): square(0, 0, 4), ("u", "Edema"): square(0, 0, 4)}
    maps = {("t", "Edema"): steps, ("u", "Edema"): 1 - steps, ("t", "Atelectasis"): steps}
    path = shard(tmp_path / "0.h5", maps, ["Edema", "Atelectasis"])
    # u is of test: its map would choose another threshold.
    run = run_of(masks, {"t": "tune", "u": "test"}, ["Edema", "Atelectasis"])
    # From 0.5 to 0.7 the segmentation is the mask; without a mask nothing is better than the first.
    assert tune_thresholds([path], run) == {"Atelectasis": 0.2, "Edema": 0.5}
    table = measure([path], run, "maps", replace(SETTINGS, threshold="tuned"))
    assert set(table.loc[table["class"] == "Edema", "threshold"]) == {"none", "0.5"}


def test_a_cutoff_exceeds_in_tuning_and_lung_lesion_never_goes_without(tmp_path):
    classes = ["Edema", "Lung Lesion"]
    maps = {(image_id, name): square(0, 0, 4) for image_id in "tu" for name in classes}
    masks = {("t", name): square(0, 0, 4) for name in classes}
    # t is right with 0.8; u has no mask, and stays out of the mean from 0.5 on.
    probability = {(i, name): p for i, p in (("t", 0.8), ("u", 0.45)) for name in classes}
    run = run_of(masks, dict.fromkeys("tu", "tune"), classes, probability)
    path = shard(tmp_path / "0.h5", maps, classes)
    assert tune_cutoffs([path], run) == {"Edema": 0.5, "Lung Lesion": 0.5}
    certain = run_of(masks, dict.fromkeys("tu", "tune"), classes, dict.fromkeys(probability, 0.95))
    assert tune_cutoffs([path], certain) == {"Edema": 0.0, "Lung Lesion": 0.1}


# Readers.


def reader(path, segmentations, points):
    images = sorted({image_id for image_id, _ in segmentations})
    counts = np.array(
        [
            [encode(segmentations[i, "Edema"]) if segmentations[i, "Edema"] is not None else ""]
            for i in images
        ],
        object,
    )
    shape = next(mask.shape for mask in segmentations.values() if mask is not None)
    heatmaps = Heatmaps(
        RunLengths(counts, np.tile(shape, (len(images), 1, 1))),
        *(images, counts != "", ["Edema"], "reader", {}, ""),
        points=points,
    )
    write_heatmaps(heatmaps, path)
    return path


def test_a_reader_is_scored_as_drawn(tmp_path):
    masks = {(image_id, "Edema"): square(0, 0, 4) for image_id in "abc"}
    drawn = {("a", "Edema"): square(0, 0, 2), ("b", "Edema"): square(6, 6, 2), ("c", "Edema"): None}
    points = {
        ("a", "Edema"): np.array([[9.0, 9.0], [3.0, 3.0]]),
        ("b", "Edema"): np.array([[9.0, 9.0]]),
        ("c", "Edema"): np.zeros((0, 2)),
    }
    run = run_of(masks, dict.fromkeys("abc", "test"), ["Edema"])
    chosen = replace(SETTINGS, threshold="tuned", probability_cutoff={"Edema": 0.9})
    table = measure([reader(tmp_path / "0.h5", drawn, points)], run, "reader", chosen)
    iou, hits = (table[table["metric"] == metric] for metric in ("iou", "hit_rate"))
    np.testing.assert_equal(iou["value"].tolist(), [4 / 16, 0.0, math.nan])
    assert set(iou["threshold"]) == {"given"} and iou["probability_cutoff"].isna().all()
    assert hits["value"].tolist() == [1, 0, 0]
    without = measure([reader(tmp_path / "0.h5", drawn, {})], run, "reader", SETTINGS)
    assert set(without["metric"]) == {"iou"}


def test_a_segmentation_of_another_size_is_an_error(tmp_path):
    run = run_of({("a", "Edema"): square(0, 0, 4)}, {"a": "test"}, ["Edema"])
    path = reader(tmp_path / "0.h5", {("a", "Edema"): np.ones((5, 8), bool)}, {})
    with pytest.raises(InputError, match=r"image 'a', class 'Edema' is of 5 x 8 pixels, its mask"):
        measure([path], run, "reader", SETTINGS)


# Bootstrap and summary.


def test_intervals_are_the_25th_and_975th_of_the_replicates():
    replicates = np.random.default_rng(0).permutation(np.arange(1000) / 1000)
    assert interval(replicates) == (0.024, 0.5, 0.974)  # 0.4995 rounds to even thousandths
    replicates[:30] = np.nan  # which sort last
    assert math.isnan(interval(replicates)[2]) and interval(replicates)[0] < 0.06


def test_images_are_resampled_together_and_nan_is_left_out():
    values = np.array([[1.0, 1.0, np.nan], [0.0, np.nan, np.nan], [0.5, 0.0, np.nan]])
    found = bootstrap(values)
    drawn = np.random.RandomState(0).choice(3, size=3, replace=True)
    assert found[0, 0] == values[drawn, 0].mean()
    assert found[0, 1] == np.nanmean(values[drawn, 1])
    assert np.isnan(found[:, 2]).all()
    # Where one image is drawn three times, its value is the mean, or there is none.
    assert set(found[np.isnan(found[:, 1]), 0]) == {0.0}


def per_image(method, metric, values):
    return pd.DataFrame(
        {
            "image_id": [f"i{number:02d}" for number in range(len(values))],
            "class": "Edema",
            "method": method,
            "metric": metric,
            "value": values,
            "threshold": "otsu",
            "probability_cutoff": np.nan,
        }
    )


def test_percent_decrease_from_the_human():
    table = pd.concat(
        [
            per_image("maps", "iou", [0.2] * 8 + [np.nan] * 2),
            per_image("reader", "iou", [0.8] * 10),
            per_image("maps", "hit_rate", [1.0] * 10),
        ]
    )
    found = summarise(table, "reader").set_index(["metric", "method", "class"])
    row = found.loc[("iou", "maps", "Edema")]
    assert (row["n"], row["n_images"], row["lower"], row["mean"], row["upper"]) == (
        8,
        10,
        *[0.2] * 3,
    )
    assert (row["percent_decrease"], row["percent_lower"], row["percent_upper"]) == (75.0,) * 3
    average = found.loc[("iou", "maps", "average")]
    assert average["mean"] == 0.2 and average["percent_decrease"] == 75.0
    assert math.isnan(found.loc[("iou", "reader", "Edema")]["percent_decrease"])
    # The reader has no hits, so there is nothing to compare the map's with.
    assert math.isnan(found.loc[("hit_rate", "maps", "Edema")]["percent_decrease"])
    assert ("hit_rate", "maps", "average") not in found.index
    alone = summarise(table[table["method"] == "maps"])
    assert "average" not in set(alone["class"]) and alone["percent_decrease"].isna().all()


def test_a_human_that_is_not_there_is_an_error():
    with pytest.raises(InputError, match=r"no method 'reader' among \['maps'\]"):
        summarise(per_image("maps", "iou", [0.5]), "reader")


def test_without_a_mask_of_any_class_the_summary_is_empty(tmp_path):
    # A run whose masks are boxes: no image counts, the reader's as little as any other.
    splits = {"t1": "tune", "e1": "test"}
    run = run_of({}, splits, ["Edema"])
    path = shard(tmp_path / "reader.h5", {("e1", "Edema"): np.eye(SIZE)}, ["Edema"], "reader")
    table = measure([path], run, "reader", SETTINGS)
    found = summarise(table, "reader")
    assert found.empty
    full = summarise(per_image("reader", "iou", [0.5]), "reader")
    pd.testing.assert_series_equal(found.dtypes, full.dtypes)


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(6)))
def test_order_of_rows_and_methods_changes_nothing(order):
    table = pd.concat(
        [per_image("b", "iou", [0.1, 0.2, 0.9]), per_image("a", "iou", [0.5, np.nan, 0.3])]
    )
    pd.testing.assert_frame_equal(summarise(table.iloc[order], "a"), summarise(table, "a"))


# The programs.


def program(name, *arguments):
    done = subprocess.run(
        [sys.executable, str(PROJECT / "scripts" / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_the_programs_write_both_tables(tmp_path):
    masks = {(image_id, "Edema"): square(0, 0, 4) for image_id in "abt"}
    splits = {"a": "test", "b": "test", "t": "tune"}
    for name, table in zip(
        ("masks", "manifest", "predictions"),
        tables(masks, splits, dict.fromkeys(masks, 0.7)),
        strict=True,
    ):
        write_table(table, tmp_path / f"{name}.parquet")
    frames = [Frame.fit(SIZE, SIZE, SIZE, "stretch") for _ in splits]
    images = Images(np.zeros((3, SIZE, SIZE), np.uint8), list(splits), frames)
    write_images(images, tmp_path / "images.h5")
    write_table(pd.DataFrame({"class": ["Edema"]}), tmp_path / "masked.parquet")
    shard(tmp_path / "maps.h5", {key: square(0, 0, 2) for key in masks}, ["Edema"])
    chosen = {
        "method": "maps",
        "classes": ["Edema"],
        "chexlocalize": asdict(SETTINGS) | {"probability_cutoff": "tuned"},
    }
    arguments = [
        *("--settings", json.dumps(chosen), "--heatmaps", tmp_path / "maps.h5"),
        *("--images", tmp_path / "images.h5", "--masks", tmp_path / "masks.parquet"),
        *("--checkpoint", write_description(tmp_path / "model.pt", "")),
        *("--masked", tmp_path / "masked.parquet"),
        *("--patients", tmp_path / "manifest.parquet"),
        *("--predictions", tmp_path / "predictions.parquet"),
        *("--per-image", tmp_path / "per_image.parquet"),
    ]
    status, message = program("chexlocalize.py", *arguments)
    assert status == 0, message
    found = read_table(tmp_path / "per_image.parquet")
    assert found.loc[found["metric"] == "iou", "value"].tolist() == [4 / 16] * 2
    arguments = [
        "--per-image",
        tmp_path / "per_image.parquet",
        "--table",
        tmp_path / "table.parquet",
    ]
    status, message = program("chexlocalize_summary.py", *arguments)
    assert status == 0, message
    summary = read_table(tmp_path / "table.parquet")
    assert summary["mean"].tolist() == [1.0, 0.25] and summary["n"].tolist() == [2, 2]
    status, message = program("chexlocalize_summary.py", *arguments, "--human", "nobody")
    assert status == 1 and message.strip().splitlines()[-1].startswith(
        "error: evaluate.radiologist"
    )
