"""The ceiling of a map's resolution, by hand and against pixel by pixel averages."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shamsul.data.masks import MASK_COLUMNS, encode, run_lengths
from shamsul.evaluate.ceiling import mask_at
from shamsul.evaluate.parameters import Measurement
from shamsul.evaluate.per_image import gather, per_image
from shamsul.evaluate.repeats import repeats
from shamsul.evaluate.thresholds import tune
from shamsul.geometry import Frame
from shamsul.metrics import METRICS
from shamsul.storage.heatmaps import Heatmaps, RunLengths
from tests.frames import score

SETTINGS = Measurement(
    confidence=0.9,
    min_patients=2,
    thresholds=("otsu", "tuned", "fixed", "best"),
    fixed_threshold=0.5,
    min_masks=2,
)


def runs(mask):
    height, width = mask.shape
    return run_lengths({"counts": encode(mask), "height": height, "width": width})


def test_shares_of_cells_by_hand():
    mask = np.zeros((4, 4), bool)
    mask[:2, 1:] = True
    frame = Frame.fit(4, 4, 8, "stretch")
    assert mask_at(runs(mask), frame, (2, 2)).tolist() == [[0.5, 1], [0, 0]]
    assert np.array_equal(mask_at(runs(mask), frame, (4, 4)), mask)
    # Cells of a third of the radiograph: pixels are cut where cells end.
    thirds = np.array([[0.25, 1, 1], [0.125, 0.5, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(mask_at(runs(mask), frame, (3, 3)), thirds, atol=1e-6)
    # Padding above and below holds no mask.
    padded = Frame.fit(2, 4, 4, "pad")
    assert mask_at(runs(mask[:2]), padded, (2, 2)).tolist() == [[0.25, 0.5], [0.25, 0.5]]


def test_superpixels_have_one_share_each():
    mask = np.zeros((4, 4), bool)
    mask[0, :2] = True
    regions = np.repeat([[0, 0, 1, 3]], 4, axis=0)
    found = mask_at(runs(mask), Frame.fit(4, 4, 4, "stretch"), (4, 4), regions)
    assert np.array_equal(found, np.where(regions == 0, np.float32(0.25), 0))


@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20))),
    st.sampled_from(["stretch", "pad", "crop"]),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from([12, (18, 12), (12, 20)]),
)
@settings(max_examples=200, deadline=None)
def test_shares_are_the_average_of_fine_points(mask, geometry, cells, size):
    frame = Frame.fit(*mask.shape, size, geometry)
    found = mask_at(runs(mask), frame, cells)
    assert found.shape == cells and found.min() >= 0 and found.max() <= 1
    fine = 64
    rows = (np.arange(cells[0] * fine) + 0.5) / (cells[0] * fine) * frame.size[0]
    columns = (np.arange(cells[1] * fine) + 0.5) / (cells[1] * fine) * frame.size[1]
    y = np.floor((rows - frame.offset_y) / frame.scale_y).astype(int)
    x = np.floor((columns - frame.offset_x) / frame.scale_x).astype(int)
    seen_y, seen_x = (y >= 0) & (y < mask.shape[0]), (x >= 0) & (x < mask.shape[1])
    points = mask[np.clip(y, 0, len(mask) - 1)][:, np.clip(x, 0, mask.shape[1] - 1)]
    points = points & seen_y[:, None] & seen_x
    expected = points.reshape(cells[0], fine, cells[1], fine).mean(axis=(1, 3))
    np.testing.assert_allclose(found, expected, atol=0.07)
    total = points.mean() * cells[0] * cells[1]
    assert found.sum() == pytest.approx(total, abs=0.02 * cells[0] * cells[1])


NAMES = [f"i{number}" for number in range(6)]
SHAPE = 60, 50


def masks():
    generator = np.random.default_rng(4)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    rows = []
    for name in NAMES:
        top, left = generator.uniform(15, 35, 2)
        mask = ((y - top) / 9) ** 2 + ((x - left) / 6) ** 2 < 1
        rows.append((name, "Edema", "x", "segmentation", *SHAPE, encode(mask), 1))
    return pd.DataFrame(rows, columns=MASK_COLUMNS)


def values_of(heatmap, regions=None):
    shard = Heatmaps(
        heatmap, NAMES, np.ones((6, 1), bool), ["Edema"], "cam", {}, "", regions=regions
    )
    frames = {name: Frame.fit(*SHAPE, 48, "stretch") for name in NAMES}
    scores, _ = score(shard, frames, masks(), ["Edema"])
    manifest = pd.DataFrame({"image_id": NAMES, "patient_id": NAMES, "Edema": 1.0})
    manifest = manifest.assign(split=["tune"] * 3 + ["test"] * 3)
    predictions = pd.DataFrame({"image_id": NAMES, "class": "Edema", "probability": 0.5})
    gathered = gather(scores, manifest, repeats(masks()))
    return per_image(gathered, tune(gathered, SETTINGS), manifest, predictions, SETTINGS)


def wide(table):
    return table.pivot_table(index=["image_id", "threshold_rule"], columns="metric", values="value")


@pytest.mark.parametrize("side", [3, 6, 48])
def test_the_mask_at_the_maps_resolution_as_a_map_reaches_its_own_ceiling(side):
    frame = Frame.fit(*SHAPE, 48, "stretch")
    own = [mask_at(run_lengths(row), frame, (side, side)) for row in masks().to_dict("records")]
    found = wide(values_of(np.array(own)[:, None]))
    ruled = found.drop("none", level=1)
    assert set(ruled.index.get_level_values(1)) == {"otsu", "tuned", "fixed", "best"}
    np.testing.assert_array_equal(ruled["iou_ceiling"], ruled["iou"])
    free = found.xs("none", level=1)
    np.testing.assert_allclose(free["auprc_ceiling"], free["auprc"], atol=0.01)


def test_the_ceiling_rises_with_resolution_and_is_the_same_whatever_the_map_shows():
    means = []
    for side in (3, 6, 12, 48):
        generator = np.random.default_rng(side)
        made = [generator.random((6, 1, side, side), np.float32) for _ in range(2)]
        one, other = (wide(values_of(heatmap)) for heatmap in made)
        for name in ("iou_ceiling", "auprc_ceiling"):
            np.testing.assert_array_equal(one[name], other[name])
        best = one.xs("best", level=1)
        assert (best["iou_ceiling"] >= best["iou"]).all()
        means.append(best["iou_ceiling"].mean())
    assert means == sorted(means) and means[0] < 0.7 < 0.95 < means[-1]


def test_a_map_of_superpixels_has_their_ceiling_and_not_that_of_its_pixels():
    heatmap = np.random.default_rng(0).random((6, 1, 48, 48), np.float32)
    blocks = np.kron(np.arange(16).reshape(4, 4), np.ones((12, 12), int))
    regions = np.repeat(blocks[None], 6, axis=0).astype(np.uint16)
    fine, coarse = (wide(values_of(heatmap, r)).xs("best", level=1) for r in (None, regions))
    assert (coarse["iou_ceiling"] < fine["iou_ceiling"] - 0.2).all()
    np.testing.assert_array_equal(coarse["iou"], fine["iou"])


def test_segmentations_made_elsewhere_have_no_grid_and_no_ceiling():
    counts = np.array([[row] for row in masks()["counts"]], object)
    drawn = RunLengths(counts, np.tile(SHAPE, (6, 1, 1)))
    found = values_of(drawn)
    assert not found["metric"].str.endswith("ceiling").any()
    assert (found.loc[found["metric"] == "iou", "value"] == 1).all()


def test_the_marked_area_stands_beside_the_false_alarms():
    found = wide(values_of(np.random.default_rng(1).random((6, 1, 6, 6), np.float32)))
    areas = [row.sum() / np.prod(SHAPE) for row in map(decoded, masks().to_dict("records"))]
    rows = found.xs("fixed", level=1)
    # Precision x marked area is the area of what mask and segmentation share: so is recall x mask.
    np.testing.assert_allclose(
        rows["precision"] * rows["marked_area"], rows["recall"] * np.array(areas), atol=1e-12
    )
    for name in ("marked_area", "iou_ceiling", "auprc_ceiling"):
        assert METRICS[name].better == "neither" and METRICS[name].group == "description"


def decoded(row):
    found = run_lengths(row)
    inside = np.repeat(np.arange(len(found)) % 2 == 1, found)
    return inside.reshape(row["width"], row["height"]).T
