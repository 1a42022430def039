"""Bootstrap intervals and tests over patients, against formulas and enumerations."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from shamsul.evaluate.statistics import (
    PERMUTATIONS,
    bca_levels,
    bootstrap_interval,
    holm,
    interval,
    patient_sums,
    patient_weights,
    ratio,
    sign_flip_test,
    too_few,
)

from shamsul.evaluate.comparisons import comparisons
from shamsul.evaluate.localisation import localisation
from shamsul.evaluate.parameters import Comparison, Resampling


def percentile(replicates=1000, confidence=0.95, least=5):
    return Resampling(replicates, "percentile", confidence, least)


def test_each_replicate_draws_as_many_patients_as_there_are():
    weights = patient_weights(7, 500, seed=1)
    assert weights.shape == (500, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == weights.round()).all() and (weights >= 0).all()
    # Each patient is drawn once on average, with variance 1 - 1/7.
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.2)
    assert weights.var() == pytest.approx(1 - 1 / 7, rel=0.1)
    assert np.array_equal(weights, patient_weights(7, 500, seed=1))
    assert not np.array_equal(weights, patient_weights(7, 500, seed=2))


def test_sums_are_of_each_patient_in_sorted_order():
    values = np.array([[1.0, 5], [2, np.nan], [4, 7]])
    sums, counts = patient_sums(values, ["b", "a", "b"])
    assert sums.tolist() == [[2, 0], [5, 12]]
    assert counts.tolist() == [[1, 0], [2, 2]]


def test_patients_are_resampled_not_images():
    # Patient a: 99 images of 0, b: one of 1. A replicate has both (mean 0.01), or a twice (0), or
    # b twice (1): a quarter of replicates. Resampled images would never leave 0 to 0.05.
    values, patients = np.array([[0.0]] * 99 + [[1.0]]), ["a"] * 99 + ["b"]
    low, high = bootstrap_interval(values, patients, percentile(1000, least=2), seed=0)
    assert low[0] == 0 and high[0] == 1
    low, high = bootstrap_interval(values, patients, percentile(1000, 0.4, 2), seed=0)
    assert low[0] == 0 or low[0] == pytest.approx(0.01)
    assert high[0] == pytest.approx(0.01)


def by_the_book(values, patients, settings, seed):
    """BCa limits of a mean and its z0 and a, one patient and one replicate at a time."""
    names = sorted(set(patients))
    own = [values[np.array(patients) == name] for name in names]
    mean = values.mean()
    replicates = np.sort(
        [
            np.concatenate([np.tile(v, int(n)) for v, n in zip(own, row, strict=True)]).mean()
            for row in patient_weights(len(names), settings.replicates, seed)
        ]
    )
    bias = stats.norm.ppf((replicates < mean).mean())
    left_out = np.array([np.concatenate(own[:i] + own[i + 1 :]).mean() for i in range(len(own))])
    deviation = left_out.mean() - left_out
    acceleration = (deviation**3).sum() / (6 * (deviation**2).sum() ** 1.5)
    tail = (1 - settings.confidence) / 2
    z = bias + stats.norm.ppf([tail, 1 - tail])
    levels = stats.norm.cdf(bias + z / (1 - acceleration * z))
    return np.quantile(replicates, levels), bias, acceleration


def test_bca_follows_the_formula_with_patients_of_several_images(rng):
    values = rng.gamma(0.7, size=60)
    patients = [f"p{number}" for number in rng.integers(0, 15, 60)]
    options = replace(percentile(999, 0.9), interval="bca")
    limits, bias, acceleration = by_the_book(values, patients, options, seed=3)
    assert abs(bias) > 0.01 and acceleration > 0.02
    low, high = bootstrap_interval(values[:, None], patients, options, seed=3)
    assert [low[0], high[0]] == pytest.approx(limits, rel=1e-9)
    plain = bootstrap_interval(values[:, None], patients, percentile(999, 0.9), seed=3)
    assert low[0] > plain[0][0] and high[0] > plain[1][0]  # the long tail is on the right


def test_bca_levels_by_hand():
    # Three of four replicates below the estimate: z0 = Phi^-1(3/4). Jackknife 0, 0, 3: deviations
    # from their mean 1, 1, -2, so a = -6 / (6 x 6^1.5).
    replicates = np.array([[1.0], [2], [3], [5]])
    levels = bca_levels(
        np.array([4.0]), replicates, np.array([[0.0], [0], [3]]), np.full((1, 1), 0.1)
    )
    z0, a = stats.norm.ppf(0.75), -(6**-1.5)
    z = z0 + stats.norm.ppf(0.1)
    assert levels[0, 0] == pytest.approx(stats.norm.cdf(z0 + z / (1 - a * z)))


def test_bca_counts_ties_half_and_corrects_both_limits_or_none():
    replicates, even = np.array([[1.0], [2], [2], [3]]), np.array([[1.0], [3]])
    tails = np.array([[0.1], [0.9]])
    assert bca_levels(np.array([2.0]), replicates, even, tails) == pytest.approx(tails)
    # One patient of many matters: a is near 1/6, so that the upper limit has no level at z = 7.
    one = np.append(np.zeros(999), -1.0)[:, None]
    tails = np.array([[1e-12], [1 - 1e-12]])
    assert np.array_equal(bca_levels(np.array([2.0]), replicates, one, tails), tails)
    tails = np.array([[1e-6], [1 - 1e-6]])
    assert bca_levels(np.array([2.0]), replicates, one, tails)[0, 0] > 1e-3


def test_bca_is_percentile_where_it_is_not_defined():
    tails = np.array([[0.025], [0.975]])
    same = np.full((9, 1), 2.0)
    assert bca_levels(np.array([2.0]), same, same, tails) == pytest.approx(tails)
    # All replicates on one side of the estimate.
    assert np.array_equal(bca_levels(np.array([3.0]), same, same, tails), tails)
    options = replace(percentile(200), interval="bca")
    low, high = bootstrap_interval(np.full((20, 1), 0.25), np.arange(20), options, seed=0)
    assert low[0] == high[0] == 0.25


def test_share_of_two_sums_agrees_with_scipy(rng):
    below = rng.gamma(3, size=60)
    above = below * rng.uniform(0.2, 0.6, 60)
    options = replace(percentile(20000), interval="bca")
    totals = np.stack([above, below], axis=1)[:, :, None]
    low, high = interval(totals, ratio, np.array([True]), options, seed=0)

    def share(a, b, axis):
        return a.sum(axis) / b.sum(axis)

    theirs = stats.bootstrap(
        (above, below), share, paired=True, n_resamples=20000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert [low[0], high[0]] == pytest.approx([theirs.low, theirs.high], abs=0.003)


@given(
    hnp.arrays(float, (12, 3), elements=st.one_of(st.just(np.nan), st.floats(-1, 1))),
    st.lists(st.integers(0, 6), min_size=12, max_size=12),
    st.sampled_from(["bca", "percentile"]),
)
@settings(max_examples=100, deadline=None)
def test_limits_lie_among_the_patients_means_in_order(values, patients, kind):
    low, high = bootstrap_interval(values, patients, replace(percentile(60), interval=kind), seed=1)
    sums, counts = patient_sums(values, patients)
    for column in range(3):
        if (counts[:, column] > 0).sum() < 5:
            assert np.isnan([low[column], high[column]]).all()
            continue
        own = counts[:, column] > 0
        means = sums[own, column] / counts[own, column]
        assert means.min() - 1e-9 <= low[column] <= high[column] <= means.max() + 1e-9


def test_limits_do_not_depend_on_other_quantities_or_the_order_of_images(rng):
    values, patients = rng.random((90, 40)), np.arange(90) // 2
    options = replace(percentile(300), interval="bca")
    low, high = bootstrap_interval(values, patients, options, seed=0)
    alone = bootstrap_interval(values[:, 7:8].copy(), patients, options, seed=0)
    assert low[7] == alone[0][0] and high[7] == alone[1][0]
    order = rng.permutation(90)
    shuffled = bootstrap_interval(values[order], patients[order], options, seed=0)
    assert np.array_equal(low, shuffled[0]) and np.array_equal(high, shuffled[1])
    p = sign_flip_test(values - 0.5, patients, options, seed=0)
    assert np.array_equal(p[7:8], sign_flip_test(values[:, 7:8] - 0.5, patients, options, seed=0))


def test_blocks_of_quantities_give_what_all_at_once_give(rng, monkeypatch):
    values, patients = rng.random((40, 30)), np.arange(40) // 2
    options = replace(percentile(100), interval="bca")
    whole = bootstrap_interval(values, patients, options, seed=0)
    p = sign_flip_test(values - 0.5, patients, options, seed=0)
    monkeypatch.setattr("shamsul.evaluate.statistics.BLOCK", 7 * 200)
    assert np.array_equal(whole, bootstrap_interval(values, patients, options, seed=0))
    assert np.array_equal(p, sign_flip_test(values - 0.5, patients, options, seed=0))


def test_too_few_patients_are_counted_in_the_note():
    assert too_few(5, 5) == ""
    assert too_few(4, 5) == "4 patients, fewer than 5: no interval"
    values = np.random.default_rng(0).random((8, 2))
    values[4:, 1] = np.nan
    low, high = bootstrap_interval(values, np.arange(8), percentile(), seed=0)
    p = sign_flip_test(values, np.arange(8), percentile(), seed=0)
    for found in (low, high, p):
        assert np.isnan(found).tolist() == [False, True]


def test_quantities_share_their_resamples():
    generator = np.random.default_rng(0)
    values = generator.random((40, 1))
    both = np.hstack([values, values + 3, -values])
    low, high = bootstrap_interval(both, np.arange(40) // 2, percentile(300, 0.9), seed=5)
    assert low[1] == pytest.approx(low[0] + 3) and high[1] == pytest.approx(high[0] + 3)
    assert -high[2] == pytest.approx(low[0])
    # And the difference of two equal methods has no spread at all.
    low, high = bootstrap_interval(
        values - values, np.arange(40) // 2, percentile(300, 0.9), seed=5
    )
    assert low[0] == high[0] == 0


@pytest.mark.parametrize("kind", ["bca", "percentile"])
def test_interval_covers_a_known_mean_as_often_as_it_says(kind):
    generator = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        # 60 patients of 3 images; patients differ more than their images do.
        patient = generator.normal(0.5, 1, 60).repeat(3)
        values = (patient + generator.normal(0, 0.3, 180))[:, None]
        options = replace(percentile(400, 0.9), interval=kind)
        low, high = bootstrap_interval(values, np.arange(180) // 3, options, seed=trial)
        covered += low[0] <= 0.5 <= high[0]
    assert 0.83 <= covered / 200 <= 0.96


@pytest.mark.parametrize("kind", ["bca", "percentile"])
def test_interval_of_single_images_agrees_with_scipy(kind):
    options = replace(percentile(20000), interval=kind)
    values = np.random.default_rng(1).gamma(2, size=50)
    low, high = bootstrap_interval(values[:, None], np.arange(50), options, seed=0)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20000, method=kind, rng=np.random.default_rng(1)
    ).confidence_interval
    assert low[0] == pytest.approx(theirs.low, abs=0.02)
    assert high[0] == pytest.approx(theirs.high, abs=0.02)


def test_one_patient_gives_no_interval():
    values = np.array([[0.1, 0.1], [0.9, 0.9], [np.nan, 0.5]])
    options = percentile(100, least=2)
    low, high = bootstrap_interval(values, ["a", "a", "b"], options, seed=0)
    p = sign_flip_test(values, ["a", "a", "b"], options, seed=0)
    assert np.isnan([low[0], high[0], p[0]]).all()
    assert not np.isnan([low[1], high[1], p[1]]).any()


@pytest.mark.parametrize("count", [10, 12, 13])
def test_sign_flip_agrees_with_all_permutations(count):
    generator = np.random.default_rng(4)
    differences = generator.normal(0.3, 1, 2 * count)
    patients = np.arange(2 * count) // 2
    sums = differences.reshape(count, 2).sum(axis=1)
    flips = np.array(list(itertools.product([-1, 1], repeat=count)))
    exact = (np.abs(flips @ sums) >= abs(sums.sum()) - 1e-9).mean()
    p = sign_flip_test(differences[:, None], patients, percentile(), seed=0)
    error = 0 if count <= 12 else 4 * np.sqrt(exact * (1 - exact) / PERMUTATIONS)
    assert p[0] == pytest.approx(exact, abs=error + 1e-12)


def test_sign_flip_is_exact_for_the_few_patients_that_a_reader_read(rng):
    # Forty patients; one reader read six of them, another six others, a third twelve, one four.
    differences = rng.normal(0.3, 1, (80, 5))
    patients = np.arange(80) // 2
    read = [range(40), range(6), range(30, 36), range(5, 17), range(4)]
    for column, those in enumerate(read):
        differences[~np.isin(patients, those), column] = np.nan
    differences[1, 1] = np.nan  # of one patient one image only
    p = sign_flip_test(differences, patients, percentile(), seed=0)
    for column, those in list(enumerate(read))[1:4]:
        sums = np.nansum(differences[:, column].reshape(40, 2)[list(those)], axis=1)
        flips = np.array(list(itertools.product([-1, 1], repeat=len(sums))))
        exact = (np.abs(flips @ sums) >= abs(sums.sum()) - 1e-9).mean()
        assert p[column] == pytest.approx(exact, abs=1e-12)
    alone = sign_flip_test(differences[:, :1], patients, percentile(), seed=0)
    assert p[0] == alone[0] and p[0] * (1 + PERMUTATIONS) == pytest.approx(
        round(p[0] * (1 + PERMUTATIONS))
    )
    assert np.isnan(p[4])


def test_sign_flip_counts_what_is_equal_on_paper(rng):
    whole = rng.integers(-5, 6, (9, 50)).astype(float)
    p = [sign_flip_test(values, np.arange(9), percentile(), 0) for values in (whole, whole * 0.1)]
    assert np.array_equal(p[0], p[1])


def test_sign_flip_at_its_limits():
    everywhere_better = np.linspace(0.1, 0.2, 30)
    differences = np.column_stack([everywhere_better, -everywhere_better, np.zeros(30)])
    p = sign_flip_test(differences, np.arange(30), percentile(), seed=0)
    assert p.tolist() == [1 / (1 + PERMUTATIONS), 1 / (1 + PERMUTATIONS), 1]
    # All images of one patient flip together, so two patients can never be significant.
    p = sign_flip_test(differences[:, :1], np.arange(30) // 15, percentile(least=2), seed=0)
    assert p[0] == 0.5


def test_holm_by_hand():
    # Sorted: .01 x 4, .02 x 3, .03 x 2, .04 x 1 -> .04, .06, .06 (not .06 < .06), .06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.5]) == pytest.approx([1, 1])
    assert holm([]).tolist() == []
    adjusted = holm([0.01, np.nan, 0.04])
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.04]) and np.isnan(adjusted[1])


def values(count, methods, split="test", seed=0, metric="iou", classes=("Edema",)):
    generator = np.random.default_rng(seed)
    rows = [
        (f"i{i}", f"p{i // 2}", split, name, method, "otsu", metric, generator.random(), 0.5, 1)
        for i in range(count)
        for name in classes
        for method in methods
    ]
    names = (
        "image_id patient_id split class method threshold_rule metric value probability n_labels"
    )
    return pd.DataFrame(rows, columns=names.split())


SETTINGS = Comparison(200, "bca", 0.95, 2, baseline="random")


def test_localisation_by_hand_with_pooled_pairs():
    table = values(2, ["cam"], classes=("Edema", "Lung Lesion"))
    table["value"] = [0.1, 0.2, 0.3, 0.8]
    table.loc[2:, "patient_id"] = "p1"
    found = localisation(table, SETTINGS, 0).set_index("class")
    assert found.loc["Edema", "mean"] == pytest.approx(0.2)
    assert found.loc["pooled", "mean"] == pytest.approx(0.35)
    assert found.loc["pooled", "median"] == pytest.approx(0.25)
    counts = ["n_masks", "n_images", "n_patients"]
    assert found.loc["pooled", counts].tolist() == [4, 2, 2]
    assert found.loc["Lung Lesion", counts].tolist() == [2, 2, 2]


def test_boxes_and_masks_are_never_averaged():
    table = pd.concat([values(6, ["cam"]), values(6, ["cam"], metric="box_iou", seed=1)])
    found = localisation(table, SETTINGS, 0).set_index(["metric", "class"])["mean"]
    own = table.groupby("metric")["value"].mean()
    for metric in ("iou", "box_iou"):
        assert found[metric, "pooled"] == pytest.approx(own[metric])


def test_radiographs_without_the_finding_are_a_group_of_their_own():
    positive = values(6, ["cam", "random"])
    negative = values(12, ["cam", "random"], metric="false_alarm_area", seed=1)
    negative["image_id"] = "n" + negative["image_id"]
    negative["patient_id"] = "n" + negative["patient_id"]
    both = pd.concat([positive, negative])
    for function in (localisation, comparisons):
        found = function(both, SETTINGS, 0)
        apart = [function(part, SETTINGS, 0) for part in (negative, positive)]
        pd.testing.assert_frame_equal(found, pd.concat(apart, ignore_index=True))
    assert localisation(both, SETTINGS, 0).set_index(["metric", "class"])[
        "n_patients"
    ].to_dict() == {
        ("false_alarm_area", "Edema"): 6,
        ("false_alarm_area", "pooled"): 6,
        ("iou", "Edema"): 3,
        ("iou", "pooled"): 3,
    }


def test_one_patient_is_said_in_the_note():
    table = values(2, ["cam", "random"])
    summary, compared = localisation(table, SETTINGS, 0), comparisons(table, SETTINGS, 0)
    for rows, columns in ((summary, ["low", "high"]), (compared, ["low", "high", "p"])):
        assert rows[columns].isna().all(axis=None)
        assert rows["note"].str.contains("1 patient, fewer than 2: no interval").all()


def test_comparisons_are_paired_on_test_with_the_baseline_second():
    test, tune = values(40, ["random", "cam", "lrp"]), values(40, ["random", "cam"], "tune", 9)
    test.loc[test["method"] == "cam", "value"] += 1
    test = test[~((test["method"] == "lrp") & (test["image_id"] == "i0"))]
    found = comparisons(pd.concat([tune, test]), SETTINGS, 0)
    found = found[found["class"] == "Edema"].set_index(["method_a", "method_b"])
    assert list(found.index) == [("cam", "lrp"), ("cam", "random"), ("lrp", "random")]
    wide = test.pivot(index="image_id", columns="method", values="value")
    for (a, b), row in found.iterrows():
        shared = (wide[a] - wide[b]).dropna()
        assert row["difference"] == pytest.approx(shared.mean())
        assert row["n_images"] == len(shared)
        assert row["low"] <= row["difference"] <= row["high"]
    assert found["p_adjusted"].to_numpy() == pytest.approx(holm(found["p"]))
    assert found.loc[("cam", "random"), "p_adjusted"] < 0.01 < found.loc[("lrp", "random"), "p"]


def test_row_order_changes_nothing():
    table = values(20, ["a", "b", "random"], classes=("Edema", "Lung Lesion"))
    shuffled = table.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        localisation(table, SETTINGS, 0), localisation(shuffled, SETTINGS, 0)
    )
    pd.testing.assert_frame_equal(
        comparisons(table, SETTINGS, 0), comparisons(shuffled, SETTINGS, 0)
    )


def test_no_values_give_empty_tables():
    empty = values(0, ["a"])
    assert localisation(empty, SETTINGS, 0).empty
    assert comparisons(empty, SETTINGS, 0).empty
    assert comparisons(values(4, ["a"]), SETTINGS, 0).empty
