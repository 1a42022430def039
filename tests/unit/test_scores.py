import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shamsul.data.geometry import Frame
from shamsul.data.masks import MASK_COLUMNS, decode, encode
from shamsul.errors import InputError
from shamsul.evaluate.scores import COLUMNS, score
from shamsul.evaluate.segmentation import iou
from shamsul.evaluate.tables import gather, per_image, tune
from shamsul.storage import Heatmaps, Images, read_table, write_heatmaps, write_images, write_table

SCRIPTS = Path(__file__).parents[2] / "scripts"
CLASSES = ["Edema", "Cardiomegaly", "Lung Lesion"]
SIZES = {"a": (40, 30), "b": (16, 48), "c": (33, 33)}


def images(geometry="stretch"):
    frames = [Frame.fit(*size, 32, geometry) for size in SIZES.values()]
    return Images(np.zeros((3, 32, 32), np.uint8), list(SIZES), frames)


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
        made = images(geometry)
        values = np.zeros((3, 3, 32, 32), np.float32)
        frame = made.frames[1]  # 16 x 48
        # Model pixels whose centres show the radiograph's top right eighth.
        y = (np.arange(32) + 0.5 - frame.offset_y) / frame.scale_y
        x = (np.arange(32) + 0.5 - frame.offset_x) / frame.scale_x
        values[1, 1][np.ix_((y > 0) & (y < 8), (x > 36) & (x < 48))] = 1
        shard = replace(heatmaps(), heatmap=values)
        mask = np.zeros((16, 48), bool)
        mask[:8, 36:] = True
        row = ("b", "Cardiomegaly", "x", "segmentation", 16, 48, encode(mask), 1)
        found = score(shard, made, pd.DataFrame([row], columns=MASK_COLUMNS), CLASSES).iloc[0]
        assert found["hit"] == 1
        inside, outside = found["inside"][128:].sum(), found["outside"][128:].sum()
        assert inside / (inside + outside) > 0.85 and inside / mask.sum() > 0.85


def test_scores_have_their_columns_and_count_every_pixel():
    found = score(heatmaps(), images(), masks(), CLASSES)
    assert list(found.columns) == list(COLUMNS)
    assert len(found) == 6
    for row in found.itertuples():
        assert row.inside.sum() == row.area
        assert row.inside.sum() + row.outside.sum() == row.height * row.width
        assert row.inside.dtype == np.int32 and len(row.inside) == 256


def test_order_of_classes_images_and_masks_changes_nothing():
    expected = score(heatmaps(), images(), masks(), CLASSES)
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
    found = score(permuted, images(), masks()[reverse], CLASSES[reverse])
    pd.testing.assert_frame_equal(found, expected)


def test_only_scored_classes_count_and_the_marker_is_none():
    table = masks()
    table.loc[0, "class"] = "Marker"
    found = score(heatmaps(), images(), table, ["Edema"])
    assert set(found["class"]) == {"Edema"} and len(found) == 2


def test_a_mask_without_heatmap_is_an_error():
    shard = heatmaps()
    shard.explained[2, 1] = False
    with pytest.raises(InputError, match=r"cam: no heatmap for image 'c', class 'Cardiomegaly'"):
        score(shard, images(), masks(), CLASSES)


def test_a_mask_may_be_finer_than_its_radiograph():
    table = masks()
    coarse = score(heatmaps(), images(), table, CLASSES)
    for row in table.index:
        fine = np.kron(decode(table.loc[row]), np.ones((3, 3), bool))
        table.loc[row, ["height", "width"]] = fine.shape
        table.loc[row, "counts"] = encode(fine)
    finer = score(heatmaps(), images(), table, CLASSES)
    assert (finer["area"] == 9 * coarse["area"]).all()
    for one, other in zip(coarse.itertuples(), finer.itertuples(), strict=True):
        levels = [iou(row.inside, row.outside)[64] for row in (one, other)]
        assert levels[0] == pytest.approx(levels[1], abs=0.1)


def test_a_map_of_nothing_scores_zero_everywhere():
    shard = heatmaps()
    shard.heatmap[:] = -1
    found = score(shard, images(), masks(), CLASSES)
    table = _per_image(found, {"a": "tune", "b": "tune", "c": "test"})
    overlap = table[table["metric"] != "hit_rate"]
    assert (overlap["value"] == 0).all()
    chance = found["area"] / (found["height"] * found["width"])
    assert found["hit"].to_numpy() == pytest.approx(chance.to_numpy())
    assert table["value"].notna().all()


SETTINGS = {
    "rules": ["otsu", "fixed", "tuned"],
    "fixed_threshold": 0.5,
    "min_masks": 2,
    "replicates": 50,
    "confidence": 0.95,
    "baseline": "random",
}


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
    gathered = gather(scores, manifest(splits))
    return per_image(
        gathered, tune(gathered, SETTINGS), manifest(splits), predictions(splits), SETTINGS
    )


def histogram(**counts):
    array = np.zeros(256, np.int32)
    for level, count in counts.items():
        array[int(level[1:])] = count
    return array


def row(image_id, inside, outside, name="Edema", kind="segmentation", hit=0.25):
    area = int(inside.sum())
    return (image_id, name, "cam", kind, inside, outside, hit, area, 4, 4)


def by_hand():
    """Edema: two tune masks with the best cut between 10 and 20; one of another class; test."""
    good = histogram(_20=4), histogram(_10=4, _0=8)
    late = histogram(_200=4), histogram(_20=4, _0=8)
    rows = [
        *(row("a", *good), row("b", *good)),
        row("c", *late, name="Lung Lesion"),
        *(
            row("d", *late),
            row("d", *good, name="Lung Lesion"),
            row("d", *good, name="Cardiomegaly"),
        ),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


SPLITS = {"a": "tune", "b": "tune", "c": "tune", "d": "test"}


def test_thresholds_by_hand_are_tuned_per_class_or_pooled(caplog):
    found = tune(gather(by_hand(), manifest(SPLITS)), SETTINGS).set_index("class")
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
        assert f"{name}: {count} masks on tune" in caplog.text
    assert found.loc["Edema", "threshold"] == pytest.approx(10 / 255)


def test_thresholds_are_chosen_without_a_look_at_test():
    table = by_hand()
    expected = tune(gather(table, manifest(SPLITS)), SETTINGS)
    on_test = table["image_id"] == "d"
    generator = np.random.default_rng(0)
    for column in ("inside", "outside"):
        changed = [generator.integers(1, 1000, 256) for _ in range(on_test.sum())]
        table.loc[on_test, column] = pd.Series(changed, index=table.index[on_test])
    pd.testing.assert_frame_equal(tune(gather(table, manifest(SPLITS)), SETTINGS), expected)
    # While a change of tune does change them.
    table.at[0, "outside"] = histogram(_30=12)
    table.at[1, "outside"] = histogram(_30=12)
    assert not tune(gather(table, manifest(SPLITS)), SETTINGS).equals(expected)


def test_values_per_image_by_hand():
    table = _per_image(by_hand(), SPLITS).set_index(
        ["image_id", "class", "threshold_rule", "metric"]
    )
    value = table["value"]
    # d, Edema: tuned cut 10 keeps 4 in, 4 out. Fixed 127: exactly the mask. Otsu: the same.
    assert value["d", "Edema", "tuned", "iou"] == pytest.approx(4 / 8)
    assert value["d", "Edema", "tuned", "dice"] == pytest.approx(8 / 12)
    assert value["d", "Edema", "fixed", "iou"] == 1
    assert value["d", "Edema", "otsu", "iou"] == 1
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
    assert set(found["metric"]) == {
        *("iou", "dice", "hit_rate", "box_iou", "box_dice", "box_hit_rate")
    }
    assert (found.loc[found["metric"] == "box_hit_rate", "value"] == 1).all()
    assert (found.loc[found["metric"] == "hit_rate", "value"] == 0.25).all()


def test_without_tune_masks_the_tuned_rule_is_left_out(caplog):
    found = _per_image(by_hand(), dict.fromkeys(SPLITS, "test"))
    assert set(found["threshold_rule"]) == {"otsu", "fixed", "none"}
    assert "no segmentation masks on tune" in caplog.text


def test_faults_name_the_image():
    table = by_hand()
    with pytest.raises(InputError, match="image 'd' has no manifest"):
        gather(table, manifest({"a": "tune", "b": "tune", "c": "tune"}))
    with pytest.raises(InputError, match=r"cam: image 'a', class 'Edema' is scored twice"):
        gather(pd.concat([table, table]), manifest(SPLITS))
    gathered = gather(table, manifest(SPLITS))
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
    write_images(images(), tmp_path / "images.h5")
    write_table(masks(), tmp_path / "masks.parquet")
    for method in ("cam", "random"):
        write_heatmaps(heatmaps(len(method), method=method), tmp_path / f"{method}.h5")
    splits = {"a": "tune", "b": "test", "c": "test"}
    write_table(manifest(splits), tmp_path / "manifest.parquet")
    write_table(predictions(splits), tmp_path / "predictions.parquet")
    return tmp_path


def test_programs_from_shards_to_tables(files):
    for method in ("cam", "random"):
        done = run(
            *("score.py", "--settings", json.dumps({"classes": CLASSES})),
            *("--heatmaps", files / f"{method}.h5", "--images", files / "images.h5"),
            *("--masks", files / "masks.parquet", "--scores", files / f"{method}.parquet"),
        )
        assert done.returncode == 0, done.stderr
    expected = score(heatmaps(3), images(), masks(), CLASSES)
    stored = read_table(files / "cam.parquet")
    assert stored["hit"].tolist() == expected["hit"].tolist()
    assert np.array_equal(np.stack(stored["inside"]), np.stack(expected["inside"]))
    outputs = ("per-image", "localisation", "comparisons", "thresholds")
    done = run(
        *("localise.py", "--settings", json.dumps({"seed": 1, "evaluate": SETTINGS})),
        *("--scores", files / "cam.parquet", files / "random.parquet"),
        *("--manifests", files / "manifest.parquet"),
        *("--predictions", files / "predictions.parquet"),
        *(part for name in outputs for part in (f"--{name}", files / f"{name}.parquet")),
    )
    assert done.returncode == 0, done.stderr
    tables = {name: read_table(files / f"{name}.parquet") for name in outputs}
    assert all(len(table) for table in tables.values())
    assert set(tables["comparisons"]["method_b"]) == {"random"}
    values = tables["per-image"].query("split == 'test' and metric == 'iou' and method == 'cam'")
    summary = tables["localisation"].query(
        "split == 'test' and metric == 'iou' and method == 'cam'"
    )
    for rule in SETTINGS["rules"]:
        mean = values.loc[values["threshold_rule"] == rule, "value"].mean()
        pooled = summary.query("threshold_rule == @rule and `class` == 'pooled'")
        assert pooled["mean"].item() == pytest.approx(mean)


def test_a_fault_is_one_line_and_nothing_is_written(files):
    (files / "cam.h5").write_bytes(b"broken")
    done = run(
        *("score.py", "--settings", json.dumps({"classes": CLASSES})),
        *("--heatmaps", files / "cam.h5", "--images", files / "images.h5"),
        *("--masks", files / "masks.parquet", "--scores", files / "out.parquet"),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "cam.h5" in done.stderr and not (files / "out.parquet").exists()


def test_a_shard_without_masks_gives_an_empty_table(files):
    write_table(masks()[:0], files / "masks.parquet")
    done = run(
        *("score.py", "--settings", json.dumps({"classes": CLASSES})),
        *("--heatmaps", files / "cam.h5", "--images", files / "images.h5"),
        *("--masks", files / "masks.parquet", "--scores", files / "none.parquet"),
    )
    assert done.returncode == 0, done.stderr
    outputs = ("per-image", "localisation", "comparisons", "thresholds")
    done = run(
        *("localise.py", "--settings", json.dumps({"seed": 1, "evaluate": SETTINGS})),
        *("--scores", files / "none.parquet", files / "none.parquet"),
        *("--manifests", files / "manifest.parquet"),
        *("--predictions", files / "predictions.parquet"),
        *(part for name in outputs for part in (f"--{name}", files / f"{name}.parquet")),
    )
    assert done.returncode == 0, done.stderr
    for name in outputs:
        assert read_table(files / f"{name}.parquet").empty


def test_scoring_imports_no_torch():
    code = (
        "import sys; sys.path.insert(0, 'scripts'); import score, localise; "
        "sys.exit(bool({'torch', 'sklearn', 'skimage', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS.parent, check=False)
    assert done.returncode == 0
