"""Masks that are there under two names: by hand."""

import numpy as np
import pandas as pd
import pytest

from shamsul.data.masks import MASK_COLUMNS, encode
from shamsul.errors import InputError
from shamsul.evaluate.repeats import REPEATS, mark, repeats


def strip(width):
    """A mask of 20 x 100 pixels whose first columns are marked."""
    found = np.zeros((20, 100), bool)
    found[:, :width] = True
    return found


def row(image_id, name, mask, kind="segmentation", annotator="x"):
    return (image_id, name, annotator, kind, *mask.shape, encode(mask), 1)


def found(*rows):
    table = repeats(pd.DataFrame(rows, columns=MASK_COLUMNS))
    assert list(table) == REPEATS
    return {tuple(names[:3]): names[3] for names in table.to_numpy().tolist()}


def test_what_is_drawn_once_counts_under_the_most_specific_name():
    rows = [row("a", name, strip(40)) for name in ("Lung Opacity", "Consolidation", "Pneumonia")]
    expected = {
        ("a", "Consolidation", "segmentation"): "Pneumonia",
        ("a", "Lung Opacity", "segmentation"): "Pneumonia",
    }
    assert found(*rows) == expected == found(*reversed(rows))


def test_among_equals_the_first_by_name_stays():
    assert found(row("a", "Edema", strip(40)), row("a", "Atelectasis", strip(40))) == {
        ("a", "Edema", "segmentation"): "Atelectasis"
    }


@pytest.mark.parametrize(("width", "same"), [(95, True), (94, False)])
def test_masks_are_the_same_from_an_iou_of_95_in_100_on(width, same):
    rows = row("a", "Lung Opacity", strip(100)), row("a", "Edema", strip(width))
    assert bool(found(*rows)) == same


def test_a_mask_is_compared_with_those_that_stay_only():
    # 100 is like 96 and 96 like 92, but 100 is not like 92: Pneumonia and Lung Opacity stay.
    rows = [
        row("a", "Pneumonia", strip(92)),
        row("a", "Consolidation", strip(96)),
        row("a", "Lung Opacity", strip(100)),
    ]
    assert found(*rows) == {("a", "Consolidation", "segmentation"): "Pneumonia"}


def test_boxes_outlines_and_images_are_apart():
    rows = [
        row("a", "Lung Opacity", strip(40)),
        row("a", "Edema", strip(40), kind="box"),
        row("b", "Edema", strip(40)),
    ]
    assert found(*rows) == {}
    rows.append(row("a", "Lung Opacity", strip(40), kind="box"))
    assert found(*rows) == {("a", "Lung Opacity", "box"): "Edema"}


def test_the_first_of_several_readers_is_compared():
    right = strip(100) & ~strip(50)
    rows = [
        row("a", "Lung Opacity", strip(100)),
        row("a", "Edema", strip(50), annotator="x"),
        row("a", "Edema", right, annotator="y"),
    ]
    assert found(*rows) == {}
    rows[1] = row("a", "Edema", strip(100), annotator="w")
    assert found(*rows) == {("a", "Lung Opacity", "segmentation"): "Edema"}


def test_no_masks_repeat_nothing_and_sizes_that_differ_are_an_error():
    assert found() == {}
    rows = row("a", "Edema", strip(9)), row("a", "Edema", strip(9)[:5])
    with pytest.raises(InputError, match="a"):
        found(*rows)


def test_masks_of_two_classes_of_different_sizes_are_an_error():
    rows = row("a", "Edema", strip(9)), row("a", "Lung Opacity", strip(9)[:5])
    with pytest.raises(InputError, match="sizes"):
        found(*rows)


def test_a_table_says_what_each_row_repeats():
    repeated = repeats(
        pd.DataFrame(
            [row("a", "Lung Opacity", strip(9)), row("a", "Edema", strip(9))], columns=MASK_COLUMNS
        )
    )
    table = pd.DataFrame(
        {
            "image_id": ["a", "a", "a", "b"],
            "class": ["Lung Opacity", "Edema", "Lung Opacity", "Lung Opacity"],
            "kind": ["segmentation", "segmentation", "none", "segmentation"],
        }
    )
    assert mark(table, repeated)["repeats"].tolist() == ["Edema", "", "", ""]
    assert mark(table, repeated.head(0))["repeats"].tolist() == [""] * 4
