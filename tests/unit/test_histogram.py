"""Sweeps of maps over masks, against whole maps at full resolution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shamsul.data.masks import encode, run_lengths
from shamsul.evaluate.histogram import LEVELS, contains, lay_segmentation, sweep
from shamsul.evaluate.sign import evidence
from shamsul.geometry import Frame, to_original

FRAME = Frame.fit(4, 4, 4, "stretch")
MASK = np.zeros((4, 4), bool)
MASK[:2, :2] = True


def runs(mask):
    row = {"counts": encode(mask), "height": mask.shape[0], "width": mask.shape[1]}
    return run_lengths({"image_id": "a", "class": "b", **row})


def test_evidence_by_hand():
    signed = np.array([[-2.0, 0.0, 3.0]])
    assert evidence(signed).tolist() == [[0, 0, 3]]
    assert evidence(signed, "absolute").tolist() == [[2, 0, 3]]
    assert evidence(signed, "minmax").tolist() == [[0, 2, 5]]


def test_levels_are_floor_of_1023_times_min_max():
    # 1/3 and 2/3 of the range: 341 and 682; 0.999 * 1023 = 1021.98.
    frame = Frame.fit(2, 2, 2, "stretch")
    found = sweep(np.array([[3, 4], [5, 6]], np.float32), frame)
    assert np.flatnonzero(found.outside).tolist() == [0, 341, 682, 1023]
    found = sweep(np.array([[0, 0.999], [1, 1]], np.float32), frame)
    assert np.flatnonzero(found.outside).tolist() == [0, 1021, 1023]


def by_brute_force(heatmap, frame, mask):
    """The same from the whole map at full resolution, columns first as the sweep has it."""
    turned = Frame(
        frame.width,
        frame.height,
        frame.size[::-1],
        frame.scale_x,
        frame.scale_y,
        frame.offset_x,
        frame.offset_y,
    )
    original = to_original(heatmap.T, turned, outside=float(heatmap.min())).T
    low, high = original.min(), original.max()
    if high == low:  # one column of pixels, or one row
        return *_counts(np.zeros(original.shape, int), mask), mask.mean(), 0.0
    level = ((original - low) / (high - low) * (LEVELS - 1)).astype(int)
    top = original >= high - np.float32(1e-6) * high
    mass = original[mask].sum(dtype=float) / original.sum(dtype=float)
    return *_counts(level, mask), (top & mask).sum() / top.sum(), mass


def _counts(level, mask):
    return [np.bincount(level[part], minlength=LEVELS) for part in (mask, ~mask)]


@pytest.mark.parametrize("geometry", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("cells", [1, 2, 7, 33, 200])
def test_the_sweep_is_what_the_whole_map_at_full_resolution_gives(geometry, cells):
    generator = np.random.default_rng(cells)
    for height, width in ((61, 97), (128, 45), (1, 50), (40, 1)):
        frame = Frame.fit(height, width, (32, 48) if cells == 7 else 32, geometry)
        heatmap = generator.random((cells, cells + 1), np.float32)
        for share in (0.0, 0.02, 0.5, 1.0):
            mask = generator.random((height, width)) < share
            found = sweep(heatmap, frame, runs(mask))
            inside, outside, hit, mass = by_brute_force(heatmap, frame, mask)
            assert np.array_equal(found.inside, inside)
            assert np.array_equal(found.outside, outside)
            assert found.hit == pytest.approx(hit)
            assert found.mass == pytest.approx(mass, rel=1e-5)


@given(
    # Subnormal numbers lose digits wherever they are interpolated, and shares with them.
    hnp.arrays(np.float32, (3, 5), elements=st.floats(0, 100, width=32, allow_subnormal=False)),
    hnp.arrays(bool, (23, 17)),
    st.sampled_from(["stretch", "pad", "crop"]),
)
@settings(max_examples=100, deadline=None)
def test_every_pixel_is_counted_once_and_shares_are_shares(heatmap, mask, geometry):
    found = sweep(heatmap, Frame.fit(23, 17, 16, geometry), runs(mask))
    assert found.inside.sum() == mask.sum()
    assert found.inside.sum() + found.outside.sum() == mask.size
    assert 0 <= found.hit <= 1 and 0 <= found.mass <= 1
    other = sweep(heatmap, Frame.fit(23, 17, 16, geometry), runs(~mask))
    assert np.array_equal(found.inside, other.outside)
    assert found.hit + other.hit == pytest.approx(1)
    if found.mass or other.mass:
        assert found.mass + other.mass == pytest.approx(1, abs=1e-5)


def test_without_a_mask_everything_is_outside():
    found = sweep(np.eye(4, dtype=np.float32), FRAME)
    assert found.inside.sum() == 0 and found.outside.sum() == 16
    assert found.hit == 0 and found.mass == 0


def test_hit_is_the_share_of_tied_maxima_inside():
    values = np.zeros((4, 4), np.float32)
    values[0, 0] = 2
    assert sweep(values, FRAME, runs(MASK)).hit == 1
    assert sweep(values, FRAME, runs(~MASK)).hit == 0
    values[3] = 2  # Five maxima, one of them inside.
    assert sweep(values, FRAME, runs(MASK)).hit == pytest.approx(1 / 5)


def test_mass_by_hand():
    values = np.zeros((4, 4), np.float32)
    values[0, 0], values[3, 3] = 1, 3
    assert sweep(values, FRAME, runs(MASK)).mass == pytest.approx(1 / 4)


@pytest.mark.parametrize("heatmap", [np.zeros((4, 4)), np.full((4, 4), 0.1), -np.eye(4) - 1])
def test_a_map_that_points_nowhere_has_one_level_and_hits_by_chance(heatmap):
    found = sweep(evidence(heatmap), FRAME, runs(MASK))
    assert found.inside[0] == 4 and found.outside[0] == 12
    assert found.hit == pytest.approx(4 / 16)
    assert found.mass == 0


@pytest.mark.parametrize("geometry", ["stretch", "pad", "crop"])
def test_rounding_of_the_interpolation_makes_no_map_of_a_constant_one(geometry):
    frame = Frame.fit(301, 173, 224, geometry)
    found = sweep(np.full((7, 7), 0.1, np.float32), frame)
    assert found.outside[0] == 301 * 173


def test_superpixels_tie_although_interpolation_rounds():
    # The left half is one superpixel of relevance 0.1: all its pixels are equal maxima.
    heatmap = np.zeros((8, 8), np.float32)
    heatmap[:, :4] = 0.1
    frame = Frame.fit(173, 301, 8, "stretch")
    original = to_original(heatmap, frame)
    top = original >= 0.1 * (1 - 1e-5)
    mask = np.zeros((173, 301), bool)
    mask[:50] = True
    hit = sweep(heatmap, frame, runs(mask)).hit
    assert hit == pytest.approx((top & mask).sum() / top.sum())
    assert 0.25 < hit < 0.35


def test_what_a_crop_hides_is_never_foreground():
    # Twice as wide as high: the middle half is seen. The map's lowest value is 1, not 0.
    frame = Frame.fit(8, 16, 8, "crop")
    heatmap = np.full((8, 8), 1.0)
    heatmap[0, 0] = 5
    hidden = np.ones((8, 16), bool)
    hidden[:, 4:12] = False
    found = sweep(heatmap, frame, runs(hidden))
    assert found.inside[0] == 64 and found.inside[1:].sum() == 0
    assert found.outside[1023] == 1 and found.outside[1:].sum() == 1


@given(hnp.arrays(bool, (9, 7)))
@settings(max_examples=50, deadline=None)
def test_contains_reads_the_mask(mask):
    lengths = runs(mask)
    for y in range(9):
        for x in range(7):
            assert contains(lengths, 9, y, x) == mask[y, x]


def laid(segmentation, mask, frame=None):
    """The pair of histograms at levels 0 and 1023, hit and mass; nothing lies between."""
    frame = Frame.fit(*mask.shape, 32, "stretch") if frame is None else frame
    found = lay_segmentation(segmentation, frame, runs(mask))
    assert not found.inside[1:-1].any() and not found.outside[1:-1].any()
    four = (found.inside[-1], found.outside[-1], found.inside[0], found.outside[0])
    return tuple(map(int, four)), found.hit, found.mass


@given(hnp.arrays(bool, (23, 17)), hnp.arrays(bool, (23, 17)), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_segmentation_of_the_masks_size_is_counted_pixel_by_pixel(drawn, mask, turned):
    # As decoded by columns or by rows.
    found, hit, mass = laid(np.asfortranarray(drawn) if turned else drawn, mask)
    tp, fp = (drawn & mask).sum(), (drawn & ~mask).sum()
    assert found == (tp, fp, (~drawn & mask).sum(), (~drawn & ~mask).sum())
    if drawn.any():
        assert hit == mass == pytest.approx(tp / (tp + fp))
    else:
        assert hit == pytest.approx(mask.mean()) and mass == 0


def test_a_segmentation_of_the_whole_radiograph_is_no_constant_map():
    mask = np.zeros((20, 30), bool)
    mask[:5, :6] = True
    found, hit, mass = laid(np.ones((20, 30), bool), mask)
    assert found == (30, 570, 0, 0) and hit == mass == pytest.approx(0.05)


@pytest.mark.parametrize(("height", "width"), [(46, 34), (92, 51), (7, 11), (1, 1), (300, 200)])
def test_a_segmentation_of_another_size_takes_the_nearest_pixel(height, width):
    generator = np.random.default_rng(height)
    drawn, mask = generator.random((height, width)) < 0.4, generator.random((23, 17)) < 0.3
    down = [int((y + 0.5) * height / 23) for y in range(23)]
    across = [int((x + 0.5) * width / 17) for x in range(17)]
    nearest = np.array([[drawn[y, x] for x in across] for y in down])
    assert laid(drawn, mask) == laid(nearest, mask)
    if height == 46:  # and of twice the size, drawn with each pixel four times, exactly itself
        assert laid(nearest.repeat(2, 0).repeat(2, 1), mask) == laid(nearest, mask)


def test_what_a_crop_hides_is_not_segmented():
    # The model saw the middle half of a radiograph that is twice as wide as high.
    frame = Frame.fit(8, 16, 8, "crop")
    hidden = np.ones((8, 16), bool)
    hidden[:, 4:12] = False
    assert laid(np.ones((8, 8), bool), hidden, frame)[0] == (0, 64, 64, 0)


def test_a_segmentation_without_a_mask_is_all_outside():
    found = lay_segmentation(np.eye(4, dtype=bool), FRAME)
    assert found.inside.sum() == 0 and found.outside[1023] == 4 and found.hit == 0
