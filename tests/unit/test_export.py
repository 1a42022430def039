"""Export in CheXlocalize's formats: read back by pickle, by pycocotools and by `imported`."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pycocotools import mask as coco

from shamsul.data.masks import MASK_COLUMNS, encode
from shamsul.errors import InputError
from shamsul.explain.external import export
from shamsul.explain.external.export import TASKS
from shamsul.explain.external.folder import listing
from shamsul.explain.external.methods import Imported, Segmentations
from shamsul.geometry import Frame, to_original
from shamsul.job.fingerprint import PROJECT
from shamsul.labels import LOCALISED
from shamsul.storage.heatmaps import Heatmaps, RunLengths, read_heatmaps, write_heatmaps
from shamsul.storage.images import Images, read_images, write_images
from shamsul.storage.tables import read_table, write_table
from tests.unit.test_imported import shard

SIZE = 32
CLASSES = ("Lung Opacity", "Fracture", "Edema")
HEIGHT, WIDTH = 40, 60


@pytest.fixture
def finished_run(tmp_path, rng):
    """What the export reads of a run with one method, `cam`, and an image in tune and test each."""
    run = tmp_path / "run"
    grey = rng.integers(0, 256, (1, SIZE, SIZE), np.uint8)
    rows, predictions = [], []
    for split, image_id in (("tune", "p1"), ("test", "p2")):
        frame = Frame.fit(HEIGHT, WIDTH, SIZE, "stretch")
        write_images(Images(grey, [image_id], [frame]), run / "images" / f"{split}-0000.h5")
        explained = np.array([[True, True, split == "tune"]])
        maps = rng.normal(size=(1, 3, 7, 7)).astype(np.float32) * explained[..., None, None]
        write_heatmaps(
            Heatmaps(maps, [image_id], explained, list(CLASSES), "cam", {}, "0"),
            run / "heatmaps" / "cam" / f"{split}-0000.h5",
        )
        labels = {"Lung Opacity": 1.0, "Fracture": 0.0, "Edema": -1.0}
        rows.append(
            {"image_id": image_id, "split": split, "height": HEIGHT, "width": WIDTH} | labels
        )
        predictions += [(image_id, name, 0.1 * n) for n, name in enumerate(CLASSES)]
    write_table(pd.DataFrame(rows), run / "manifest.parquet")
    columns = ["image_id", "class", "probability"]
    write_table(pd.DataFrame(predictions, columns=columns), run / "predictions.parquet")
    # Masks of twice the radiograph's resolution.
    mask = np.zeros((2 * HEIGHT, 2 * WIDTH), bool)
    mask[10:30, 20:50] = True
    row = ("p2", "Lung Opacity", "one", "segmentation", *mask.shape, encode(mask))
    masks = pd.DataFrame([row], columns=MASK_COLUMNS[:7])
    write_table(masks, run / "masks.parquet")
    return run, mask


def test_the_pickles_are_what_chexlocalize_reads(finished_run, tmp_path):
    run, _ = finished_run
    export.export(run, "cam", tmp_path / "out")
    written = sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*_map.pkl")
    )
    assert written == [
        "cam_maps_test/p2_Airspace Opacity_map.pkl",
        "cam_maps_test/p2_Fracture_map.pkl",
        "cam_maps_val/p1_Airspace Opacity_map.pkl",
        "cam_maps_val/p1_Edema_map.pkl",
        "cam_maps_val/p1_Fracture_map.pkl",
    ]
    with (tmp_path / "out" / written[0]).open("rb") as file:
        content = pickle.load(file)
    shard = read_heatmaps(run / "heatmaps" / "cam" / "test-0000.h5")
    images = read_images(run / "images" / "test-0000.h5")
    assert torch.equal(content["map"], torch.from_numpy(shard.heatmap[0, 0])[None, None])
    assert content["prob"] == 0 and content["task"] == "Airspace Opacity" and content["gt"] == 1
    assert content["cxr_dims"] == (2 * WIDTH, 2 * HEIGHT)
    assert content["cxr_img"].shape == (3, SIZE, SIZE)
    assert torch.equal((content["cxr_img"][2] * 255).round(), torch.from_numpy(images.image[0]))
    with (tmp_path / "out" / written[3]).open("rb") as file:
        content = pickle.load(file)
    assert content["gt"] == 0 and content["prob"] == 0.2
    assert content["cxr_dims"] == (WIDTH, HEIGHT)


def test_what_is_exported_is_imported_as_it_was(finished_run, tmp_path):
    run, mask = finished_run
    export.export(run, "cam", tmp_path / "out")
    made = Imported(path=str(tmp_path / "out" / "cam_maps_val")).heatmaps(shard(["p1"], CLASSES))
    shards = read_heatmaps(run / "heatmaps" / "cam" / "tune-0000.h5")
    assert made.explained.all() and np.array_equal(made.heatmap, shards.heatmap)
    np.testing.assert_allclose(made.probability, [[0, 0.1, 0.2]])
    file = tmp_path / "out" / "gt_segmentations_test.json"
    read = Segmentations(path=str(file)).heatmaps(shard(["p2"], CLASSES))
    assert np.array_equal(read.heatmap[0, 0], mask) and not read.heatmap[0, 2].any()


def test_the_masks_are_those_that_pycocotools_reads(finished_run, tmp_path):
    run, mask = finished_run
    export.export(run, "cam", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "gt_segmentations_val.json").read_text()) == {}
    written = json.loads((tmp_path / "out" / "gt_segmentations_test.json").read_text())
    assert list(written) == ["p2"] and len(written["p2"]) == len(LOCALISED) == 10
    for task, run_lengths in written["p2"].items():
        expected = mask if task == "Airspace Opacity" else np.zeros_like(mask)
        assert np.array_equal(coco.decode(run_lengths), expected)


def test_classes_of_ones_own_are_exported_and_come_back(finished_run, tmp_path, caplog):
    """Slashes, blanks and braces in a class reach its file's name, its mask and the import."""
    run, mask = finished_run
    own = {"Lung Opacity": "Mass/Nodule", "Fracture": "Ödem {x}", "Edema": "it's 5%"}
    for path in (run / "heatmaps" / "cam").glob("*.h5"):
        made = read_heatmaps(path)
        write_heatmaps(replace(made, classes=list(own.values())), path)
    for name in ("manifest", "predictions", "masks"):
        table = read_table(run / f"{name}.parquet").rename(columns=own)
        if "class" in table:
            table["class"] = table["class"].map(own)
        write_table(table, run / f"{name}.parquet")
    box = read_table(run / "masks.parquet").assign(kind="box")
    write_table(pd.concat([read_table(run / "masks.parquet"), box]), run / "masks.parquet")
    export.export(run, "cam", tmp_path / "out")
    assert "1 boxes are not exported" in caplog.text
    classes = tuple(own.values())
    made = Imported(path=str(tmp_path / "out" / "cam_maps_val")).heatmaps(shard(["p1"], classes))
    expected = read_heatmaps(run / "heatmaps" / "cam" / "tune-0000.h5").heatmap
    assert made.explained.all() and np.array_equal(made.heatmap, expected)
    written = json.loads((tmp_path / "out" / "gt_segmentations_test.json").read_text())["p2"]
    assert set(written) - {TASKS.get(name, name) for name in LOCALISED} == {"Mass/Nodule"}
    assert np.array_equal(coco.decode(written["Mass/Nodule"]), mask)


def test_shards_of_two_checkpoints_are_not_exported(finished_run, tmp_path):
    run, _ = finished_run
    path = run / "heatmaps" / "cam" / "tune-0000.h5"
    write_heatmaps(replace(read_heatmaps(path), checkpoint="other"), path)
    with pytest.raises(InputError, match="another checkpoint"):
        export.export(run, "cam", tmp_path / "out")


def test_the_first_annotator_counts_and_boxes_are_left_out():
    masks = np.zeros((3, 4, 5), bool)
    for number, mask in enumerate(masks):
        mask[number, number:] = True
    kinds = ("segmentation", "segmentation", "box")
    rows = [
        ("p", "Edema", str(number), kind, 4, 5, encode(mask))
        for number, (kind, mask) in enumerate(zip(kinds, masks, strict=True))
    ]
    written = export.segmentations(pd.DataFrame(rows, columns=MASK_COLUMNS[:7]))
    assert np.array_equal(coco.decode(written["p"]["Edema"]), masks[0])


def test_the_same_heatmap_is_the_same_bytes(finished_run, tmp_path):
    run, _ = finished_run
    for name in ("one", "two"):
        export.export(run, "cam", tmp_path / name)
    for path in (tmp_path / "one").rglob("*.*"):
        assert (
            path.read_bytes()
            == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
        )


@pytest.mark.parametrize("geometry", ["pad", "crop"])
def test_maps_of_a_frame_come_back_to_the_radiograph(geometry, rng):
    """A wide radiograph: brought to its own pixels they are as from the frame directly."""
    frame = Frame.fit(100, 200, SIZE, geometry)
    heatmap = rng.random((SIZE, SIZE)).astype(np.float32) + 1
    made = export.on_radiograph(heatmap, frame, "frame")
    assert made.shape == ((16, 32) if geometry == "pad" else (32, 64))
    if geometry == "pad":
        assert np.array_equal(made, heatmap[8:24])
    else:
        assert np.array_equal(made[:, 16:48], heatmap)
        assert (made[:, :16] == heatmap.min()).all() and (made[:, 48:] == heatmap.min()).all()
    whole = Frame.fit(100, 200, SIZE, "stretch")
    direct = to_original(heatmap, frame, outside=float(heatmap.min()))
    again = to_original(made, whole)
    inside = np.s_[:, 60:140] if geometry == "crop" else np.s_[8:-8]
    np.testing.assert_allclose(again[inside], direct[inside], atol=1e-4)
    assert export.on_radiograph(heatmap, frame, "radiograph") is heatmap
    assert export.on_radiograph(heatmap, whole, "frame") is heatmap


def test_the_program_names_a_method_without_heatmaps(finished_run, tmp_path):
    run, _ = finished_run
    command = [sys.executable, "-m", "shamsul", "export", str(run)]
    done = subprocess.run(
        [*command, "none", str(tmp_path / "out")], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 1 and "none: no heatmaps" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = subprocess.run([*command, "cam", str(tmp_path / "out")], cwd=PROJECT)
    assert done.returncode == 0 and (tmp_path / "out" / "cam_maps_test").is_dir()


def test_segmentations_are_not_exported_as_heatmaps(tmp_path):
    lengths = RunLengths(np.full((1, 1), "04", object), np.full((1, 1, 2), 2))
    made = Heatmaps(lengths, ["p"], np.ones((1, 1), bool), ["Edema"], "hb", {}, "0")
    with pytest.raises(InputError, match="hb makes segmentations"):
        export.maps(made, None, None, {}, {}, tmp_path)


@pytest.mark.parametrize("image_id", ["../../outside", "/root/x", "a/b", "$(touch x)", "=1+1"])
def test_no_name_of_an_image_leads_out_of_the_folder(tmp_path, rng, image_id):
    frame = Frame.fit(HEIGHT, WIDTH, SIZE, "stretch")
    grey = rng.integers(0, 256, (1, SIZE, SIZE), np.uint8)
    values = rng.random((1, 1, 7, 7)).astype(np.float32)
    shard = Heatmaps(values, [image_id], np.ones((1, 1), bool), ["Edema"], "cam", {}, "0")
    place = tmp_path / "deep" / "maps"
    export.maps(
        shard,
        Images(grey, [image_id], [frame]),
        pd.DataFrame({"image_id": [image_id], "Edema": [1.0]}),
        {image_id: (HEIGHT, WIDTH)},
        {(image_id, "Edema"): 0.5},
        place,
    )
    (file,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file.parent == place
    # It is found again by the image's own name.
    listing.cache_clear()
    ((found, name, one),) = listing(str(place)).read([image_id], ["Edema"])
    assert (found, name) == (image_id, "Edema") and np.array_equal(one.heatmap, values[0, 0])
