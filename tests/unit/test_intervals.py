"""Intervals over patients: against exact binomial and t intervals, by hand, and by simulation."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from shamsul.evaluate.intervals import (
    UNBOUNDED_PATIENTS,
    interval,
    jackknife,
    jackknife_variance,
    limits,
    mean_interval,
    why_none,
)
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.patients import effective, patient_sums, ratio, summable, too_few

SETTINGS = Inference(0.95, 3)
SHARES = (np.zeros(1), np.ones(1))


def bounds(count, low=0.0, high=1.0):
    return np.full(count, low), np.full(count, high)


def of_share(share, variance, patients, confidence=0.95):
    found = limits(
        np.array([share]), np.array([variance]), np.array([patients]), SHARES, confidence
    )
    return float(found[0][0]), float(found[1][0])


def test_sums_are_of_each_patient_in_sorted_order():
    values = np.array([[1.0, 5], [2, np.nan], [4, 7]])
    sums, counts = patient_sums(values, ["b", "a", "b"])
    assert sums.tolist() == [[2, 0], [5, 12]]
    assert counts.tolist() == [[1, 0], [2, 2]]


@settings(deadline=None)
@given(hnp.arrays(float, (9, 3), elements=st.floats(-1e6, 1e6)), st.permutations(range(9)))
def test_rounded_sums_add_up_to_the_same_bits_in_any_order(totals, order):
    rounded = summable(totals)
    one_by_one = np.zeros(3)
    for row in rounded[list(order)]:
        one_by_one = one_by_one + row
    assert np.array_equal(one_by_one, rounded.sum(axis=0))
    assert np.abs(rounded - totals).max() <= np.abs(totals).max() * 9 * 2.0**-52


def test_effective_number_of_patients_by_hand():
    counts = np.array([[3.0, 2, 0, 5], [1, 2, 0, 0], [0, 2, 0, 0]])
    # (3 + 1)^2 / (9 + 1); three of equal weight; none; one.
    assert effective(counts).tolist() == [1.6, 3, 0, 1]


@settings(deadline=None)
@given(hnp.arrays(float, (8, 1), elements=st.integers(0, 9)))
def test_effective_number_is_between_one_and_the_number_of_patients(counts):
    found, number = effective(counts)[0], (counts > 0).sum()
    assert (found == 0) if number == 0 else (1 - 1e-12 <= found <= number + 1e-12)


def test_ratio_of_nothing_is_not_a_number():
    assert ratio(np.array([[[1.0, 3], [2, 0]]]))[0].tolist() == pytest.approx(
        [0.5, np.nan], nan_ok=True
    )


def test_jackknife_of_a_mean_is_the_textbooks_variance(rng):
    values = rng.gamma(0.7, size=(17, 3))
    totals = np.stack([values, np.ones_like(values)], axis=1)
    estimate, variance = jackknife(totals, ratio)
    assert estimate == pytest.approx(values.mean(axis=0))
    assert variance == pytest.approx(values.var(axis=0, ddof=1) / 17)


def test_jackknife_leaves_out_patients_one_by_one(rng):
    totals = rng.gamma(2, size=(11, 2, 1))
    totals[4] = 0  # a patient without any value changes nothing
    here = [i for i in range(11) if i != 4]
    left_out = [
        totals[[j for j in here if j != i], 0].sum() / totals[[j for j in here if j != i], 1].sum()
        for i in here
    ]
    expected = 9 / 10 * ((left_out - np.mean(left_out)) ** 2).sum()
    assert jackknife(totals, ratio)[1] == pytest.approx(expected)


def test_jackknife_of_one_patient_or_of_what_is_not_defined_is_unknown():
    without = np.array([[0.5, np.nan], [np.nan, 0.5]])
    present = np.array([[True, True], [False, True]])
    assert np.isnan(jackknife_variance(without, present)).all()


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize(("hits", "count"), [(0, 5), (1, 7), (9, 20), (19, 20), (60, 60), (3, 200)])
def test_limits_of_a_rate_are_clopper_and_pearsons(hits, count, confidence):
    # The method takes fewer trials, by (z / t)^2, since it does not know the variance.
    z, t = stats.norm.ppf((1 + confidence) / 2), stats.t.ppf((1 + confidence) / 2, count - 1)
    share = hits / count
    variance = share * (1 - share) / count * (z / t) ** 2
    exact = stats.binomtest(hits, count).proportion_ci(confidence, method="exact")
    found = of_share(share, variance, count, confidence)
    assert found == pytest.approx([exact.low, exact.high], abs=1e-9)


def test_a_rate_of_many_patients_has_nearly_the_exact_interval(rng):
    values = (rng.random((4000, 1)) < 0.03).astype(float)
    low, high = mean_interval(values, np.arange(4000), SHARES, SETTINGS)
    exact = stats.binomtest(int(values.sum()), 4000).proportion_ci(0.95, method="exact")
    assert [low[0], high[0]] == pytest.approx([exact.low, exact.high], abs=1e-4)


def test_all_alike_has_the_exact_interval_of_as_many_patients():
    # Twenty hits of twenty: the study that said "1.00 (1.00 to 1.00)".
    values = np.ones((60, 1))
    low, high = mean_interval(values, np.arange(60) // 3, SHARES, SETTINGS)
    assert [low[0], high[0]] == pytest.approx([0.025 ** (1 / 20), 1])
    low, high = mean_interval(0 * values, np.arange(60) // 3, SHARES, SETTINGS)
    assert [low[0], high[0]] == pytest.approx([0, 1 - 0.025 ** (1 / 20)])
    low, high = mean_interval(0 * values + 0.4, np.arange(60) // 3, SHARES, SETTINGS)
    assert low[0] < 0.25 and high[0] > 0.55


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 10**6),
    st.floats(0, 0.3),
    st.floats(2, 500),
    st.sampled_from([0.8, 0.95]),
)
def test_limits_have_a_width_and_hold_the_estimate(millionths, variance, patients, confidence):
    share = millionths / 10**6
    low, high = of_share(share, variance, patients, confidence)
    assert 0 <= low <= share <= high <= 1
    assert high > low
    # Of 1 - x they are the mirror image.
    mirrored = of_share(1 - share, variance, patients, confidence)
    assert mirrored == pytest.approx([1 - high, 1 - low], abs=1e-7)
    # More confidence, more width.
    wider = of_share(share, variance, patients, (1 + confidence) / 2)
    assert wider[0] <= low + 1e-12 and wider[1] >= high - 1e-12


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(float, (12, 3), elements=st.one_of(st.just(np.nan), st.floats(0, 1))),
    st.lists(st.integers(0, 6), min_size=12, max_size=12),
)
def test_means_lie_in_their_intervals_of_enough_patients(values, patients):
    low, high = mean_interval(values, patients, bounds(3), SETTINGS)
    sums, counts = patient_sums(values, patients)
    for column in range(3):
        if (counts[:, column] > 0).sum() < 3:
            assert np.isnan([low[column], high[column]]).all()
            continue
        mean = sums[:, column].sum() / counts[:, column].sum()
        assert 0 <= low[column] <= mean + 1e-9 and mean - 1e-9 <= high[column] <= 1
        assert high[column] > low[column]


@settings(deadline=None)
@given(hnp.arrays(float, (10, 1), elements=st.floats(0, 1)), st.floats(0.5, 7), st.floats(-3, 3))
def test_a_change_of_unit_changes_the_limits_alike(values, scale, shift):
    assume(values.std() == 0 or values.std() > 1e-3)
    low, high = mean_interval(values, np.arange(10), bounds(1), SETTINGS)
    changed = mean_interval(
        values * scale + shift, np.arange(10), bounds(1, shift, scale + shift), SETTINGS
    )
    assert np.ravel(changed) == pytest.approx([*(low * scale + shift), *(high * scale + shift)])


def test_more_images_of_the_same_patients_tell_nothing_more(rng):
    values = rng.random((9, 2))
    once = mean_interval(values, np.arange(9), bounds(2), SETTINGS)
    many = mean_interval(values.repeat(5, axis=0), np.arange(45) // 5, bounds(2), SETTINGS)
    assert np.ravel(many) == pytest.approx(np.ravel(once))


def test_a_patient_with_most_of_the_images_leaves_little_known():
    values = np.linspace(0.3, 0.6, 30)[:, None]
    even = mean_interval(values, np.arange(30) // 3, SHARES, SETTINGS)
    uneven = mean_interval(values, np.maximum(np.arange(30) - 20, 0), SHARES, SETTINGS)
    assert uneven[1][0] - uneven[0][0] > 1.5 * (even[1][0] - even[0][0])


def test_without_bounds_it_is_students_interval_from_twenty_patients_on(rng):
    values = rng.normal(2, 3, (25, 1))
    endless = bounds(1, -np.inf, np.inf)
    low, high = mean_interval(values, np.arange(25), endless, SETTINGS)
    theirs = stats.ttest_1samp(values[:, 0], 0).confidence_interval(0.95)
    assert [low[0], high[0]] == pytest.approx([theirs.low, theirs.high])
    low, high = mean_interval(values[:19], np.arange(19), endless, SETTINGS)
    assert np.isnan([low[0], high[0]]).all()
    half = mean_interval(np.abs(values[:19]), np.arange(19), bounds(1, 0, np.inf), SETTINGS)
    assert np.isnan(half).all()


def test_the_part_that_tells_least_decides(rng):
    totals = rng.random((12, 2, 1))
    own, few = np.ones((12, 1)), np.where(np.arange(12) < 2, 1.0, 0.0)[:, None]
    wide = (np.full(1, -1.0), np.ones(1))
    assert np.isfinite(interval(totals, ratio, [own], wide, SETTINGS)).all()
    assert np.isnan(interval(totals, ratio, [own, few], wide, SETTINGS)).all()
    uneven = np.where(np.arange(12) < 1, 30.0, 1.0)[:, None]
    low, high = (x[0] for x in interval(totals, ratio, [own, uneven], wide, SETTINGS))
    narrow = interval(totals, ratio, [own], wide, SETTINGS)
    assert low < narrow[0][0] and high > narrow[1][0]


def test_the_note_says_why_there_is_no_interval():
    assert too_few(5, 5) == ""
    assert too_few(1, 5) == "1 patient, fewer than 5: no interval"
    assert too_few(4, 5) == "4 patients, fewer than 5: no interval"
    assert why_none(9, 5, True, 0.2) == ""
    assert why_none(4, 5, True, np.nan) == "4 patients, fewer than 5: no interval"
    assert why_none(9, 5, False, np.nan) == "9 patients, fewer than 20: no interval"
    assert "not defined without one" in why_none(UNBOUNDED_PATIENTS, 5, False, np.nan)
    assert "not defined without one" in why_none(9, 5, True, np.nan)


def test_limits_do_not_depend_on_other_quantities_or_the_order_of_images(rng):
    values, patients = rng.random((90, 40)), np.arange(90) // 2
    low, high = mean_interval(values, patients, bounds(40), SETTINGS)
    alone = mean_interval(values[:, 7:8].copy(), patients, bounds(1), SETTINGS)
    assert low[7] == alone[0][0] and high[7] == alone[1][0]
    order = rng.permutation(90)
    shuffled = mean_interval(values[order], patients[order], bounds(40), SETTINGS)
    assert np.array_equal(low, shuffled[0]) and np.array_equal(high, shuffled[1])


@pytest.mark.parametrize("patients", [5, 8, 12])
@pytest.mark.parametrize("kind", ["rate of 0.95", "rate of 0.5", "skewed", "correlated"])
def test_intervals_of_few_patients_cover_the_truth(kind, patients):
    # Four thousand studies at once, a column each.
    generator, studies = np.random.default_rng(3), 4000
    shape = (patients, studies)
    truth, images = 0.5, 1
    if kind.startswith("rate"):
        truth = float(kind.split()[-1])
        values = (generator.random(shape) < truth).astype(float)
    elif kind == "skewed":
        truth, values = 1 / 6, generator.beta(0.5, 2.5, shape)
    else:
        images = 3
        own = generator.beta(2, 2, shape).repeat(images, axis=0)
        values = (generator.random((images * patients, studies)) < own).astype(float)
    names = np.arange(len(values)) // images
    low, high = mean_interval(values, names, bounds(studies), SETTINGS)
    assert ((low <= truth) & (truth <= high)).mean() >= 0.93
    assert (high > low).all()
