"""Masks: run lengths, polygons and boxes, and the errors of malformed ones."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from shamsul.data.masks import area, by_image, decode, encode, from_boxes
from shamsul.data.masks import from_polygons as draw
from shamsul.errors import InputError

DATA = Path(os.environ.get("SHAMSUL_DATA") or Path(__file__).parents[3] / "shared" / "data")
SAMPLE = DATA / "chexlocalize-sample"

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
masks = shapes.flatmap(lambda shape: hnp.arrays(bool, shape))


def row_of(mask, **changes):
    height, width = mask.shape
    row = {
        "image_id": "a",
        "class": "Edema",
        "annotator": "x",
        "kind": "segmentation",
        "instances": 1,
    }
    return {**row, "height": height, "width": width, "counts": encode(mask)} | changes


@given(masks, st.integers(1, 30))
@settings(max_examples=150, deadline=None)
def test_round_trip_and_agreement_with_pycocotools(mask, stretch):
    mask = mask.repeat(stretch, axis=0)
    row = row_of(mask)
    theirs = {"size": list(mask.shape), "counts": row["counts"].encode()}
    assert np.array_equal(coco.decode(theirs).astype(bool), mask)
    assert np.array_equal(decode(row), mask)
    assert area(row) == mask.sum()


@pytest.mark.parametrize(
    "counts",
    # Empty, an unfinished number, no number at all, not ASCII, then runs of 0, 4 and 5 of 16
    # pixels (pycocotools returns uninitialised memory for these), too many, and negative ones.
    ["", "P", "5P", "zzz", "é", "0", "04", "55", "99999", "?10O10", "\x00"],
)
def test_malformed_run_lengths_name_image_and_class(counts):
    with pytest.raises(InputError, match=r"image 'a', class 'Edema'"):
        decode(row_of(np.ones((4, 4), bool), counts=counts))


def test_run_lengths_of_another_size_are_refused():
    with pytest.raises(InputError, match="4 x 5"):
        area(row_of(np.eye(4), width=5))


def test_polygon_includes_its_outline():
    # The outline runs through the centres of pixels 1 and 3, so both rows and columns are in.
    expected = np.zeros((6, 5), bool)
    expected[1:4, 1:4] = True
    assert np.array_equal(draw([[(1, 1), (3, 1), (3, 3), (1, 3)]], 6, 5), expected)


def test_polygons_are_united_and_cut_at_the_border():
    mask = draw([[(0, 0), (1, 0)], [(3, 2), (9, 2), (9, 9), (3, 9)]], 4, 5)
    expected = np.zeros((4, 5), bool)
    expected[0, :2] = True
    expected[2:, 3:] = True
    assert np.array_equal(mask, expected)


@pytest.mark.parametrize("polygon", [[], [(1, 1)], [(1, 2, 3), (4, 5, 6)], [(0, 0), (1, np.nan)]])
def test_malformed_polygon_is_an_error(polygon):
    with pytest.raises(ValueError, match="vert"):
        draw([polygon], 4, 4)


def test_box_takes_the_pixels_whose_centres_it_holds():
    # [0.6, 2.4) holds the centre 1.5 only, [0.5, 2.5) holds 0.5 and 1.5.
    mask = from_boxes([(0.6, 0.5, 1.8, 2.0)], 4, 3)
    expected = np.zeros((4, 3), bool)
    expected[0:2, 1] = True
    assert np.array_equal(mask, expected)


def test_whole_pixel_boxes_have_their_own_area_and_are_cut_at_the_border():
    assert from_boxes([(1, 2, 3, 4)], 10, 10).sum() == 12
    assert from_boxes([(-5, -5, 7, 6), (8, 8, 9, 9)], 10, 10).sum() == 2 * 1 + 2 * 2
    assert not from_boxes(np.empty((0, 4)), 3, 3).any()


@pytest.mark.parametrize("box", [(0, 0, 0, 1), (0, 0, 1, -1), (np.nan, 0, 1, 1)])
def test_malformed_box_is_an_error(box):
    with pytest.raises(ValueError, match="box"):
        from_boxes([box], 4, 4)


def test_annotators_are_united_and_kinds_kept_apart():
    left, right, box = np.zeros((3, 4, 4), bool)
    left[:, 0], right[:, 1], box[:2, :2] = True, True, True
    rows = [
        row_of(left),
        row_of(right, annotator="y"),
        row_of(box, kind="box"),
        row_of(left, **{"class": "Cardiomegaly"}),
    ]
    found = by_image(rows)
    assert list(found) == [
        ("a", "Cardiomegaly", "segmentation"),
        ("a", "Edema", "box"),
        ("a", "Edema", "segmentation"),
    ]
    assert np.array_equal(decode(found["a", "Edema", "segmentation"]), left | right)
    assert np.array_equal(decode(found["a", "Edema", "box"]), box)


def test_masks_of_one_image_must_agree_in_size():
    rows = [row_of(np.eye(4)), row_of(np.eye(5), annotator="y")]
    with pytest.raises(InputError, match="sizes 4 x 4 and 5 x 5"):
        by_image(rows)


@pytest.mark.skipif(not SAMPLE.exists(), reason=f"no CheXlocalize sample in {SAMPLE}")
def test_polygons_of_the_real_sample_give_its_run_lengths_to_the_byte():
    annotations = json.loads((SAMPLE / "gt_annotations_val.json").read_text())
    segmentations = json.loads((SAMPLE / "gt_segmentations_val.json").read_text())
    compared = 0
    for image_id, entry in annotations.items():
        height, width = entry["img_size"]
        for name in entry.keys() - {"img_size"}:
            published = segmentations[image_id][name]
            mask = draw(entry[name], height, width)
            assert published["size"] == [height, width]
            assert encode(mask) == published["counts"]
            compared += 1
    assert compared >= 4
