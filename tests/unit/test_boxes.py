"""Run lengths that are made without pixels are those that the pixels have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from shamsul.data.boxes import (
    BOX_COLUMNS,
    box_counts,
    draw,
    relative_counts,
    united,
    used,
)
from shamsul.data.masks import MASK_COLUMNS, decode, encode, from_boxes
from shamsul.data.readers import of_readers
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.phantom.layouts.challenges import relative_run_lengths

SIDES = st.integers(1, 30)
NUMBERS = st.floats(-10, 40)
BOXES = st.lists(
    st.tuples(NUMBERS, NUMBERS, st.floats(0.1, 40), st.floats(0.1, 40)), min_size=1, max_size=4
)
MASKS = st.tuples(SIDES, SIDES).flatmap(lambda shape: arrays(bool, shape))


@given(BOXES, SIDES, SIDES)
def test_boxes_are_those_that_are_drawn_pixel_by_pixel(boxes, height, width):
    drawn = from_boxes(boxes, height, width)
    counts = box_counts(boxes, height, width)
    assert counts == (encode(drawn) if drawn.any() else None)


@given(MASKS)
def test_relative_run_lengths_round_trip(mask):
    height, width = mask.shape
    text = relative_run_lengths(mask)
    if mask.any():
        assert relative_counts(text, height, width) == encode(mask)
        run = {"counts": relative_counts(text, height, width).encode(), "size": [height, width]}
        np.testing.assert_array_equal(coco.decode(run), mask)


@given(st.tuples(SIDES, SIDES).flatmap(lambda shape: arrays(bool, (3, *shape))))
def test_the_union_is_that_of_the_pixels(masks):
    height, width = masks[0].shape
    assert united([encode(mask) for mask in masks], height, width) == encode(masks.any(axis=0))


@pytest.mark.parametrize(
    "text", ["1", "1 2 3", "-1 2", "5 96 1 1", "a b", "", "1.5 2", "99999999999999999999 1"]
)
def test_run_lengths_that_do_not_fit_are_refused(text):
    with pytest.raises(ValueError):
        relative_counts(text, 10, 10)


def test_one_worked_case_of_relative_run_lengths():
    # 3 x 4, down the columns: two are left out, three are in, one is out, two are in.
    row = {"counts": relative_counts("2 3 1 2", 3, 4), "height": 3, "width": 4}
    expected = np.array([0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0], bool).reshape(4, 3).T
    np.testing.assert_array_equal(decode(row), expected)


@pytest.mark.parametrize(
    ("readers", "expected"),
    [("union", "1111110"), ("majority", "0011100")],
)
def test_readers_are_united_or_counted(readers, expected):
    masks = pd.DataFrame(
        [
            ["one", "Edema", reader, "box", 1, 7, encode(np.array([list(map(int, bits))])), count]
            for reader, bits, count in (
                ("R1", "1111000", 1),
                ("R2", "0011100", 3),
                ("R3", "0000110", 1),
            )
        ],
        columns=MASK_COLUMNS,
    )
    row = of_readers(masks, readers).iloc[0]
    assert "".join(decode(row)[0].astype(int).astype(str)) == expected
    assert row["annotator"] == "R1+R2+R3" and row["instances"] == 3
    assert of_readers(masks, "apart") is masks


def test_readers_who_agree_on_no_pixel_have_no_majority():
    rows = [
        ["one", "Edema", reader, "box", 1, 4, encode(np.array([bits])), 1]
        for reader, bits in (("R1", [1, 1, 0, 0]), ("R2", [0, 0, 1, 1]))
    ]
    assert of_readers(pd.DataFrame(rows, columns=MASK_COLUMNS), "majority").empty


def table(*boxes, frame=(np.nan, np.nan)):
    rows = [["one", "Edema", "me", *box, *frame, 2 + number] for number, box in enumerate(boxes)]
    return pd.DataFrame(rows, columns=BOX_COLUMNS)


IMAGES = pd.DataFrame({"image_id": ["one", "two"], "height": [20, 5], "width": [40, 5]})


def test_boxes_are_scaled_from_their_frame():
    found = draw(table((10, 10, 20, 30), frame=(200, 80)), IMAGES, "boxes.csv", Rejections("x"))
    expected = np.zeros((20, 40), bool)
    expected[1:4, 5:15] = True
    np.testing.assert_array_equal(decode(found.iloc[0]), expected)
    assert found.iloc[0][["annotator", "kind", "instances"]].tolist() == ["me", "box", 1]


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((1, 1, 0, 3), "positive width"),
        ((1, 1, -2, 3), "positive width"),
        ((np.nan, 1, 2, 3), "finite place"),
        ((np.inf, 1, 2, 3), "finite place"),
        ((38, 1, 9, 3), "does not lie in its image"),
        ((-7, 1, 9, 3), "does not lie in its image"),
        ((1.6, 1.6, 0.3, 0.3), "cover no pixel"),
    ],
)
def test_a_bad_box_is_rejected_by_its_line_and_the_others_are_kept(box, said):
    good = [(n, 1, 3, 3) for n in range(20)]
    rows = table(*good, box)
    rows.loc[20, "class"] = "Edema" if "cover" not in said else "Pneumonia"
    rejected = Rejections("x", quarantine=True)
    found = draw(rows, IMAGES, "boxes.csv", rejected)
    assert len(rejected.found) == 1
    assert str(rejected.found[0]).startswith("boxes.csv: row 22: ") and said in str(
        rejected.found[0]
    )
    assert rejected.found[0].image_id == "one"
    assert found["instances"].tolist() == [20]
    with pytest.raises(InputError, match=said):
        draw(rows, IMAGES, "boxes.csv", Rejections("x", quarantine=False))


def test_boxes_of_another_frame_are_told_as_such():
    rows = table(*[(60, 60, 30, 30)] * 10)
    with pytest.raises(
        InputError, match=r"10 of 10 boxes do not lie in their images, such as of one"
    ):
        draw(rows, IMAGES, "boxes.csv", Rejections("x", quarantine=True))


def test_masks_of_no_image_are_counted_and_masks_of_none_refused(caplog):
    rows = table((1, 1, 2, 2), (1, 1, 3, 3))
    rows.loc[0, "image_id"] = "three"
    with caplog.at_level("INFO"):
        assert len(used(rows, IMAGES, "boxes.csv", "ours")) == 1
    assert "1 masks of 1 images that are not used, such as three" in caplog.text
    rows["image_id"] = "three"
    with pytest.raises(InputError, match=r"boxes.csv: none of its 1 images, such as 'three'"):
        used(rows, IMAGES, "boxes.csv", "ours")
