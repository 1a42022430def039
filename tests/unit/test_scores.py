"""Scores of heatmaps against masks: lesions in known places, and maps that were not made."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shamsul.data.masks import MASK_COLUMNS, decode, encode
from shamsul.errors import InputError
from shamsul.evaluate.histogram_metrics import LEVELS, RANKING, iou
from shamsul.evaluate.parameters import Measurement
from shamsul.evaluate.per_image import gather, per_image
from shamsul.evaluate.repeats import repeats
from shamsul.evaluate.scores import COLUMNS, SIGN_COLUMNS
from shamsul.evaluate.thresholds import tune, warn_of_few
from shamsul.evaluate.value_matrix import matrices
from shamsul.geometry import Frame
from shamsul.labels import MARKER
from shamsul.metrics import METRICS, PREFIX, headlines, kind_of, of_outlines
from shamsul.storage.heatmaps import Heatmaps, RunLengths, write_heatmaps
from shamsul.storage.images import Images, write_images
from shamsul.storage.tables import read_table, write_table
from tests.checkpoints import write_description
from tests.frames import score

SCRIPTS = Path(__file__).parents[2] / "scripts"
CLASSES = ["Edema", "Cardiomegaly", "Lung Lesion"]
SIZES = {"a": (40, 30), "b": (16, 48), "c": (33, 33)}


def frames(geometry="stretch"):
    return {name: Frame.fit(*size, 32, geometry) for name, size in SIZES.items()}


def masked(*arguments):
    """Scores of what has a mask."""
    table, _ = score(*arguments)
    return table[table["kind"] != "none"].reset_index(drop=True)


def masks(kind="segmentation"):
    rows = []
    for number, (image_id, (height, width)) in enumerate(SIZES.items()):
        for name in CLASSES[: number + 1]:
            mask = np.zeros((height, width), bool)
            mask[2 : 8 + number, 3 : 9 + len(name)] = True
            rows.append((image_id, name, "x", kind, height, width, encode(mask), 1))
    return pd.DataFrame(rows, columns=MASK_COLUMNS)


def heatmaps(seed=0, order=(0, 1, 2), method="cam"):
    values = np.random.default_rng(seed).normal(size=(3, 3, 8, 8)).astype(np.float32)
    return Heatmaps(
        values[:, list(order)],
        list(SIZES),
        np.ones((3, 3), bool),
        [CLASSES[i] for i in order],
        method,
        {},
        "0" * 64,
    )


def test_a_lesion_in_a_corner_is_found_there_and_nowhere_else():
    for geometry in ("stretch", "pad"):
        made = frames(geometry)
        values = np.zeros((3, 3, 32, 32), np.float32)
        frame = made["b"]  # 16 x 48
        # Model pixels whose centres show the radiograph's top right eighth.
        y = (np.arange(32) + 0.5 - frame.offset_y) / frame.scale_y
        x = (np.arange(32) + 0.5 - frame.offset_x) / frame.scale_x
        values[1, 1][np.ix_((y > 0) & (y < 8), (x > 36) & (x < 48))] = 1
        shard = replace(heatmaps(), heatmap=values)
        mask = np.zeros((16, 48), bool)
        mask[:8, 36:] = True
        row = ("b", "Cardiomegaly", "x", "segmentation", 16, 48, encode(mask), 1)
        found = masked(shard, made, pd.DataFrame([row], columns=MASK_COLUMNS), CLASSES).iloc[0]
        assert found["hit"] == 1
        inside, outside = found["inside"][512:].sum(), found["outside"][512:].sum()
        assert inside / (inside + outside) > 0.85 and inside / mask.sum() > 0.85


def test_scores_have_their_columns_and_count_every_pixel():
    found, signs = score(heatmaps(), frames(), masks(), CLASSES)
    assert list(found.columns) == list(COLUMNS) and list(signs.columns) == list(SIGN_COLUMNS)
    assert found["kind"].value_counts().to_dict() == {"segmentation": 6, "none": 3}
    assert len(signs) == 3 * 6
    for row in found.itertuples():
        assert row.inside.sum() == row.area
        assert row.inside.sum() + row.outside.sum() == row.height * row.width
        assert row.outside.dtype == np.int32 and len(row.outside) == LEVELS
        assert len(row.inside) == (0 if row.kind == "none" else LEVELS)


def test_order_of_classes_images_and_masks_changes_nothing():
    expected = score(heatmaps(), frames(), masks(), CLASSES)
    permuted = heatmaps(order=(2, 0, 1))
    reverse = slice(None, None, -1)
    permuted = Heatmaps(
        permuted.heatmap[reverse],
        permuted.image_id[reverse],
        permuted.explained,
        permuted.classes,
        "cam",
        {},
        "",
    )
    found = score(permuted, frames(), masks()[reverse], CLASSES[reverse])
    for table, other in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(table, other)


def test_only_scored_classes_count_and_every_map_is_laid_over_the_marker():
    table = masks()
    table.loc[0, "class"] = MARKER  # of image a
    found, _ = score(heatmaps(), frames(), table, ["Edema", "Cardiomegaly"])
    assert set(found["class"]) == {"Edema", "Cardiomegaly"}
    marker = found[found["kind"] == "marker"]
    assert list(zip(marker["image_id"], marker["class"], strict=True)) == [
        ("a", "Cardiomegaly"),
        ("a", "Edema"),
    ]
    # The marker has the place that Edema's mask has.
    share = marker.set_index("class").loc["Edema", "mass"]
    expected = masked(heatmaps(), frames(), masks().iloc[:1], ["Edema"])["mass"].item()
    assert share == expected and 0 < share < 1


def test_a_map_that_was_not_made_is_scored_as_empty(caplog):
    shard = heatmaps()
    shard.explained[2, 1] = False
    found = masked(shard, frames(), masks(), CLASSES)
    row = found[(found["image_id"] == "c") & (found["class"] == "Cardiomegaly")].iloc[0]
    assert row["inside"][0] == row["area"] and row["hit"] == row["area"] / 33**2
    assert "cam: 1 of 9 maps were not made and are scored as empty" in caplog.text
    assert not row["made"] and found["made"].sum() == 5


def test_a_mask_of_an_image_that_the_shard_lacks_is_an_error():
    table = masks()
    table.loc[5, "image_id"] = "z"
    with pytest.raises(InputError, match=r"cam: no heatmap for image 'z', class 'Lung Lesion'"):
        score(heatmaps(), frames(), table, CLASSES)


def test_signs_by_hand():
    # 8 x 8 cells on a 16 x 48 radiograph; one cell is evidence for, one against, the rest nothing.
    shard = heatmaps()
    shard.heatmap[1, 1] = 0
    shard.heatmap[1, 1, 1, 1], shard.heatmap[1, 1, 6, 6] = 1, -2
    _, signs = score(shard, frames(), masks(), CLASSES)
    found = signs[(signs["image_id"] == "b") & (signs["class"] == "Cardiomegaly")]
    found = found.set_index("sign")
    area = found["otsu_area"]
    assert area["positive"] < 0.05 and area["absolute"] < 0.1
    # Under min-max all that is irrelevant is above the one cell that speaks against the class.
    assert area["minmax"] > 0.95
    assert found.loc["positive", "hit_rate"] == found.loc["minmax", "hit_rate"]
    assert found.loc["minmax", "iou"] < 0.3


def test_the_sign_that_is_chosen_is_what_is_scored():
    for sign in ("positive", "absolute", "minmax"):
        table, signs = score(heatmaps(), frames(), masks(), CLASSES, sign)
        chosen = signs[signs["sign"] == sign].reset_index(drop=True)
        rows = table[table["kind"] != "none"].reset_index(drop=True)
        assert rows["hit"].tolist() == chosen["hit_rate"].tolist()
        # Whatever is chosen, the table of signs is the same.
        expected = score(heatmaps(), frames(), masks(), CLASSES)[1]
        pd.testing.assert_frame_equal(signs, expected)


def test_maps_of_the_radiograph_and_maps_of_the_frame_differ_by_the_padding():
    # b is 16 x 48: padded, the radiograph fills the middle third of the frame.
    table = masks().iloc[[2]].assign(counts=encode(np.eye(16, 48, dtype=bool)))
    values = np.random.default_rng(1).random((3, 3, 12, 12)).astype(np.float32)
    of_frame = replace(heatmaps(), heatmap=values)
    of_radiograph = replace(of_frame, heatmap=values[:, :, 4:8], covers="radiograph")
    padded = masked(of_frame, frames("pad"), table, CLASSES).iloc[0]
    whole = masked(of_radiograph, frames("pad"), table, CLASSES).iloc[0]
    # The same pixels but for the interpolation at the border of the padding.
    assert padded["mass"] == pytest.approx(whole["mass"], rel=0.1)
    stretched = masked(of_frame, frames("stretch"), table, CLASSES).iloc[0]
    assert stretched["mass"] != pytest.approx(whole["mass"], rel=0.01)
    same = replace(of_frame, covers="radiograph")
    found = masked(same, frames("stretch"), table, CLASSES).iloc[0]
    assert np.array_equal(found["inside"], stretched["inside"])


def human(points):
    """A reader who draws, of image c, Cardiomegaly to the pixel and nothing else."""
    counts = np.full((3, 3), "", object)
    size = np.array([[SIZES[name]] * 3 for name in SIZES])
    counts[2, 1] = masks().iloc[4]["counts"]
    return replace(
        heatmaps(method="cam"),
        heatmap=RunLengths(counts, size),
        covers="radiograph",
        points=points,
    )


def test_a_readers_outline_is_scored_as_a_map_of_two_levels():
    assert masks().iloc[4][["image_id", "class"]].tolist() == ["c", "Cardiomegaly"]
    scores = masked(human({}), frames("pad"), masks(), CLASSES)
    drawn = scores.set_index(["image_id", "class"]).loc[("c", "Cardiomegaly")]
    assert drawn["inside"][1023] == drawn["area"] and drawn["outside"][0] == 33**2 - drawn["area"]
    assert drawn["hit"] == 1 and drawn["mass"] == pytest.approx(1)
    table = _per_image(scores, {"a": "tune", "b": "tune", "c": "test"})
    of_drawn = table[(table["class"] == "Cardiomegaly") & (table["image_id"] == "c")]
    share = drawn["area"] / 33**2
    expected = of_drawn["metric"].map({"auprc_lift": 1 / share, "marked_area": share}).fillna(1)
    assert of_drawn["value"].to_numpy() == pytest.approx(expected.to_numpy())
    missed = table[(table["class"] == "Edema") & (table["metric"] == "iou")]
    assert (missed["value"] == 0).all()


@pytest.mark.parametrize("sign", ["positive", "absolute", "minmax"])
def test_a_reader_who_outlines_the_whole_radiograph_overlaps_by_the_masks_share(sign):
    height, width = SIZES["c"]
    counts = np.full((3, 3), "", object)
    counts[2, 1] = encode(np.ones((height, width), bool))
    reader = human({})
    reader = replace(reader, heatmap=RunLengths(counts, reader.heatmap.size))
    scores, signs = score(reader, frames("pad"), masks(), CLASSES, sign)
    table = _per_image(scores[scores["kind"] != "none"], {"a": "tune", "b": "tune", "c": "test"})
    own = table[(table["class"] == "Cardiomegaly") & (table["image_id"] == "c")]
    share = decode(masks().iloc[4]).mean()
    for metric in ("iou", "precision", "hit_rate", "relevance_mass"):
        of_metric = own.loc[own["metric"] == metric, "value"]
        assert len(of_metric) and of_metric.to_numpy() == pytest.approx(share)
    assert (own.loc[own["metric"] == "recall", "value"] == 1).all()
    signs = signs[(signs["image_id"] == "c") & (signs["class"] == "Cardiomegaly")]
    assert len(signs) == 3 and (signs["otsu_area"] == 1).all()


def test_a_reader_who_drew_in_another_size_has_two_levels():
    small = np.zeros((11, 16), bool)
    small[3:9, 5:11] = True
    counts, size = np.full((3, 3), "", object), np.full((3, 3, 2), 1)
    counts[2, 1], size[2, 1] = encode(small), small.shape
    scores = masked(
        replace(human({}), heatmap=RunLengths(counts, size)), frames(), masks(), CLASSES
    )
    own = scores.set_index(["image_id", "class"]).loc[("c", "Cardiomegaly")]
    levels = own["inside"] + own["outside"]
    assert np.flatnonzero(levels).tolist() == [0, 1023]
    assert own["hit"] == own["mass"] == own["inside"][1023] / levels[1023]


def test_a_readers_points_decide_the_hit():
    y, x = np.argwhere(decode(masks().iloc[4]))[0]
    for points, hit in (
        ([[0, 0]], 0),
        ([[0, 0], [x + 0.5, y + 0.5]], 1),
        ([[y, x + 20]], 0),
        ([[400, 400]], 0),
        (np.zeros((0, 2)), 0),
    ):
        shard = human({("c", "Cardiomegaly"): np.array(points, float)})
        found = masked(shard, frames(), masks(), CLASSES).set_index(["image_id", "class"])
        assert found.loc[("c", "Cardiomegaly"), "hit"] == hit


def test_a_mask_may_be_finer_than_its_radiograph():
    table = masks()
    coarse = masked(heatmaps(), frames(), table, CLASSES)
    for row in table.index:
        fine = np.kron(decode(table.loc[row]), np.ones((3, 3), bool))
        table.loc[row, ["height", "width"]] = fine.shape
        table.loc[row, "counts"] = encode(fine)
    finer = masked(heatmaps(), frames(), table, CLASSES)
    assert (finer["area"] == 9 * coarse["area"]).all()
    for one, other in zip(coarse.itertuples(), finer.itertuples(), strict=True):
        levels = [iou(row.inside, row.outside)[256] for row in (one, other)]
        assert levels[0] == pytest.approx(levels[1], abs=0.1)


CHANCE = {"hit_rate", "auprc", "relevance_rank"}


def test_a_map_of_nothing_scores_zero_or_chance_everywhere():
    shard = heatmaps()
    shard.heatmap[:] = -1
    found = masked(shard, frames(), masks(), CLASSES)
    table = _per_image(found, {"a": "tune", "b": "tune", "c": "test"})
    assert table["value"].notna().all()
    area = found.set_index(["image_id", "class"])
    share = area["area"] / (area["height"] * area["width"])
    # A ceiling is of the map's resolution, not of what it shows.
    for row in table[~table["metric"].str.endswith("_ceiling")].to_dict("records"):
        expected = {"auroc": 0.5, "auprc_lift": 1.0}.get(row["metric"], 0)
        if row["metric"] in CHANCE:
            expected = share[row["image_id"], row["class"]]
        assert row["value"] == pytest.approx(expected)


SETTINGS = Measurement(
    confidence=0.95,
    min_patients=2,
    thresholds=("otsu", "tuned", "fixed", "best"),
    fixed_threshold=0.5,
    min_masks=2,
)


NONE = repeats(pd.DataFrame(columns=MASK_COLUMNS))
"""Repeated masks where none is."""


def manifest(splits):
    rows = [
        {"image_id": i, "patient_id": f"p{i}", "split": split, **dict.fromkeys(CLASSES, 1.0)}
        for i, split in splits.items()
    ]
    return pd.DataFrame(rows).assign(**{"No Finding": 1.0, "Support Devices": 1.0, "Edema": -1.0})


def predictions(splits):
    names = [*CLASSES, "No Finding", "Support Devices"]
    rows = [(i, name, 0.0, 0.5) for i in splits for name in names]
    return pd.DataFrame(rows, columns=["image_id", "class", "logit", "probability"])


def _per_image(scores, splits):
    gathered = gather(scores, manifest(splits), NONE)
    return per_image(
        gathered, tune(gathered, SETTINGS), manifest(splits), predictions(splits), SETTINGS
    )


def histogram(**counts):
    array = np.zeros(LEVELS, np.int32)
    for level, count in counts.items():
        array[int(level[1:])] = count
    return array


def row(image_id, inside, outside, name="Edema", kind="segmentation", hit=0.25):
    area = int(inside.sum())
    return (image_id, name, "cam", kind, True, inside, outside, hit, 0.5, area, 4, 4)


def table_of(rows):
    """Scores by hand: their ranking is that of the levels, and they have no ceiling."""
    table = pd.DataFrame(rows, columns=list(COLUMNS)[:12])
    pairs = list(zip(table["inside"], table["outside"], strict=True))
    for name, measure in RANKING.items():
        table[name] = [float(measure(*pair)) if len(pair[0]) else np.nan for pair in pairs]
    nothing = pd.Series([np.zeros(0, np.int32)] * len(table), dtype=object)
    return table.assign(ceiling_inside=nothing, ceiling_outside=nothing)[list(COLUMNS)]


def by_hand():
    """Edema: two tune masks with the best cut between 10 and 20; one of another class; test."""
    good = histogram(_20=4), histogram(_10=4, _0=8)
    late = histogram(_700=4), histogram(_20=4, _0=8)
    rows = [
        *(row("a", *good), row("b", *good)),
        row("c", *late, name="Lung Lesion"),
        *(
            row("d", *late),
            row("d", *good, name="Lung Lesion"),
            row("d", *good, name="Cardiomegaly"),
        ),
    ]
    return table_of(rows)


SPLITS = {"a": "tune", "b": "tune", "c": "tune", "d": "test"}


def test_thresholds_by_hand_are_tuned_per_class_or_pooled(caplog):
    found = tune(gather(by_hand(), manifest(SPLITS), NONE), SETTINGS)
    warn_of_few(pd.concat([found, found]), SETTINGS)
    found = found.set_index("class")
    # Edema: IoU 1 for 10 <= t < 20, the lowest is taken.
    assert found.loc["Edema", ["level", "n_masks", "pooled", "tune_iou"]].tolist() == [
        10,
        2,
        False,
        1,
    ]
    # Others: mean over all three masks; at 10-19: (1 + 1 + 4/8) / 3, above: at most 1/3.
    for name, count in (("Lung Lesion", 1), ("Cardiomegaly", 0)):
        assert found.loc[name, ["level", "n_masks", "pooled"]].tolist() == [10, count, True]
        assert found.loc[name, "tune_iou"] == pytest.approx(2.5 / 3)
        assert caplog.text.count(f"{name}: {count} masks on tune") == 1
    assert found.loc["Edema", "threshold"] == pytest.approx(10 / 1023)


def test_thresholds_are_chosen_without_a_look_at_test():
    table = by_hand()
    expected = tune(gather(table, manifest(SPLITS), NONE), SETTINGS)
    on_test = table["image_id"] == "d"
    generator = np.random.default_rng(0)
    for column in ("inside", "outside"):
        changed = [generator.integers(1, 1000, LEVELS) for _ in range(on_test.sum())]
        table.loc[on_test, column] = pd.Series(changed, index=table.index[on_test])
    pd.testing.assert_frame_equal(tune(gather(table, manifest(SPLITS), NONE), SETTINGS), expected)
    # While a change of tune does change them.
    table.at[0, "outside"] = histogram(_30=12)
    table.at[1, "outside"] = histogram(_30=12)
    assert not tune(gather(table, manifest(SPLITS), NONE), SETTINGS).equals(expected)


def test_values_per_image_by_hand():
    table = _per_image(by_hand(), SPLITS).set_index(
        ["image_id", "class", "threshold_rule", "metric"]
    )
    value = table["value"]
    # d, Edema: tuned cut 10 keeps 4 in, 4 out. Fixed 511: exactly the mask. Otsu: the same.
    assert value["d", "Edema", "tuned", "iou"] == pytest.approx(4 / 8)
    assert value["d", "Edema", "tuned", "dice"] == pytest.approx(8 / 12)
    assert value["d", "Edema", "fixed", "iou"] == 1
    assert value["d", "Edema", "otsu", "iou"] == 1
    # Best: any level from 20 on. In 4, out 0 above it, so precision and recall are 1 as well.
    for metric in ("iou", "dice", "precision", "recall"):
        assert value["d", "Edema", "best", metric] == 1
    assert value["d", "Edema", "tuned", "precision"] == pytest.approx(4 / 8)
    assert value["d", "Edema", "tuned", "recall"] == 1
    # Ranked, the mask comes first everywhere; it is a quarter of the image.
    assert value["d", "Edema", "none", "auprc"] == 1 == value["d", "Edema", "none", "auroc"]
    assert value["d", "Edema", "none", "auprc_lift"] == pytest.approx(4)
    assert value["d", "Edema", "none", "relevance_mass"] == 0.5
    # a, Edema: nothing is above the fixed level. Otsu cuts 20, 10 and 0 above 0: 4 of 8.
    assert value["a", "Edema", "fixed", "iou"] == 0
    assert value["a", "Edema", "none", "hit_rate"] == 0.25
    # Positive labels: Cardiomegaly and Lung Lesion; Edema is uncertain, the others no pathology.
    assert (table["n_labels"] == 2).all()
    assert set(table["probability"]) == {0.5}
    assert set(table["split"]) == {"tune", "test"}


def test_boxes_have_metrics_and_thresholds_of_their_own():
    table = by_hand()
    boxes = table.assign(kind="box", hit=1.0)
    both = pd.concat([table, boxes])
    found = _per_image(both, SPLITS)
    plain = {name for name in found["metric"] if not name.startswith("box_")}
    assert plain == {
        *("iou", "dice", "precision", "recall", "hit_rate", "relevance_mass", "relevance_rank"),
        *("auprc", "auprc_lift", "auroc", "marked_area"),
    }
    assert set(found["metric"]) == plain | {f"box_{name}" for name in plain}
    assert (found.loc[found["metric"] == "box_hit_rate", "value"] == 1).all()
    assert (found.loc[found["metric"] == "hit_rate", "value"] == 0.25).all()


def test_false_alarms_are_of_images_that_are_labelled_negative():
    nothing, spread = np.zeros(0, np.int32), histogram(_0=8, _15=4, _700=4)
    bare = [
        ("d", "Lung Lesion", "cam", "none", True, nothing, spread, 0, 0, 0, 4, 4),
        ("d", "Edema", "cam", "none", True, nothing, histogram(_0=16), 0, 0, 0, 4, 4),
    ]
    table = pd.concat([by_hand().iloc[:3], table_of(bare)])
    labels = manifest(SPLITS).assign(**{"Lung Lesion": 0.0})  # Edema is uncertain: not negative
    gathered = gather(table, labels, NONE)
    found = per_image(gathered, tune(gathered, SETTINGS), labels, predictions(SPLITS), SETTINGS)
    found = found[found["metric"] == "false_alarm_area"]
    assert set(found["class"]) == {"Lung Lesion"}
    # Pooled threshold 10, though the class has no mask; fixed 511; Otsu parts 0 and 15 from 700.
    assert found.set_index("threshold_rule")["value"].to_dict() == {
        "tuned": 8 / 16,
        "fixed": 4 / 16,
        "otsu": 4 / 16,
    }


def test_a_map_that_was_not_made_raises_no_false_alarm_and_none_is_counted():
    nothing = np.zeros(0, np.int32)
    bare = [
        ("d", "Lung Lesion", "cam", "none", made, nothing, histogram(_0=8, _700=8), 0, 0, 0, 4, 4)
        for made in (True, False)
    ]
    bare[1] = ("c", *bare[1][1:])
    labels = manifest(SPLITS).assign(**{"Lung Lesion": 0.0})
    masked = table_of([row("d", histogram(_20=4), histogram(_0=12))])
    table = pd.concat([masked, table_of(bare)])
    gathered = gather(table, labels.assign(split="test"), NONE)
    found = per_image(gathered, tune(gathered, SETTINGS), labels, predictions(SPLITS), SETTINGS)
    found = found[(found["metric"] == "false_alarm_area") & (found["threshold_rule"] == "otsu")]
    assert found["image_id"].tolist() == ["d"] and found["value"].item() == 0.5


def test_without_tune_masks_the_tuned_rule_is_left_out(caplog):
    found = _per_image(by_hand(), dict.fromkeys(SPLITS, "test"))
    assert set(found["threshold_rule"]) == {"otsu", "fixed", "best", "none"}
    assert "no segmentation masks on tune" in caplog.text


def test_a_reader_of_the_test_set_is_not_judged_on_tune_and_needs_no_threshold(caplog):
    drawn = histogram(_0=1, _1023=3), histogram(_0=11, _1023=1)
    rows = [row(name, *drawn) for name in SPLITS]
    table = table_of(rows).assign(made=[False, False, False, True])
    found = _per_image(table, SPLITS)
    assert set(found["split"]) == {"test"} and not caplog.text
    overlap = found[found["metric"] == "iou"].set_index("threshold_rule")["value"]
    assert overlap.to_dict() == dict.fromkeys(("otsu", "tuned", "fixed", "best"), 3 / 5)
    # Of four images on test three were not read: they are scored as empty.
    found = _per_image(table, dict.fromkeys(SPLITS, "test"))
    overlap = found[(found["metric"] == "iou") & (found["threshold_rule"] == "otsu")]
    assert len(overlap) == 4


def test_a_method_that_abstains_is_not_judged_where_it_has_no_map():
    # Two of four images on tune and test have a map.
    table = by_hand().assign(made=[True, False, True, True, False, False])
    whole = gather(table, manifest(SPLITS), NONE)
    kept = gather(table, manifest(SPLITS), NONE, abstains=True)
    assert len(whole) == 6 and kept["made"].all() and len(kept) == 3
    assert sorted(kept["image_id"]) == ["a", "c", "d"]


def test_what_a_mask_repeats_goes_with_its_values():
    both = masks()
    same = both[(both["image_id"] == "c") & (both["class"] == "Edema")]
    both = pd.concat([both, same.assign(**{"class": "Lung Opacity"})])
    found, _ = score(heatmaps(), frames(), masks(), CLASSES)
    opacity = found[(found["image_id"] == "c") & (found["class"] == "Edema")]
    found = pd.concat([found, opacity.assign(**{"class": "Lung Opacity"})])
    splits = dict.fromkeys(SIZES, "test")
    of = manifest(splits).assign(**{"Lung Opacity": 1.0})
    gathered = gather(found, of, repeats(both))
    marked = gathered[gathered["repeats"] != ""]
    keys = ["image_id", "class", "kind", "repeats"]
    assert marked[keys].to_numpy().tolist() == [["c", "Lung Opacity", "segmentation", "Edema"]]
    more = predictions(splits)
    more = pd.concat([more, more[more["class"] == "Edema"].assign(**{"class": "Lung Opacity"})])
    table = per_image(gathered, tune(gathered, SETTINGS), of, more, SETTINGS)
    repeated = table[table["repeats"] != ""]
    assert set(repeated["class"]) == {"Lung Opacity"} and set(repeated["image_id"]) == {"c"}
    assert len(repeated) == (table["class"] == "Lung Opacity").sum() > 0


def test_faults_name_the_image():
    table = by_hand()
    with pytest.raises(InputError, match="image 'd' has no manifest"):
        gather(table, manifest({"a": "tune", "b": "tune", "c": "tune"}), NONE)
    with pytest.raises(InputError, match=r"cam: image 'a', class 'Edema' is scored twice"):
        gather(pd.concat([table, table]), manifest(SPLITS), NONE)
    gathered = gather(table, manifest(SPLITS), NONE)
    with pytest.raises(InputError, match="none for image 'd'"):
        per_image(
            gathered,
            tune(gathered, SETTINGS),
            manifest(SPLITS),
            predictions({"a": 0, "b": 0, "c": 0}),
            SETTINGS,
        )


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def files(tmp_path):
    pixels = np.zeros((3, 32, 32), np.uint8)
    write_images(Images(pixels, list(SIZES), list(frames().values())), tmp_path / "images.h5")
    write_table(masks(), tmp_path / "masks.parquet")
    for method in ("cam", "random"):
        write_heatmaps(heatmaps(len(method), method=method), tmp_path / f"{method}.h5")
    splits = {"a": "tune", "b": "test", "c": "test"}
    write_table(manifest(splits), tmp_path / "manifest.parquet")
    write_table(predictions(splits), tmp_path / "predictions.parquet")
    write_table(pd.DataFrame({"class": CLASSES}, dtype="str"), tmp_path / "masked.parquet")
    write_description(tmp_path / "model.pt", heatmaps(3).checkpoint)
    return tmp_path


def run_score(files, shard, out):
    return run(
        *("score.py", "--settings", json.dumps({"classes": CLASSES, "sign": "positive"})),
        *("--checkpoint", files / "model.pt", "--masked", files / "masked.parquet"),
        *("--heatmaps", files / shard, "--images", files / "images.h5"),
        *("--masks", files / "masks.parquet", "--scores", files / f"{out}.parquet"),
        *("--signs", files / f"{out}.signs.parquet"),
    )


MEASURED = ("per-image", "thresholds", "pxap", "signs", "markers")
SETTINGS_JSON = json.dumps(
    {"seed": 1, "evaluate": asdict(SETTINGS) | {"baseline": "random", "margin": 0.05}}
)


def run_per_image(files, *methods, listed=None):
    return run(
        *("per_image.py", "--settings", SETTINGS_JSON),
        *("--methods", json.dumps({"abstain": []})),
        *("--classes", json.dumps({"explained": CLASSES, "listed": listed})),
        *("--masked", files / "masked.parquet"),
        *("--scores", *(files / f"{method}.parquet" for method in methods)),
        *("--sign-scores", *(files / f"{method}.signs.parquet" for method in methods)),
        *("--manifests", files / "manifest.parquet", "--masks", files / "masks.parquet"),
        *("--predictions", files / "predictions.parquet"),
        *(part for name in MEASURED for part in (f"--{name}", files / f"{name}.table")),
    )


def run_tables(files, *methods):
    done = run_per_image(files, *methods)
    assert done.returncode == 0, done.stderr
    summed = ("localisation", "comparisons", "gains")
    roles = json.dumps({"baseline": "random", "prior": None, "radiologist": None})
    done = run(
        *("compare.py", "--settings", SETTINGS_JSON, "--roles", roles),
        *("--per-image", files / "per-image.table", "--pxap", files / "pxap.table"),
        *(part for name in summed for part in (f"--{name}", files / f"{name}.table")),
    )
    assert done.returncode == 0, done.stderr
    return {name: read_table(files / f"{name}.table") for name in (*MEASURED, *summed)}


def test_programs_from_shards_to_tables(files):
    for method in ("cam", "random"):
        done = run_score(files, f"{method}.h5", method)
        assert done.returncode == 0, done.stderr
    expected, _ = score(heatmaps(3), frames(), masks(), CLASSES)
    stored = read_table(files / "cam.parquet")
    assert stored["hit"].tolist() == expected["hit"].tolist()
    assert np.array_equal(np.stack(stored["outside"]), np.stack(expected["outside"]))
    tables = run_tables(files, "cam", "random")
    assert all(len(table) for name, table in tables.items() if name != "markers")
    assert set(tables["comparisons"]["method_b"]) == {"random"}
    values = tables["per-image"].query("split == 'test' and metric == 'iou' and method == 'cam'")
    summary = tables["localisation"].query(
        "split == 'test' and metric == 'iou' and method == 'cam'"
    )
    for rule in SETTINGS.thresholds:
        mean = values.loc[values["threshold_rule"] == rule, "value"].mean()
        pooled = summary.query("threshold_rule == @rule and `class` == 'pooled'")
        assert pooled["mean"].item() == pytest.approx(mean)


def test_a_fault_is_one_line_and_nothing_is_written(files):
    (files / "cam.h5").write_bytes(b"broken")
    done = run_score(files, "cam.h5", "out")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "cam.h5" in done.stderr and not (files / "out.parquet").exists()


def test_heatmaps_of_another_checkpoint_are_not_scored(files):
    write_description(files / "model.pt", "1" * 64)
    done = run_score(files, "cam.h5", "out")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "cam.h5: is of another checkpoint, weights 000000000000" in done.stderr
    assert "111111111111" in done.stderr and not (files / "out.parquet").exists()


def test_classes_without_a_mask_anywhere_are_not_scored_and_that_is_said(files):
    """False alarms of a class that nobody drew would be compared with nothing."""
    write_table(pd.DataFrame({"class": ["Cardiomegaly"]}), files / "masked.parquet")
    for method in ("cam", "random"):
        assert run_score(files, f"{method}.h5", method).returncode == 0
    assert set(read_table(files / "cam.parquet")["class"]) == {"Cardiomegaly"}
    done = run_per_image(files, "cam", "random")
    assert done.returncode == 0
    assert "no masks on tune or test: Edema, Lung Lesion" in done.stderr
    done = run_per_image(files, "cam", "random", listed=["Edema"])
    assert "have masks: Cardiomegaly; they are not in evaluate.classes" in done.stderr
    assert "no masks on tune or test: Edema\n" in done.stderr


def test_without_any_mask_the_tables_are_empty(files):
    write_table(masks()[:0], files / "masks.parquet")
    write_table(pd.DataFrame({"class": []}, dtype="str"), files / "masked.parquet")
    for method in ("cam", "random"):
        done = run_score(files, f"{method}.h5", method)
        assert done.returncode == 0, done.stderr
    assert all(table.empty for table in run_tables(files, "cam", "random").values())


def test_a_shard_without_masks_gives_tables_without_localisation(files):
    write_table(masks()[:0], files / "masks.parquet")
    for method in ("cam", "random"):
        done = run_score(files, f"{method}.h5", method)
        assert done.returncode == 0, done.stderr
    tables = run_tables(files, "cam", "random")
    assert set(tables["localisation"]["metric"]) <= {"false_alarm_area"}
    assert tables["thresholds"].empty and tables["signs"].empty


@pytest.mark.parametrize("job", ["score", "probe"])
def test_jobs_of_each_method_import_no_pandas(job):
    """There are many of them, and it takes them longer to import than to score."""
    code = f"import sys, {job}; sys.exit('pandas' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": f"{SCRIPTS.parent}:{SCRIPTS}"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_scoring_imports_no_torch():
    code = (
        "import sys; sys.path.insert(0, 'scripts'); import score, per_image, compare; "
        "sys.exit(bool({'torch', 'sklearn', 'skimage', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS.parent, check=False)
    assert done.returncode == 0


def test_evidence_is_scored_beside_outlines_and_stays_apart():
    """The same masks as another kind have the same scores, under names of their own."""
    both = pd.concat([masks(), masks("evidence")])
    found, signs = score(heatmaps(), frames(), both, CLASSES)
    part = {kind: rows.drop(columns="kind") for kind, rows in found.groupby("kind")}
    outlines, evidence = (part[k].reset_index(drop=True) for k in ("segmentation", "evidence"))
    pd.testing.assert_frame_equal(outlines, evidence)
    assert set(signs["kind"]) == {"segmentation"}  # treatments of the sign are of outlines
    masked_rows = found[found["kind"] != "none"]
    table = _per_image(masked_rows, {"a": "tune", "b": "tune", "c": "test"})
    plain = table[table["metric"].map(kind_of) == "segmentation"]
    other = table[table["metric"].map(kind_of) == "evidence"]
    assert {of_outlines(name) for name in other["metric"]} == set(headlines())
    plain = plain[plain["metric"].isin(headlines())]
    assert len(plain) == len(other) > 0
    key = ["image_id", "class", "threshold_rule", "metric"]
    renamed = other.assign(metric=other["metric"].map(of_outlines))
    values = [t.set_index(key)["value"].sort_index() for t in (plain, renamed)]
    pd.testing.assert_series_equal(*values)
    # Values of two kinds are never resampled, compared or averaged together.
    for matrix in matrices(table):
        assert len({kind_of(metric) for _, metric, _ in matrix.columns}) == 1


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("kind", PREFIX)
def test_a_metric_of_any_kind_of_mask_is_known_by_its_name(kind, name):
    assert kind_of(PREFIX[kind] + name) == kind and of_outlines(PREFIX[kind] + name) == name
