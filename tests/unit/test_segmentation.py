import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco
from skimage.filters import threshold_otsu

from shamsul.data.geometry import Frame
from shamsul.evaluate.segmentation import (
    above,
    dice,
    histograms,
    hit,
    iou,
    level_of,
    otsu,
    positive_part,
    quantise,
    relevance,
)

levels = hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)))
FRAME = Frame.fit(4, 4, 4, "stretch")
MASK = np.zeros((4, 4), bool)
MASK[:2, :2] = True


def test_positive_part_keeps_evidence_for_the_class():
    assert positive_part(np.array([-2.0, 0.0, 3.0])).tolist() == [0, 0, 3]


def test_quantise_is_floor_of_255_times_min_max():
    # 1/3 and 2/3 of the range: 85 and 170; 0.999 * 255 = 254.7.
    values = np.array([[3, 4], [5, 6]], np.float32)
    assert quantise(values).tolist() == [[0, 85], [170, 255]]
    assert quantise(np.array([[0, 0.999, 1]], np.float32)).tolist() == [[0, 254, 255]]


def test_hand_worked_overlap_on_four_by_four():
    # Mask: 4 pixels. Above 100: the top row, 2 pixels in, 2 out. IoU 2/6, Dice 4/8.
    level = np.zeros((4, 4), np.uint8)
    level[0] = 200
    curve = iou(*histograms(level, MASK))
    assert curve[100] == pytest.approx(2 / 6)
    assert dice(curve)[100] == pytest.approx(4 / 8)
    # The threshold's own level is background: at 200 and above nothing is left.
    assert curve[199] == pytest.approx(2 / 6)
    assert curve[200] == 0 and curve[255] == 0


@given(levels, st.data())
@settings(max_examples=80, deadline=None)
def test_histograms_give_every_threshold_as_brute_force_does(level, data):
    mask = data.draw(hnp.arrays(bool, level.shape))
    mask.flat[0] = True
    inside, outside = histograms(level, mask)
    curve, tp, fp = iou(inside, outside), above(inside), above(outside)
    for threshold in range(256):
        found = level > threshold
        assert tp[threshold] == (found & mask).sum()
        assert fp[threshold] == (found & ~mask).sum()
        assert curve[threshold] == pytest.approx((found & mask).sum() / (found | mask).sum())
        both = found.sum() + mask.sum()
        assert dice(curve)[threshold] == pytest.approx(2 * (found & mask).sum() / both)


def test_iou_agrees_with_pycocotools():
    generator = np.random.default_rng(0)
    level = generator.integers(0, 256, (60, 50), dtype=np.uint8)
    mask = generator.random((60, 50)) < 0.3
    curve = iou(*histograms(level, mask))
    expert = coco.encode(np.asfortranarray(mask, np.uint8))
    for threshold in (0, 17, 128, 254):
        found = coco.encode(np.asfortranarray(level > threshold, np.uint8))
        assert curve[threshold] == pytest.approx(coco.iou([found], [expert], [0])[0, 0], abs=1e-12)


def between(histogram, threshold):
    """Variance between the classes, as Otsu's paper defines it."""
    share, value = histogram / histogram.sum(), np.arange(256)
    low, high = share[: threshold + 1].sum(), share[threshold + 1 :].sum()
    if low == 0 or high == 0:
        return 0.0
    mean_low = (share * value)[: threshold + 1].sum() / low
    mean_high = (share * value)[threshold + 1 :].sum() / high
    return low * high * (mean_low - mean_high) ** 2


@given(hnp.arrays(np.uint8, st.tuples(st.integers(2, 30), st.integers(2, 30))))
@settings(max_examples=200, deadline=None)
def test_otsu_is_as_good_as_opencv_and_scikit_image(level):
    histogram = np.bincount(level.ravel(), minlength=256)
    ours = between(histogram, otsu(histogram))
    theirs, _ = cv2.threshold(level, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    assert ours == pytest.approx(between(histogram, int(theirs)))
    assert ours == pytest.approx(between(histogram, int(threshold_otsu(level))))
    assert ours == pytest.approx(max(between(histogram, threshold) for threshold in range(256)))


@pytest.mark.parametrize("seed", range(20))
def test_otsu_segments_as_opencv_and_scikit_image_do(seed):
    generator = np.random.default_rng(seed)
    level = np.clip(generator.normal(90 + 5 * seed, 40, (64, 48)), 0, 255).astype(np.uint8)
    threshold = otsu(np.bincount(level.ravel(), minlength=256))
    _, theirs = cv2.threshold(level, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    assert np.array_equal(level > threshold, theirs.astype(bool))
    assert np.array_equal(level > threshold, level > threshold_otsu(level))


def test_otsu_of_large_images_does_not_overflow():
    histogram = np.zeros(256, np.int32)
    histogram[[10, 240]] = 2**30
    assert otsu(histogram) == 10


def test_hit_is_the_share_of_tied_maxima_inside():
    values = np.zeros((4, 4), np.float32)
    values[0, 0] = 2
    assert hit(values, MASK) == 1
    assert hit(values, ~MASK) == 0
    values[3] = 2  # Five maxima, one of them inside.
    assert hit(values, MASK) == pytest.approx(1 / 5)


@pytest.mark.parametrize("heatmap", [np.zeros((4, 4)), np.full((4, 4), 0.1), -np.eye(4) - 1])
def test_a_map_that_points_nowhere_scores_zero_and_chance(heatmap):
    original = relevance(heatmap, FRAME)
    inside, outside = histograms(quantise(original), MASK)
    assert inside[0] == 4 and outside[0] == 12
    assert (iou(inside, outside) == 0).all()
    assert (dice(iou(inside, outside)) == 0).all()
    assert otsu(inside + outside) == 0
    assert hit(original, MASK) == pytest.approx(4 / 16)


@pytest.mark.parametrize("geometry", ["stretch", "pad", "crop"])
def test_rounding_of_the_interpolation_makes_no_map_of_a_constant_one(geometry):
    frame = Frame.fit(301, 173, 224, geometry)
    original = relevance(np.full((7, 7), 0.1, np.float32), frame)
    assert not original.any()


def test_superpixels_tie_although_interpolation_rounds():
    # The left half is one superpixel of relevance 0.1: all its pixels are equal maxima.
    heatmap = np.zeros((8, 8), np.float32)
    heatmap[:, :4] = 0.1
    frame = Frame.fit(173, 301, 8, "stretch")
    original = relevance(heatmap, frame)
    top = original >= 0.1 * (1 - 1e-5)
    mask = np.zeros((173, 301), bool)
    mask[:50] = True
    assert hit(original, mask) == pytest.approx((top & mask).sum() / top.sum())
    assert 0.25 < hit(original, mask) < 0.35


def test_what_a_crop_hides_is_never_foreground():
    # Twice as wide as high: the middle half is seen. The map's lowest value is 1, not 0.
    frame = Frame.fit(8, 16, 8, "crop")
    heatmap = np.full((8, 8), 1.0)
    heatmap[0, 0] = 5
    level = quantise(relevance(heatmap, frame))
    assert not level[:, :4].any() and not level[:, 12:].any()
    assert level[0, 4] == 255
    assert (np.delete(level.ravel(), 4) == 0).all()


def test_fixed_threshold_is_quantised_like_the_map():
    assert level_of(0.5) == 127
    values = np.linspace(0, 1, 256, dtype=np.float32)[None]
    assert np.array_equal(quantise(values) > level_of(0.5), values > 0.5)
