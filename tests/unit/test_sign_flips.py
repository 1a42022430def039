"""Sign flips: against SciPy, and against Westfall and Young's step-down written out."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.sign_flips import ENUMERATED, PERMUTATIONS, POWER, Family, sign_flips

SETTINGS = Inference(0.95, 3)
FIELDS = list(Family.__dataclass_fields__)
WHOLE = hnp.arrays(float, (7, 4), elements=st.integers(-6, 6))
"""Differences of seven patients, of which many are equal or 0."""


def flip(differences, patients=None, least=3, confidence=0.95, seed=0, **options):
    patients = np.arange(len(differences)) if patients is None else patients
    return sign_flips(differences, patients, Inference(confidence, least), seed, **options)


def all_flips(patients):
    return np.array(list(itertools.product([-1, 1], repeat=patients)))


def statistic(sums):
    length = np.sqrt((sums**2).sum(axis=0))
    return np.abs(sums.sum(axis=0)) / np.where(length > 0, length, 1)


def westfall_young(sums):
    """Adjusted p by algorithm 2.8 of Westfall and Young (1993), one flip at a time."""
    observed = statistic(sums)
    order = list(np.argsort(-observed, kind="stable"))
    exceeded = np.zeros(len(order))
    flips = all_flips(len(sums))
    for signs in flips:
        values = statistic(signs[:, None] * sums)
        largest = -np.inf
        for place in reversed(range(len(order))):
            largest = max(largest, values[order[place]])
            exceeded[place] += largest >= observed[order[place]] - 1e-9
    adjusted = np.empty(len(order))
    previous = 0.0
    for place, column in enumerate(order):
        previous = max(previous, exceeded[place] / len(flips))
        adjusted[column] = previous
    return adjusted


@pytest.mark.parametrize("patients", [3, 8, ENUMERATED])
def test_p_of_few_patients_is_scipys_over_all_flips(patients, rng):
    differences = rng.normal(0.4, 1, (2 * patients, 3))
    found = flip(differences, np.arange(2 * patients) // 2)
    sums = differences.reshape(patients, 2, 3).sum(axis=1)
    for column in range(3):
        theirs = stats.permutation_test(
            (sums[:, column],), np.sum, permutation_type="samples", n_resamples=np.inf
        )
        assert found.p[column] == pytest.approx(theirs.pvalue, abs=1e-12)


def test_p_of_more_patients_is_that_of_all_flips_but_for_chance(rng):
    differences = rng.normal(0.3, 1, (14, 4))
    found = flip(differences)
    flips = all_flips(14)
    for column in range(4):
        sums = differences[:, column]
        exact = (np.abs(flips @ sums) >= abs(sums.sum()) - 1e-9).mean()
        error = 4 * np.sqrt(exact * (1 - exact) / PERMUTATIONS)
        assert found.p[column] == pytest.approx(exact, abs=error + 1e-12)
    assert found.p_adjusted == pytest.approx(westfall_young(differences), abs=0.02)
    # The observed signs are one of the flips, so p is a whole number of ten-thousandths.
    assert found.p * (1 + PERMUTATIONS) == pytest.approx(np.rint(found.p * (1 + PERMUTATIONS)))


@settings(max_examples=40, deadline=None)
@given(WHOLE)
def test_adjusted_p_is_westfall_and_youngs(sums):
    assert flip(sums).p_adjusted == pytest.approx(westfall_young(sums), abs=1e-12)


def test_adjusted_p_of_correlated_differences_is_westfall_and_youngs(rng):
    sums = rng.normal(0.5, 1, (9, 1)) + 0.6 * rng.normal(0.2, 1, (9, 6))
    found = flip(sums)
    assert found.p_adjusted == pytest.approx(westfall_young(sums), abs=1e-12)
    assert (found.p_adjusted < np.minimum(6 * found.p, 1)).any()


@settings(max_examples=60, deadline=None)
@given(WHOLE, st.sampled_from([0.8, 0.95]))
def test_what_holds_for_every_family(sums, confidence):
    found = flip(sums, confidence=confidence)
    alpha = 1 - confidence
    assert (found.p_adjusted >= found.p).all() and (found.p > 0).all()
    assert (found.p_least <= found.p_adjusted).all() and (found.p_least >= 2 / 2**7).all()
    # A more extreme difference has no larger p.
    order = np.argsort(statistic(sums), kind="stable")
    assert (np.diff(found.p_adjusted[order]) <= 1e-12).all()
    nothing = ~sums.any(axis=0)
    assert (found.p[nothing] == 1).all() and (found.p_adjusted[nothing] == 1).all()
    # A rejected difference has an interval beside 0, any other one holds it.
    for low, high, p, mean in zip(
        found.low, found.high, found.p_adjusted, found.difference, strict=True
    ):
        if np.isnan(low):
            continue
        assert low <= mean + 1e-9 and mean - 1e-9 <= high
        assert (low >= 0 if mean > 0 else high <= 0) if p < alpha else low <= 0 <= high


@settings(max_examples=40, deadline=None)
@given(WHOLE, st.permutations(range(7)), st.permutations(range(4)))
def test_order_of_patients_and_of_differences_changes_nothing(sums, rows, columns):
    found, margin = flip(sums, margin=0.5), 0.5
    by_patient = flip(sums[list(rows)], margin=margin)
    by_column = flip(sums[:, list(columns)], margin=margin)
    for name in FIELDS:
        own = getattr(found, name)
        exact = name.startswith("p")
        for other, expected in ((by_patient, own), (by_column, own[list(columns)])):
            np.testing.assert_allclose(
                getattr(other, name), expected, rtol=0, atol=0 if exact else 1e-9
            )


def test_images_of_a_patient_flip_together_in_any_order(rng):
    differences, patients = rng.normal(0.2, 1, (40, 5)), np.arange(40) // 2
    found, order = flip(differences, patients), rng.permutation(40)
    shuffled = flip(differences[order], patients[order])
    sums = flip(differences.reshape(20, 2, 5).mean(axis=1))
    for name in FIELDS:
        assert np.array_equal(getattr(found, name), getattr(shuffled, name), equal_nan=True)
        assert getattr(found, name) == pytest.approx(getattr(sums, name), nan_ok=True)
    # Two patients can never tell anything.
    assert flip(np.ones((30, 1)), np.arange(30) // 15, least=2).p.tolist() == [0.5]


def test_the_same_difference_twice_has_the_same_results_and_costs_nothing(rng):
    for patients in (8, 30):
        once = rng.normal(0.5, 1, (patients, 3))
        found, double = (flip(part, margin=0.9) for part in (once, np.hstack([once, once])))
        for name in FIELDS:
            if name != "p_least":  # Twins have signs of their own there.
                assert getattr(double, name)[:3].tolist() == getattr(found, name).tolist()
            assert np.array_equal(getattr(double, name)[:3], getattr(double, name)[3:])


def test_opposite_differences_have_mirrored_results(rng):
    sums = rng.normal(0.5, 1, (9, 3))
    found, mirrored = flip(sums, margin=0.4), flip(-sums, margin=0.4)
    for name in ("p", "p_adjusted", "p_least", "p_equivalent", "detectable"):
        assert getattr(found, name) == pytest.approx(getattr(mirrored, name))
    assert found.low == pytest.approx(-mirrored.high)


def test_forty_methods_that_all_win_are_all_told_at_any_number_of_pairs():
    # With Holm's correction nothing could be: 780 pairs x 1e-4 > 0.05.
    levels = np.arange(40) / 40 + np.random.default_rng(0).normal(0, 0.002, (30, 40))
    pairs = list(itertools.combinations(range(40), 2))
    differences = np.column_stack([levels[:, b] - levels[:, a] for a, b in pairs])
    found = flip(differences)
    assert len(pairs) == 780 and found.p_adjusted.max() == 1 / (1 + PERMUTATIONS)


def test_least_p_by_hand_and_one_flip_at_a_time(rng):
    # Five patients of a difference of the same size: all alike in 2 of 32 flips, which is > 0.05.
    signs = np.array([1.0, -1, 1, 1, 1])[:, None]
    assert flip(signs).p_least.tolist() == [2 / 32] and flip(signs).p.tolist() == [12 / 32]
    sums = rng.normal(0.2, 1, (7, 4))
    found, flips = flip(sums), all_flips(7)
    for column in range(4):
        others = np.delete(sums, column, axis=1)
        own = np.abs(sums[:, [column]])
        passed = 0
        for sign in flips[:, :, None]:
            largest = max(statistic(sign * others).max(), statistic(sign * own)[0])
            passed += largest >= statistic(own)[0] - 1e-9
        expected = min(passed / len(flips), found.p_adjusted[column])
        assert found.p_least[column] == pytest.approx(expected)


def test_differences_equal_on_paper_count_as_equal(rng):
    whole = rng.integers(-5, 6, (9, 50)).astype(float)
    first, second = flip(whole), flip(whole * 0.1)
    for name in ("p", "p_adjusted", "p_least"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_too_few_patients_have_a_difference_only(rng):
    differences = rng.random((8, 2))
    differences[4:, 1] = np.nan
    found = flip(differences, least=5, margin=0.1)
    for name in FIELDS[1:]:
        assert np.isnan(getattr(found, name)).tolist() == [False, True], name
    assert found.difference == pytest.approx(np.nanmean(differences, axis=0))


def test_a_missing_difference_is_no_difference_of_nothing(rng):
    # One reader read all patients, another the first six of them.
    differences = rng.normal(0.5, 1, (10, 2))
    differences[6:, 1] = np.nan
    found = flip(differences)
    alone = flip(differences[:6, 1:])
    assert found.p[1] == alone.p[0] and found.difference[1] == pytest.approx(alone.difference[0])


def test_weights_make_the_mean_and_its_test(rng):
    differences, patients = rng.normal(0.5, 1, (20, 1)), np.arange(20) // 2
    weights = rng.uniform(0.5, 2, (20, 1))
    found = flip(differences, patients, weights=weights)
    assert found.difference[0] == pytest.approx(
        np.average(differences[:, 0], weights=weights[:, 0])
    )
    sums = (differences * weights)[:, 0].reshape(10, 2).sum(axis=1)
    theirs = stats.permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert found.p[0] == pytest.approx(theirs.pvalue)


def test_limits_are_the_means_that_the_residuals_flips_do_not_reject(rng):
    differences, patients = rng.normal(0.3, 1, (27, 3)), np.arange(27) // 3
    found = flip(differences, patients, confidence=0.9)
    sums = differences.reshape(9, 3, 3).sum(axis=1)
    residuals = sums - 3 * differences.mean(axis=0)
    largest = np.sort([statistic(sign * residuals).max() for sign in all_flips(9)[:, :, None]])
    critical = largest[int(np.ceil(0.9 * len(largest)))]
    told = found.p_adjusted < 0.1
    for column in range(3):
        for limit in (found.low[column], found.high[column]):
            value = statistic(sums[:, [column]] - 3 * limit)[0]
            assert value == pytest.approx(critical) or (told[column] and limit == 0)
    wide = flip(differences, patients, confidence=0.95)
    assert (wide.low <= found.low).all() and (wide.high >= found.high).all()


@settings(max_examples=80, deadline=None)
@given(hnp.arrays(float, (9, 3), elements=st.floats(-1, 1)), st.floats(0.01, 0.9))
def test_equivalent_is_only_what_differs_by_less_than_the_margin(differences, margin):
    found = flip(differences, margin=margin)
    alike = found.p_equivalent < 0.5
    assert (np.abs(found.difference[alike]) < margin).all()
    # Whoever is told to be beyond the margin is not equivalent.
    beyond = (found.low > margin) | (found.high < -margin)
    assert (found.p_equivalent[beyond] == 1).all()
    assert np.isnan(flip(differences).p_equivalent).all()


def test_equivalence_by_hand():
    # Nine patients around 0, none by more than 0.02: against 0.1 all flips but two are below.
    close = np.linspace(-0.02, 0.02, 9)[:, None]
    found = flip(close, margin=0.1)
    assert found.p_equivalent[0] <= 2 / 2**9 and found.p[0] == 1
    assert flip(close, margin=0.005).p_equivalent[0] > 0.05
    # Of one that is just outside the margin, and one in the midst of its noise.
    outside = np.hstack([close + 0.11, 20 * close])
    assert (flip(outside, margin=0.1).p_equivalent > 0.05).all()


def test_a_difference_of_the_margin_is_seldom_called_equivalent():
    generator, wrong = np.random.default_rng(1), 0
    for _ in range(600):
        differences = generator.normal([0.1, -0.1, 0.1], 0.05, (9, 3))
        wrong += (flip(differences, margin=0.1).p_equivalent < 0.05).any()
    assert wrong / 600 <= 0.05


def test_family_wise_error_and_simultaneous_coverage():
    generator, wrong, covered = np.random.default_rng(2), 0, 0
    truth = np.array([0.0, 0, 0, 0, 1, -1])
    for _ in range(800):
        shared = generator.normal(0, 1, (10, 1))
        found = flip(truth + shared + generator.normal(0, 1, (10, 6)))
        wrong += (found.p_adjusted[:4] < 0.05).any()
        covered += ((found.low <= truth) & (truth <= found.high)).all()
    assert wrong / 800 <= 0.06
    assert covered / 800 >= 0.93


def test_the_detectable_difference_is_found_as_often_as_it_says():
    generator, patients = np.random.default_rng(4), 11
    noise = generator.normal(0, 1, (40, patients, 3))
    detectable = np.mean([flip(part).detectable for part in noise])
    rejected = []
    for _ in range(400):
        differences = generator.normal(0, 1, (patients, 3))
        differences[:, 0] += detectable
        rejected.append(flip(differences).p_adjusted[0] < 0.05)
    assert np.mean(rejected) == pytest.approx(POWER, abs=0.08)
    # Of 16 flips of four patients two have all signs alike, which is above 0.05.
    few = flip(1 + 0.1 * noise[0][:4])
    assert (few.p_least == 2 / 16).all() and np.isnan(few.detectable).all()


def test_random_flips_follow_the_seed_alone(rng):
    differences = rng.normal(0.2, 1, (30, 4))
    first, again, other = (flip(differences, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.p_adjusted, again.p_adjusted)
    assert not np.array_equal(first.p_adjusted, other.p_adjusted)
    assert first.p == pytest.approx(other.p, abs=0.03)


def test_blocks_of_flips_give_what_all_at_once_give(rng, monkeypatch):
    differences = rng.normal(0.2, 1, (30, 7))
    whole = flip(differences, margin=0.2)
    monkeypatch.setattr("shamsul.evaluate.sign_flips.BLOCK", 7 * 100 + 3)
    parts = flip(differences, margin=0.2)
    for name in FIELDS:
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
