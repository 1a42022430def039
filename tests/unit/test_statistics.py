import itertools
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from shamsul.evaluate.statistics import (
    PERMUTATIONS,
    bootstrap_interval,
    holm,
    patient_sums,
    patient_weights,
    sign_flip_test,
)
from shamsul.evaluate.summaries import comparisons, localisation


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
    low, high = bootstrap_interval(values, patients, 1000, 0.95, seed=0)
    assert low[0] == 0 and high[0] == 1
    low, high = bootstrap_interval(values, patients, 1000, 0.4, seed=0)
    assert low[0] == 0 or low[0] == pytest.approx(0.01)
    assert high[0] == pytest.approx(0.01)


def test_quantities_share_their_resamples():
    generator = np.random.default_rng(0)
    values = generator.random((40, 1))
    both = np.hstack([values, values + 3, -values])
    low, high = bootstrap_interval(both, np.arange(40) // 2, 300, 0.9, seed=5)
    assert low[1] == pytest.approx(low[0] + 3) and high[1] == pytest.approx(high[0] + 3)
    assert -high[2] == pytest.approx(low[0])
    # And the difference of two equal methods has no spread at all.
    low, high = bootstrap_interval(values - values, np.arange(40) // 2, 300, 0.9, seed=5)
    assert low[0] == high[0] == 0


def test_interval_covers_a_known_mean_as_often_as_it_says():
    generator = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        # 60 patients of 3 images; patients differ more than their images do.
        patient = generator.normal(0.5, 1, 60).repeat(3)
        values = (patient + generator.normal(0, 0.3, 180))[:, None]
        low, high = bootstrap_interval(values, np.arange(180) // 3, 400, 0.9, seed=trial)
        covered += low[0] <= 0.5 <= high[0]
    assert 0.83 <= covered / 200 <= 0.96


def test_interval_of_single_images_agrees_with_scipy():
    values = np.random.default_rng(1).gamma(2, size=50)
    low, high = bootstrap_interval(values[:, None], np.arange(50), 20000, 0.95, seed=0)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert low[0] == pytest.approx(theirs.low, abs=0.02)
    assert high[0] == pytest.approx(theirs.high, abs=0.02)


def test_one_patient_gives_no_interval():
    values = np.array([[0.1, 0.1], [0.9, 0.9], [np.nan, 0.5]])
    low, high = bootstrap_interval(values, ["a", "a", "b"], 100, 0.95, seed=0)
    p = sign_flip_test(values, ["a", "a", "b"], seed=0)
    assert np.isnan([low[0], high[0], p[0]]).all()
    assert not np.isnan([low[1], high[1], p[1]]).any()


def test_sign_flip_agrees_with_all_permutations():
    generator = np.random.default_rng(4)
    differences = generator.normal(0.3, 1, 20)
    patients = np.arange(20) // 2
    sums = differences.reshape(10, 2).sum(axis=1)
    flips = np.array(list(itertools.product([-1, 1], repeat=10)))
    exact = (np.abs(flips @ sums) >= abs(sums.sum()) - 1e-9).mean()
    p = sign_flip_test(differences[:, None], patients, seed=0)
    assert p[0] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / PERMUTATIONS))


def test_sign_flip_at_its_limits():
    everywhere_better = np.linspace(0.1, 0.2, 30)
    differences = np.column_stack([everywhere_better, -everywhere_better, np.zeros(30)])
    p = sign_flip_test(differences, np.arange(30), seed=0)
    assert p.tolist() == [1 / (1 + PERMUTATIONS), 1 / (1 + PERMUTATIONS), 1]
    # All images of one patient flip together, so two patients can never be significant.
    p = sign_flip_test(differences[:, :1], np.arange(30) // 15, seed=0)
    assert p[0] == pytest.approx(0.5, abs=0.03)


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


SETTINGS = {"replicates": 200, "confidence": 0.95, "baseline": "random"}


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


def test_one_patient_is_said_in_the_note():
    table = values(2, ["cam", "random"])
    summary, compared = localisation(table, SETTINGS, 0), comparisons(table, SETTINGS, 0)
    for rows, columns in ((summary, ["low", "high"]), (compared, ["low", "high", "p"])):
        assert rows[columns].isna().all(axis=None)
        assert rows["note"].str.contains("fewer than 2 patients").all()


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


def test_a_thousand_replicates_of_a_whole_study_are_quick():
    # 10 classes x 40 images, 8 methods, 7 metrics and rules.
    quantities = np.random.default_rng(0).random((40, 8 * 7))
    start = time.perf_counter()
    for name in range(11):
        bootstrap_interval(quantities, np.arange(40) // 2, 1000, 0.95, seed=name)
    assert time.perf_counter() - start < 3
