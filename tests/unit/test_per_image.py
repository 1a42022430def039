"""Agreement, PxAP, signs and markers: the tables beside localisation."""

import tracemalloc
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from shamsul.data.masks import encode
from shamsul.evaluate import agreement, markers, sign_treatments
from shamsul.evaluate.histogram_metrics import LEVELS
from shamsul.evaluate.intervals import limits
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.pxap import pxap
from shamsul.evaluate.scores import COLUMNS, SIGN_COLUMNS
from shamsul.evaluate.value_matrix import MACRO, POOLED
from shamsul.geometry import Frame
from shamsul.storage.heatmaps import Heatmaps, RunLengths, open_heatmaps, write_heatmaps

SETTINGS = Inference(0.9, 3)
NAMES = [f"i{number}" for number in range(4)]


def shard(method, values, **changes):
    count, classes = values.shape[:2]
    made = {"covers": "frame", "explained": np.ones((count, classes), bool)} | changes
    return Heatmaps(
        heatmap=values,
        image_id=NAMES[:count],
        classes=["Edema", "Fracture"][:classes],
        method=method,
        parameters={},
        checkpoint="",
        **made,
    )


def frames(geometry="stretch", size=(64, 64), count=4):
    return {name: Frame.fit(*size, 32, geometry) for name in NAMES[:count]}


def test_agreement_is_spearmans_correlation_on_the_grid():
    # Maps of the grid's own resolution, interpolated to four points a cell and averaged again:
    # away from borders that is a fixed smoothing of the map, done here by hand.
    generator = np.random.default_rng(0)
    maps = generator.random((3, 4, 1, 32, 32)).astype(np.float32)
    maps[1] = maps[0] + 0.3 * maps[1]
    found = agreement.agree(
        [shard(f"m{m}", values) for m, values in enumerate(maps)], frames(), ["Edema"]
    )
    assert list(zip(found["method_a"], found["method_b"], strict=True))[:3] == [
        ("m0", "m1"),
        ("m0", "m2"),
        ("m1", "m2"),
    ]
    kernel = [0.125, 0.75, 0.125]
    padded = np.pad(maps[:, 0, 0], ((0, 0), (1, 1), (1, 1)), mode="edge")
    smooth = sum(
        kernel[i] * kernel[j] * padded[:, i : i + 32, j : j + 32]
        for i in range(3)
        for j in range(3)
    )
    of_first = found[found["image_id"] == "i0"].set_index(["method_a", "method_b"])
    for a, b in ((0, 1), (0, 2), (1, 2)):
        expected = spearmanr(smooth[a].ravel(), smooth[b].ravel())[0]
        got = of_first.loc[(f"m{a}", f"m{b}"), "rank_correlation"]
        assert got == pytest.approx(expected, abs=1e-3)


def test_agreement_from_files_is_that_of_maps_in_memory(tmp_path):
    generator = np.random.default_rng(4)
    maps = generator.random((3, 4, 2, 8, 8)).astype(np.float32)
    shards = [shard(f"m{number}", values) for number, values in enumerate(maps)]
    expected = agreement.agree(shards, frames(), ["Edema", "Fracture"])
    with ExitStack() as stack:
        files = [stack.enter_context(written(one, tmp_path)) for one in shards]
        found = agreement.agree(files, frames(), ["Edema", "Fracture"])
    pd.testing.assert_frame_equal(found, expected)
    assert len(found) == 3 * 4 * 2


def written(made, folder):
    """A shard that is read image by image."""
    write_heatmaps(made, folder / f"{made.method}.h5")
    return open_heatmaps(folder / f"{made.method}.h5")


def test_memory_of_agreement_does_not_grow_with_the_maps_of_methods(tmp_path):
    generator = np.random.default_rng(4)
    side, methods = 256, 12
    for number in range(methods):
        maps = generator.normal(size=(4, 2, side, side)).astype(np.float32)
        write_heatmaps(shard(f"m{number:02}", maps), tmp_path / f"{number:02}.h5")
    peaks = []
    for number in (2, 2, methods):  # The first loads what is loaded late.
        with ExitStack() as stack:
            files = sorted(tmp_path.iterdir())[:number]
            tracemalloc.start()
            shards = [stack.enter_context(open_heatmaps(file)) for file in files]
            found = agreement.agree(shards, frames(), ["Edema", "Fracture"])
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert len(found) == number * (number - 1) // 2 * 4 * 2
    # All maps of one method. Ranks of an image are kept, 8 KiB a map, and the table grows.
    assert peaks[2] - peaks[1] < maps.nbytes < (methods - 2) * maps.nbytes / 5


def test_agreement_of_maps_with_ties_is_spearmans():
    generator = np.random.default_rng(6)
    maps = generator.integers(0, 3, (2, 1, 1, 64, 64)).astype(np.float32)
    maps = maps.repeat(2, axis=3).repeat(2, axis=4)
    shards = [shard(f"m{m}", values) for m, values in enumerate(maps)]
    by_name = {"i0": Frame.fit(128, 128, 128, "stretch")}
    found = agreement.agree(shards, by_name, ["Edema"])
    # At 128 x 128 points the maps are as they are, and a cell is four of them by four.
    cells = maps[:, 0, 0].reshape(2, 32, 4, 32, 4).mean(axis=(2, 4)).reshape(2, -1)
    assert len(np.unique(cells[0])) < 20  # of 1,024
    expected = spearmanr(*cells)[0]
    assert found["rank_correlation"].item() == pytest.approx(expected, abs=1e-12)


def test_agreement_knows_classes_signs_resolutions_and_what_is_missing():
    ramp = np.tile(np.linspace(0, 1, 8, dtype=np.float32), (1, 2, 8, 1))
    opposed = ramp.copy()
    opposed[:, 1] = 1 - opposed[:, 1]
    coarse = ramp[:, :, ::4, ::4]
    shards = [shard("fine", ramp), shard("opposed", opposed), shard("coarse", coarse)]
    found = agreement.agree(shards[::-1], frames(count=1), ["Fracture", "Edema"])
    found = found[found["image_id"] == "i0"].set_index(["class", "method_a", "method_b"])
    value = found["rank_correlation"]
    assert value["Edema", "fine", "opposed"] == pytest.approx(1)
    assert value["Fracture", "fine", "opposed"] == pytest.approx(-1, abs=0.02)
    assert value["Edema", "coarse", "fine"] > 0.9
    flat = shard("flat", np.ones_like(ramp))
    absent = shard("absent", opposed, explained=np.zeros((1, 2), bool))
    negative = shard("negative", -ramp)
    assert agreement.agree([shards[0], flat, absent, negative], frames(count=1), ["Edema"]).empty
    absolute = agreement.agree([shards[0], negative], frames(count=1), ["Edema"], "absolute")
    assert absolute["rank_correlation"].item() == pytest.approx(1)


def test_agreement_compares_on_the_radiograph_whatever_a_map_covers():
    # 32 x 64: padded, the radiograph fills the middle half of the frame.
    generator = np.random.default_rng(2)
    whole = generator.random((1, 1, 8, 16)).astype(np.float32)
    padded = np.zeros((1, 1, 16, 16), np.float32)
    padded[0, 0, 4:12] = whole
    shards = [shard("frame", padded), shard("radiograph", whole, covers="radiograph")]
    found = agreement.agree(shards, frames("pad", (32, 64), 1), ["Edema"])
    assert found["rank_correlation"].item() > 0.95
    shards[1] = shard("radiograph", whole)
    found = agreement.agree(shards, frames("pad", (32, 64), 1), ["Edema"])
    assert found["rank_correlation"].item() < 0.8


def test_agreement_of_a_readers_outline():
    columns = np.zeros((1, 1, 64, 64), np.float32)
    columns[..., 10:30] = 1
    counts = np.array([[encode(columns[0, 0])]], object)
    drawn = shard("reader", RunLengths(counts, np.array([[[64, 64]]])), covers="radiograph")
    found = agreement.agree([drawn, shard("map", columns)], frames(count=1), ["Edema"])
    assert found["rank_correlation"].item() == pytest.approx(1)


def manifest():
    return pd.DataFrame(
        {
            "image_id": NAMES,
            "patient_id": ["p0", "p0", "p1", "p2"],
            "split": "test",
            "Edema": [1.0, 0.0, 1.0, 1.0],
        }
    )


def test_agreement_is_summarised_by_class_and_pooled():
    rows = [
        (name, of, "a", "b", value)
        for name, of, value in [
            ("i0", "Edema", 0.2),
            ("i1", "Edema", 0.4),
            ("i2", "Edema", 0.6),
            ("i3", "Fracture", 0.0),
        ]
    ]
    table = pd.DataFrame(rows, columns=agreement.COLUMNS)
    found = agreement.summarise(table, manifest(), SETTINGS).set_index("class")
    assert found["mean"].to_dict() == pytest.approx(
        {"Edema": 0.4, "Fracture": 0, POOLED: 0.3, MACRO: 0.2}
    )
    assert found["n_patients"].to_dict() == {"Edema": 2, "Fracture": 1, POOLED: 3, MACRO: 3}
    # Fracture is of one patient, without whom there is no mean over both classes.
    assert found["low"].notna().to_dict() == {
        **{"Edema": False, "Fracture": False},
        **{POOLED: True, MACRO: False},
    }
    assert -1 <= found.loc[POOLED, "low"] < 0.3 < found.loc[POOLED, "high"] <= 1
    assert "2 patients, fewer than 3" in found.loc["Edema", "note"]


def test_one_method_agrees_with_nobody():
    alone = shard("alone", np.random.default_rng(0).random((4, 1, 8, 8)).astype(np.float32))
    table = agreement.agree([alone], frames(), ["Edema"])
    assert table.empty and agreement.summarise(table, manifest(), SETTINGS).empty


def scores(kind="segmentation"):
    generator = np.random.default_rng(5)
    rows = []
    for name in NAMES:
        inside, outside = np.zeros((2, LEVELS), np.int32)
        np.add.at(inside, generator.integers(300, 1024, 40), 1)
        np.add.at(outside, generator.integers(0, 800, 200), 1)
        rows.append((name, "Edema", "cam", kind, True, inside, outside, 0.5, 0.25, 40, 12, 20))
    table = pd.DataFrame(rows, columns=list(COLUMNS)[:12])
    table = table.merge(manifest()[["image_id", "patient_id", "split"]], on="image_id")
    return table.assign(repeats="")


def test_pxap_is_the_average_precision_of_all_pixels_together():
    table = scores()
    found = pxap(table, SETTINGS)
    level, truth = [], []
    for row in table.itertuples():
        for histogram, label in ((row.inside, 1), (row.outside, 0)):
            level.append(np.repeat(np.arange(LEVELS), histogram))
            truth.append(np.full(histogram.sum(), label))
    expected = average_precision_score(np.concatenate(truth), np.concatenate(level))
    assert found["class"].tolist() == ["Edema", POOLED, MACRO]
    assert found["mean"].tolist() == pytest.approx([expected] * 3)
    assert (found["low"] < expected).all() and (found["high"] > expected).all()
    assert found["n_patients"].tolist() == [3, 3, 3]
    few = pxap(table, replace(SETTINGS, min_patients=4))
    assert few["low"].isna().all() and few["note"][0] == "3 patients, fewer than 4: no interval"
    assert found["note"].tolist() == ["", "", ""]


def precision(table):
    """Average precision of the pixels of some rows, counted one by one."""
    level, truth = [], []
    for row in table.itertuples():
        for histogram, label in ((row.inside, 1), (row.outside, 0)):
            level.append(np.repeat(np.arange(LEVELS), histogram))
            truth.append(np.full(histogram.sum(), label))
    return average_precision_score(np.concatenate(truth), np.concatenate(level))


def test_pxap_leaves_out_patients_one_by_one_and_counts_a_drawn_mask_once():
    edema, opacity = scores(), scores().assign(**{"class": "Lung Opacity"})
    opacity["inside"] = opacity["inside"].map(lambda counts: np.roll(counts, -150))
    opacity["repeats"] = ["Edema", "", "Edema", "Edema"]
    found = pxap(pd.concat([edema, opacity], ignore_index=True), SETTINGS).set_index("class")
    both = precision(edema), precision(opacity)
    assert found.loc["Lung Opacity", "mean"] == pytest.approx(both[1])
    assert found.loc[MACRO, "mean"] == pytest.approx(np.mean(both))
    once = pd.concat([edema, opacity[opacity["repeats"] == ""]])
    assert found.loc[POOLED, ["mean", "n_masks"]].tolist() == pytest.approx([precision(once), 5])
    for name, tables in (("Edema", [edema]), (POOLED, [once]), (MACRO, [edema, opacity])):
        left = [
            np.mean([precision(table[table["patient_id"] != patient]) for table in tables])
            for patient in ("p0", "p1", "p2")
        ]
        row, variance = found.loc[name], 2 / 3 * ((left - np.mean(left)) ** 2).sum()
        limits_of = limits(
            *(np.array([value]) for value in (row["mean"], variance, 3.0)),
            (np.zeros(1), np.ones(1)),
            SETTINGS.confidence,
        )
        assert [row["low"], row["high"]] == pytest.approx(np.ravel(limits_of), abs=1e-9)


def test_pxap_that_is_not_defined_without_a_patient_says_so():
    edema, opacity = scores(), scores().assign(**{"class": "Lung Opacity"}).head(1)
    both = pd.concat([edema, opacity], ignore_index=True)
    row = pxap(both, replace(SETTINGS, min_patients=1)).set_index("class")
    for name in ("Lung Opacity", MACRO):
        assert np.isnan(row.loc[name, "low"]) and np.isfinite(row.loc[name, "mean"])
        assert row.loc[name, "note"] == "not defined without one of the patients: no interval"
    assert row.loc[["Edema", POOLED], "note"].tolist() == ["", ""]


def test_markers_part_images_that_show_the_class_from_those_that_do_not():
    table = scores("marker").assign(mass=[0.1, 0.8, 0.3, 0.5])
    found = markers.summarise(table, manifest(), SETTINGS)
    value = found.set_index(["shown", "metric"])["mean"]
    assert value["yes", "relevance_mass"] == pytest.approx(0.3)
    assert value["no", "relevance_mass"] == pytest.approx(0.8)
    # The marker is 40 of 240 pixels.
    assert value["no", "lift"] == pytest.approx(0.8 * 6)
    assert found.set_index(["shown", "metric"])["n_images"]["yes", "hit_rate"] == 3
    note = found.set_index(["shown", "metric"])["note"]
    assert note["no", "hit_rate"] == "1 patient, fewer than 3: no interval"
    assert not note["yes", "hit_rate"]
    # A lift has no upper bound, and so no interval that would hold for three patients.
    assert note["yes", "lift"] == "3 patients, fewer than 20: no interval"
    assert markers.summarise(scores(), manifest(), SETTINGS).empty


def test_signs_are_summarised_by_treatment():
    rows = [
        (name, "Edema", "lrp", "segmentation", True, sign, area, area / 2, 1.0)
        for name in NAMES
        for sign, area in (("positive", 0.1), ("minmax", 0.9))
    ]
    table = pd.DataFrame(rows, columns=list(SIGN_COLUMNS))
    found = sign_treatments.summarise(table, manifest(), SETTINGS)
    value = found[found["class"] == "Edema"].set_index(["sign", "metric"])["mean"]
    assert value["minmax", "otsu_area"] == pytest.approx(0.9)
    assert value["positive", "iou"] == pytest.approx(0.05)
    assert set(found["n_masks"]) == {4}
    assert set(found["note"]) == {""}
    few = sign_treatments.summarise(table, manifest(), replace(SETTINGS, min_patients=4))
    assert few["low"].isna().all()
    assert set(few["note"]) == {"3 patients, fewer than 4: no interval"}
