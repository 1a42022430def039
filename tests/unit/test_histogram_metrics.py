"""Metrics of histograms, against brute force and other libraries."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco
from skimage.filters import threshold_otsu
from sklearn.metrics import average_precision_score, roc_auc_score

from shamsul.evaluate.histogram_metrics import (
    LEVELS,
    OVERLAP,
    RANKING,
    above,
    area,
    auprc,
    auroc,
    dice,
    iou,
    level_of,
    otsu,
    precision,
    recall,
    relevance_rank,
)

levels = hnp.arrays(
    np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1023)
)
MASK = np.zeros((4, 4), bool)
MASK[:2, :2] = True


def histograms(level, mask):
    return (
        np.bincount(level[mask], minlength=LEVELS),
        np.bincount(level[~mask], minlength=LEVELS),
    )


def test_hand_worked_overlap_on_four_by_four():
    # Mask: 4 pixels. Above 100: the top row, 2 pixels in, 2 out.
    level = np.zeros((4, 4), np.uint16)
    level[0] = 200
    pair = histograms(level, MASK)
    assert iou(*pair)[100] == pytest.approx(2 / 6)
    assert dice(*pair)[100] == pytest.approx(4 / 8)
    assert precision(*pair)[100] == pytest.approx(2 / 4)
    assert recall(*pair)[100] == pytest.approx(2 / 4)
    assert area(*pair)[100] == pytest.approx(4 / 16)
    # The threshold's own level is background: at 200 and above nothing is left.
    for measure in (*OVERLAP.values(), area):
        assert measure(*pair)[199] > 0
        assert measure(*pair)[200] == 0 and measure(*pair)[1023] == 0


@given(levels, st.data())
@settings(max_examples=60, deadline=None)
def test_histograms_give_every_threshold_as_brute_force_does(level, data):
    mask = data.draw(hnp.arrays(bool, level.shape))
    mask.flat[0] = True
    pair = histograms(level, mask)
    curves = {name: measure(*pair) for name, measure in OVERLAP.items()}
    for threshold in {0, 1, 511, 1022, 1023, *level.ravel().tolist()}:
        found = level > threshold
        tp, fp = (found & mask).sum(), (found & ~mask).sum()
        assert above(pair[0])[threshold] == tp
        assert above(pair[1])[threshold] == fp
        assert curves["iou"][threshold] == pytest.approx(tp / (found | mask).sum())
        assert curves["dice"][threshold] == pytest.approx(2 * tp / (found.sum() + mask.sum()))
        assert curves["recall"][threshold] == pytest.approx(tp / mask.sum())
        assert curves["precision"][threshold] == pytest.approx(tp / max(found.sum(), 1))


def test_iou_agrees_with_pycocotools():
    generator = np.random.default_rng(0)
    level = generator.integers(0, 1024, (60, 50), dtype=np.uint16)
    mask = generator.random((60, 50)) < 0.3
    curve = iou(*histograms(level, mask))
    expert = coco.encode(np.asfortranarray(mask, np.uint8))
    for threshold in (0, 17, 512, 1022):
        found = coco.encode(np.asfortranarray(level > threshold, np.uint8))
        assert curve[threshold] == pytest.approx(coco.iou([found], [expert], [0])[0, 0], abs=1e-12)


@given(levels, st.data())
@settings(max_examples=100, deadline=None)
def test_rankings_agree_with_scikit_learn(level, data):
    mask = data.draw(hnp.arrays(bool, level.shape))
    mask.flat[0] = True
    pair = histograms(level, mask)
    expected = average_precision_score(mask.ravel(), level.ravel())
    assert auprc(*pair) == pytest.approx(expected)
    if not mask.all():
        assert auroc(*pair) == pytest.approx(roc_auc_score(mask.ravel(), level.ravel()))


def test_relevance_rank_by_hand():
    # Mask of 4. The highest is inside, then three tie at level 5 of which one is inside, and six
    # at level 2: 1 + 3 fill the four places, with one and one inside.
    inside, outside = np.zeros((2, LEVELS), int)
    inside[[9, 5, 2]] = 1, 1, 2
    outside[[5, 2]] = 2, 4
    assert relevance_rank(inside, outside) == pytest.approx(2 / 4)
    # With one more at level 5, three of four are taken: three quarters of the one inside.
    outside[5] = 3
    assert relevance_rank(inside, outside) == pytest.approx((1 + 3 / 4) / 4)


@given(hnp.arrays(np.uint16, (10, 9), elements=st.integers(0, 1023), unique=True), st.data())
@settings(max_examples=50, deadline=None)
def test_relevance_rank_without_ties_is_the_precision_of_the_top(level, data):
    mask = data.draw(hnp.arrays(bool, level.shape))
    mask.flat[0] = True
    top = np.argsort(level.ravel())[::-1][: mask.sum()]
    found = relevance_rank(*histograms(level, mask))
    assert found == pytest.approx(mask.ravel()[top].mean())


def test_a_constant_map_has_no_overlap_and_ranks_by_chance():
    pair = histograms(np.zeros((4, 4), np.uint16), MASK)
    for measure in OVERLAP.values():
        assert (measure(*pair) == 0).all()
    assert otsu(pair[0] + pair[1]) == 0
    found = {name: float(measure(*pair)) for name, measure in RANKING.items()}
    assert found == {"auprc": 4 / 16, "auroc": 0.5, "relevance_rank": 4 / 16}


def test_a_mask_that_is_the_whole_image_is_no_division_by_zero():
    pair = histograms(np.arange(16, dtype=np.uint16), np.ones(16, bool))
    assert auroc(*pair) == 0.5 and auprc(*pair) == 1 and relevance_rank(*pair) == 1


def test_many_maps_at_once_are_each_alone():
    generator = np.random.default_rng(3)
    inside, outside = generator.integers(0, 9, (2, 5, LEVELS))
    for measure in (*OVERLAP.values(), *RANKING.values(), area):
        together = measure(inside, outside)
        for row in range(5):
            assert np.array_equal(together[row], measure(inside[row], outside[row]))
    together = otsu(inside + outside)
    assert together.tolist() == [int(otsu(row)) for row in inside + outside]


def between(histogram, threshold):
    """Variance between the classes, as Otsu's paper defines it."""
    share, value = histogram / histogram.sum(), np.arange(len(histogram))
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
    fine = np.clip(generator.normal(400 + 10 * seed, 150, (64, 48)), 0, 1023).astype(np.int64)
    threshold = otsu(np.bincount(fine.ravel(), minlength=LEVELS))
    assert np.array_equal(fine > threshold, fine > threshold_otsu(fine))


@pytest.mark.parametrize("level", [0, 7, 1022, 1023])
def test_otsu_of_one_level_leaves_nothing_but_what_is_all_foreground(level):
    histogram = np.zeros(LEVELS, int)
    histogram[level] = 20
    assert above(histogram)[otsu(histogram)] == (20 if level == 1023 else 0)


def test_otsu_of_large_images_does_not_overflow():
    histogram = np.zeros(LEVELS, np.int32)
    histogram[[10, 1000]] = 2**30
    assert otsu(histogram) == 10


def test_fixed_threshold_is_quantised_like_the_map():
    assert level_of(0.5) == 511
    values = np.linspace(0, 1, 1024)
    assert np.array_equal(np.floor(values * 1023) > level_of(0.5), values > 0.5)
