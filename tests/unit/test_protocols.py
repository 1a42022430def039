"""The same heatmaps under both protocols, on two real radiographs and on phantoms.

The reference is worked out here with pycocotools and OpenCV from maps at full resolution.
"""

import cv2
import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco

from shamsul.data.adapters.phantom import PhantomSource
from shamsul.data.masks import decode, encode
from shamsul.data.settings import Data
from shamsul.data.sources import roots
from shamsul.evaluate import per_image, thresholds
from shamsul.evaluate.chexlocalize.cases import Run
from shamsul.evaluate.chexlocalize.scores import measure
from shamsul.evaluate.parameters import Measurement, Protocol
from shamsul.evaluate.repeats import repeats
from shamsul.geometry import Frame, to_original
from shamsul.labels import CLASSES, LOCALISED
from shamsul.phantom import export
from shamsul.storage.heatmaps import Heatmaps, RunLengths, write_heatmaps
from tests.frames import score
from tests.prepared import prepare

SETTINGS = Measurement(0.95, 5, ("otsu", "best"), fixed_threshold=0.5, min_masks=10)
CHEXLOCALIZE = Protocol("otsu", smoothing={}, probability_cutoff="none", true_pos_only=True)


@pytest.fixture(params=["real", "phantom"])
def data(request, tmp_path):
    """Manifest and outlines, all of them as the test split."""
    if request.param == "real":
        root = request.getfixturevalue("real_data")
        source = {
            "adapter": "chexpert", "name": "sample", "split": "test",
            "labels": "chexlocalize-sample/valid.csv", "images": "chexlocalize-sample",
            "segmentations": "chexlocalize-sample/gt_segmentations_val.json",
            "annotations": "chexlocalize-sample/gt_annotations_val.json",
        }  # fmt: skip
    else:
        root = tmp_path
        source = {"adapter": "phantom", "patients": {"test": 4}, "height": 128}
    # The manifest wants a tune split; two phantoms are one.
    other = {"adapter": "phantom", "name": "other", "patients": {"tune": 2}, "height": 64}
    settings = Data(sources=[source, other])
    for made in settings.sources:
        if isinstance(made, PhantomSource):
            export.export(tmp_path / made.name, 1, made)
    prepared = prepare(settings, CLASSES, roots(settings, root, tmp_path))
    table, masks = prepared.images, prepared.masks
    test = table[table["split"] == "test"].reset_index(drop=True)
    outlines = masks[masks["kind"] == "segmentation"]
    return test, outlines[outlines["image_id"].isin(test["image_id"])]


def frames_of(table):
    return {
        row.image_id: Frame.fit(row.height, row.width, 64, "stretch") for row in table.itertuples()
    }


def shard(method, table, heatmap, **more):
    explained = np.ones((len(table), len(LOCALISED)), bool)
    return Heatmaps(
        heatmap, list(table["image_id"]), explained, list(LOCALISED), method, {}, "", **more
    )


def both(made, table, masks, tmp_path):
    """IoU under Otsu and hit rate by image and class: ours and CheXlocalize's."""
    frames = frames_of(table)
    predictions = pd.DataFrame(
        [(i, c, 0.9) for i in table["image_id"] for c in CLASSES],
        columns=["image_id", "class", "probability"],
    )
    scores, _ = score(made, frames, masks, LOCALISED)
    gathered = per_image.gather(scores, table, repeats(masks))
    found = per_image.per_image(
        gathered, thresholds.tune(gathered, SETTINGS), table, predictions, SETTINGS
    )
    found = found[found["threshold_rule"] != "best"]
    ours = found.pivot(index=["image_id", "class"], columns="metric", values="value")
    write_heatmaps(made, tmp_path / "maps.h5")
    run = Run.of(masks, table, predictions, frames, LOCALISED)
    theirs = measure([tmp_path / "maps.h5"], run, made.method, CHEXLOCALIZE)
    theirs = theirs.pivot(index=["image_id", "class"], columns="metric", values="value")
    return ours, theirs


def test_a_reader_who_draws_the_experts_masks_is_perfect(data, tmp_path):
    table, masks = data
    counts = np.full((len(table), len(LOCALISED)), "", object)
    size = np.ones((*counts.shape, 2), int)
    for row in masks.to_dict("records"):
        at = list(table["image_id"]).index(row["image_id"]), LOCALISED.index(row["class"])
        counts[at], size[at] = row["counts"], (row["height"], row["width"])
    reader = shard("reader", table, RunLengths(counts, size), covers="radiograph")
    ours, theirs = both(reader, table, masks, tmp_path)
    drawn = pd.MultiIndex.from_frame(masks[["image_id", "class"]])
    assert len(drawn) > 2
    for metric in ("iou", "dice", "precision", "recall", "hit_rate", "relevance_mass", "auroc"):
        assert ours.loc[drawn, metric].to_numpy() == pytest.approx(1)
    assert (theirs.loc[drawn, "iou"] == 1).all()
    # What was not drawn is no case of theirs, and no false alarm of ours.
    assert theirs["iou"].drop(drawn).isna().all()
    assert (ours["false_alarm_area"].dropna() == 0).all()


def test_smooth_maps_under_both_protocols(data, tmp_path):
    table, masks = data
    generator = np.random.default_rng(3)
    coarse = generator.random((len(table), len(LOCALISED), 5, 5)).astype(np.float32) ** 3
    ours, theirs = both(shard("maps", table, coarse), table, masks, tmp_path)
    frames = frames_of(table)
    for row in masks.to_dict("records"):
        key = row["image_id"], row["class"]
        at = list(table["image_id"]).index(key[0]), LOCALISED.index(key[1])
        expert = decode(row)
        original = to_original(coarse[at], frames[key[0]].at(*expert.shape))
        level = ((original - original.min()) / np.ptp(original) * 255).astype(np.uint8)
        _, cut = cv2.threshold(level, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        pair = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in (cut, expert)]
        expected = coco.iou([pair[0]], [pair[1]], [0])[0, 0]
        # Ours has four times the levels; theirs fills holes, and is exact where there are none.
        assert ours.loc[key, "iou"] == pytest.approx(expected, abs=0.01)
        outlines, holes = cv2.findContours(cut, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        if (holes[0, :, 3] < 0).all() and all(len(outline) > 1 for outline in outlines):
            assert theirs.loc[key, "iou"] == pytest.approx(expected, abs=1e-9)
        else:
            assert theirs.loc[key, "iou"] == pytest.approx(expected, abs=0.1)
        hit = expert.flat[original.argmax()]
        assert ours.loc[key, "hit_rate"] == hit == theirs.loc[key, "hit_rate"]


def test_a_signed_map_is_the_whole_image_for_them_and_a_spot_for_us(data, tmp_path):
    table, masks = data
    row = masks.iloc[0]
    signed = np.zeros((len(table), len(LOCALISED), 16, 16), np.float32)
    signed[..., 3, 3], signed[..., 12, 12] = 1, -3
    ours, theirs = both(shard("lrp", table, signed), table, masks, tmp_path)
    key = row["image_id"], row["class"]
    share = decode(row).mean()
    assert theirs.loc[key, "iou"] == pytest.approx(share, abs=0.05)
    segmented = ours["false_alarm_area"].dropna()
    assert len(segmented) and (segmented < 0.02).all()


def test_a_map_of_nothing_drops_out_for_them_and_scores_nothing_for_us(data, tmp_path):
    table, masks = data
    # Of another constant, interpolation leaves rounding errors, which theirs scales to a map.
    flat = np.zeros((len(table), len(LOCALISED), 7, 7), np.float32)
    ours, theirs = both(shard("flat", table, flat), table, masks, tmp_path)
    drawn = pd.MultiIndex.from_frame(masks[["image_id", "class"]])
    assert theirs.loc[drawn, "iou"].isna().all()
    assert (ours.loc[drawn, "iou"] == 0).all()
    shares = [decode(row).mean() for row in masks.to_dict("records")]
    assert ours.loc[drawn, "hit_rate"].to_numpy() == pytest.approx(shares)


def test_encoding_a_mask_changes_nothing(data):
    for row in data[1].to_dict("records"):
        assert encode(decode(row)) == row["counts"]
