"""Geometry of findings: shapes worked by hand, and instances of outlines."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco

from shamsul.data.masks import MASK_COLUMNS, encode
from shamsul.evaluate.features import of_masks, shape
from shamsul.job.fingerprint import PROJECT
from shamsul.storage.tables import read_table, write_table


def row(mask, instances=0, annotator="x", kind="segmentation", name="Edema", image_id="a"):
    return (image_id, name, annotator, kind, *mask.shape, encode(mask), instances)


def table(*rows):
    return pd.DataFrame(rows, columns=MASK_COLUMNS)


def drawn(height=40, width=50, **rectangles):
    mask = np.zeros((height, width), bool)
    for top, left, down, right in rectangles.values():
        mask[top:down, left:right] = True
    return mask


def test_a_rectangle_by_hand():
    # 21 pixels across are 20 from centre to centre, 11 down are 10.
    found = of_masks(table(row(drawn(one=(5, 7, 16, 28))))).iloc[0]
    assert found["area_ratio"] == pytest.approx(11 * 21 / 2000)
    assert found["elongation"] == pytest.approx(2)
    assert found["irrectangularity"] == pytest.approx(0, abs=1e-6)
    assert found["instances"] == 1


def test_a_triangle_fills_half_its_rectangle():
    mask = np.tril(np.ones((61, 61), bool))
    elongation, irrectangularity = shape(mask)
    # Its smallest rectangles have the hypotenuse or both legs as sides: area 60 x 60 either way.
    assert elongation == pytest.approx(1) or elongation == pytest.approx(2)
    assert irrectangularity == pytest.approx(0.5, abs=1e-4)


def test_a_turned_rectangle_is_as_elongated_as_an_upright_one():
    mask = np.zeros((300, 300), np.uint8)
    corners = cv2.boxPoints(((150, 150), (200, 50), 30)).round().astype(np.int32)
    cv2.fillPoly(mask, [corners], 1)
    elongation, irrectangularity = shape(mask.astype(bool))
    assert elongation == pytest.approx(4, rel=0.03)  # to the pixel, of 50
    assert 0 <= irrectangularity < 0.05


@pytest.mark.parametrize(
    ("mask", "elongation"),
    [
        (drawn(one=(3, 4, 4, 5)), 1),  # one pixel
        (drawn(one=(3, 4, 4, 14)), 10),  # ten pixels across
        (drawn(one=(3, 4, 13, 5)), 10),
        (np.eye(20, dtype=bool), 19 * 2**0.5 + 1),
        (np.eye(20, dtype=bool)[::-1], 19 * 2**0.5 + 1),
    ],
)
def test_lines_have_finite_features(mask, elongation):
    assert shape(np.ascontiguousarray(mask)) == (pytest.approx(elongation, rel=1e-4), 0)


def test_the_longest_contour_counts_and_so_may_a_hole():
    small = drawn(one=(0, 0, 3, 3), two=(20, 10, 26, 41))
    assert shape(small)[0] == pytest.approx(30 / 5)
    ring = drawn(one=(5, 5, 35, 45))
    ring[10:30, 8:43] = False
    found = of_masks(table(row(ring))).iloc[0]
    # The outer contour has 136 points, the hole's 116.
    assert found["elongation"] == pytest.approx(39 / 29)
    assert found["instances"] == 1


def test_a_hole_with_more_points_than_the_outline_is_measured_instead():
    mask = drawn(one=(0, 0, 40, 50))
    for column in range(5, 46, 4):  # a comb
        mask[3:15, column] = False
    mask[15, 5:46] = False
    # The pixels around the hole: rows 2 to 16, columns 4 to 46.
    assert shape(mask)[0] == pytest.approx(42 / 14)


def test_instances_are_what_was_drawn_and_else_outlines():
    two = drawn(one=(0, 0, 5, 5), two=(10, 10, 15, 15))
    assert of_masks(table(row(two)))["instances"].tolist() == [2]
    assert of_masks(table(row(two, 3)))["instances"].tolist() == [3]


def test_the_first_annotator_counts_and_boxes_are_left_out():
    left, right = drawn(one=(0, 0, 10, 10)), drawn(one=(0, 5, 10, 25))
    masks = table(
        row(right, 1, "y", image_id="b"),
        row(left, 1),
        row(right, 2, "y"),
        row(left, 1, name="Fracture", kind="box"),
        row(np.zeros((40, 50), bool), name="Pneumonia"),
    )
    found = of_masks(masks)
    assert found["image_id"].tolist() == ["a", "b"] and set(found["class"]) == {"Edema"}
    assert found["area_ratio"].tolist() == pytest.approx([100 / 2000, 200 / 2000])
    assert found["instances"].tolist() == [1, 1]
    pd.testing.assert_frame_equal(found, of_masks(masks[::-1]))


def test_no_masks_give_no_rows():
    assert list(of_masks(table())) == list(of_masks(table(row(drawn(one=(0, 0, 2, 2))))))


@pytest.mark.parametrize("kinds", [("box", "box"), ()])
def test_the_program_where_no_finding_has_an_outline(tmp_path, kinds):
    """Boxes alone, as of NIH, or no masks at all; the strata that need no shape are there."""
    names = [f"i{number}" for number in range(6)]
    box = drawn(one=(5, 7, 16, 28))
    masks = table(*(row(box, kind=kind, image_id=i) for i in names for kind in kinds[:1]))
    values = [
        (
            *(i, f"p{i}", "test", "Edema", "cam", "", rule, f"box_{metric}"),
            n / 10,
            0.3 + n / 20,
            1 + n % 2,
        )
        for n, i in enumerate(names)
        for rule, metric in (("otsu", "iou"), ("none", "hit_rate"))
    ]
    columns = (
        "image_id patient_id split class method repeats threshold_rule metric value probability"
        " n_labels"
    )
    per_image = pd.DataFrame(values, columns=columns.split())
    if not kinds:
        per_image = per_image.head(0)
    facts = {"view": "frontal", "projection": "AP", "sex": "F", "age": 50.0, "Edema": 1.0}
    manifest = pd.DataFrame({"image_id": names}).assign(**facts)
    for name, content in (("per_image", per_image), ("manifest", manifest), ("masks", masks)):
        write_table(content, tmp_path / f"{name}.parquet")
    settings = {
        "confidence": 0.9, "min_patients": 3,
        "true_positive": 0.5, "thresholds": ["otsu"],
    }  # fmt: skip
    done = subprocess.run(
        [
            *(sys.executable, str(PROJECT / "scripts" / "stratify.py")),
            *("--settings", json.dumps({"seed": 1, "evaluate": settings})),
            *("--roles", json.dumps({"radiologist": "reader"})),
            *("--per-image", tmp_path / "per_image.parquet"),
            *("--manifests", tmp_path / "manifest.parquet", "--masks", tmp_path / "masks.parquet"),
            *("--strata", tmp_path / "s.parquet", "--regressions", tmp_path / "r.parquet"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    strata, regressions = (read_table(tmp_path / f"{name}.parquet") for name in "sr")
    if kinds:
        shapes = {"area", "instances", "elongation"}
        assert {"labels", "view", "probability"} <= set(strata["variable"])
        assert not shapes & set(strata["variable"])
        assert set(regressions["predictor"]) == {"probability"}
    else:
        assert strata.empty and regressions.empty


def test_the_real_sample_as_checked_with_numpy(real_data):
    file = real_data / "chexlocalize-sample" / "gt_segmentations_val.json"
    rows = [
        (image_id, name, "x", "segmentation", *mask["size"], mask["counts"], 0)
        for image_id, entry in json.loads(file.read_text()).items()
        for name, mask in entry.items()
    ]
    found = of_masks(table(*rows))
    assert len(found) >= 4
    for at in found.itertuples():
        pixels = next(r for r in rows if r[0] == at.image_id and r[1] == at[2])
        decoded = coco.decode({"size": list(pixels[4:6]), "counts": pixels[6]})
        assert at.area_ratio == pytest.approx(decoded.mean())
        assert at.elongation >= 1 and 0 <= at.irrectangularity < 1
        # The rectangle of least area is no larger than the best of 180 turned by half a degree.
        contours, _ = cv2.findContours(decoded, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        points = max(contours, key=len)[:, 0].astype(float)
        angles = np.deg2rad(np.arange(0, 90, 0.5))
        across = points @ np.array([np.cos(angles), np.sin(angles)])
        down = points @ np.array([-np.sin(angles), np.cos(angles)])
        areas = np.ptp(across, axis=0) * np.ptp(down, axis=0)
        x, y = points.T
        enclosed = abs((x * np.roll(y, 1) - y * np.roll(x, 1)).sum()) / 2
        assert 1 - at.irrectangularity == pytest.approx(enclosed / areas.min(), rel=0.01)
