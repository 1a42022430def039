"""Localisation by class, pooled and as a mean over classes, and comparisons of all pairs."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from shamsul.evaluate.comparisons import COMPARISONS, comparisons
from shamsul.evaluate.localisation import LOCALISATION, localisation
from shamsul.evaluate.parameters import Comparison
from shamsul.evaluate.sign_flips import sign_flips

SETTINGS = Comparison(confidence=0.95, min_patients=2, baseline="random", margin=0.05)
COUNTS = ["n_masks", "n_images", "n_patients"]


def values(count, methods, split="test", seed=0, metric="iou", classes=("Edema",), rule="otsu"):
    generator = np.random.default_rng(seed)
    rows = [
        (f"i{i}", f"p{i // 2}", split, name, method, "", rule, metric, generator.random(), 0.5, 1)
        for i in range(count)
        for name in classes
        for method in methods
    ]
    names = (
        "image_id patient_id split class method repeats threshold_rule metric value probability"
        " n_labels"
    )
    return pd.DataFrame(rows, columns=names.split())


def test_localisation_by_hand_with_pooled_masks_and_the_mean_over_classes():
    table = values(3, ["cam"], classes=("Edema", "Lung Lesion"))
    table["value"] = [0.1, 0.2, 0.3, 0.8, 0.5, np.nan]
    table["patient_id"] = ["p0", "p0", "p1", "p1", "p2", "p2"]
    found = localisation(table.dropna(), SETTINGS).set_index("class")
    assert list(found.columns) == [name for name in LOCALISATION if name != "class"]
    assert list(found.index) == ["Edema", "Lung Lesion", "macro", "pooled"]
    # Edema 0.1, 0.3, 0.5; lesion 0.2, 0.8.
    means = {"Edema": 0.3, "Lung Lesion": 0.5, "macro": 0.4, "pooled": 1.9 / 5}
    assert found["mean"].to_dict() == pytest.approx(means)
    assert found.loc["pooled", "median"] == pytest.approx(0.3)
    assert found.loc["macro", ["median", "q1", "q3"]].isna().all()
    for name, expected in (("pooled", [5, 3, 3]), ("macro", [5, 3, 3]), ("Lung Lesion", [2, 2, 2])):
        assert found.loc[name, COUNTS].tolist() == expected
    assert (found["low"] < found["mean"]).all() and (found["mean"] < found["high"]).all()
    assert (found["note"] == "").all()


def test_a_repeated_mask_is_of_its_class_and_of_the_mean_over_classes_but_not_pooled():
    table = values(6, ["cam"], classes=("Edema", "Lung Opacity"))
    again = (table["class"] == "Lung Opacity") & table["image_id"].isin(["i0", "i1", "i2", "i3"])
    table.loc[again, "repeats"] = "Edema"
    found = localisation(table, SETTINGS).set_index("class")
    assert found["n_masks"].to_dict() == {"Edema": 6, "Lung Opacity": 6, "macro": 12, "pooled": 8}
    own = table.groupby("class")["value"].mean()
    assert found.loc["Lung Opacity", "mean"] == pytest.approx(own["Lung Opacity"])
    assert found.loc["macro", "mean"] == pytest.approx(own.mean())
    assert found.loc["pooled", "mean"] == pytest.approx(table.loc[~again, "value"].mean())
    double = pd.concat([table, table.assign(method="random", value=0.5)])
    rows = comparisons(double, SETTINGS, 0).set_index("class")
    assert rows.loc["pooled", "n_masks"] == 8 and rows.loc["macro", "n_masks"] == 12
    assert rows.loc["pooled", "difference"] == pytest.approx(found.loc["pooled", "mean"] - 0.5)
    assert rows.loc["macro", "difference"] == pytest.approx(found.loc["macro", "mean"] - 0.5)


def test_a_class_of_few_masks_weighs_as_much_as_any_in_the_mean_over_classes():
    many, few = values(30, ["cam", "random"]), values(4, ["cam", "random"], classes=("Fracture",))
    many["value"] = np.where(many["method"] == "cam", 0.6, 0.5)
    few["value"] = np.where(few["method"] == "cam", 0.1, 0.5)
    rows = comparisons(pd.concat([many, few]), SETTINGS, 0).set_index("class")
    assert rows.loc["macro", "difference"] == pytest.approx((0.1 - 0.4) / 2)
    assert rows.loc["pooled", "difference"] == pytest.approx((30 * 0.1 - 4 * 0.4) / 34)


def test_boxes_and_masks_are_never_averaged():
    table = pd.concat([values(6, ["cam"]), values(6, ["cam"], metric="box_iou", seed=1)])
    found = localisation(table, SETTINGS).set_index(["metric", "class"])["mean"]
    own = table.groupby("metric")["value"].mean()
    for metric in ("iou", "box_iou"):
        for name in ("pooled", "macro"):
            assert found[metric, name] == pytest.approx(own[metric])


def test_radiographs_without_the_finding_are_a_group_of_their_own():
    positive = values(6, ["cam", "random"])
    negative = values(12, ["cam", "random"], metric="false_alarm_area", seed=1)
    negative["image_id"] = "n" + negative["image_id"]
    negative["patient_id"] = "n" + negative["patient_id"]
    both = pd.concat([positive, negative])
    for function in (localisation, lambda table, settings: comparisons(table, settings, 0)):
        found = function(both, SETTINGS)
        apart = [function(part, SETTINGS) for part in (negative, positive)]
        pd.testing.assert_frame_equal(found, pd.concat(apart, ignore_index=True))
    numbers = localisation(both, SETTINGS).set_index(["metric", "class"])["n_patients"]
    assert numbers.groupby("metric").unique().map(list).to_dict() == {
        "false_alarm_area": [6],
        "iou": [3],
    }


def test_one_patient_is_said_in_the_note():
    table = values(2, ["cam", "random"])
    summary, compared = localisation(table, SETTINGS), comparisons(table, SETTINGS, 0)
    for rows, columns in ((summary, ["low", "high"]), (compared, ["low", "high", "p"])):
        assert rows[columns].isna().all(axis=None)
        assert rows["note"].str.contains("1 patient, fewer than 2: no interval").all()
    assert (compared["verdict"] == "").all()


def test_comparisons_are_paired_on_test_with_the_baseline_second():
    test, tune = values(40, ["random", "cam", "lrp"]), values(40, ["random", "cam"], "tune", 9)
    test.loc[test["method"] == "cam", "value"] += 1
    test = test[~((test["method"] == "lrp") & (test["image_id"] == "i0"))]
    found = comparisons(pd.concat([tune, test]), SETTINGS, 0)
    assert list(found.columns) == COMPARISONS
    found = found[found["class"] == "Edema"].set_index(["method_a", "method_b"])
    assert list(found.index) == [("cam", "lrp"), ("cam", "random"), ("lrp", "random")]
    wide = test.pivot(index=["patient_id", "image_id"], columns="method", values="value")
    for (a, b), row in found.iterrows():
        shared = (wide[a] - wide[b]).dropna()
        assert row["difference"] == pytest.approx(shared.mean())
        assert row["n_images"] == len(shared)
        assert row["low"] <= row["difference"] <= row["high"]
    # The family is all pairs of the class.
    pairs = np.column_stack([wide[a] - wide[b] for a, b in found.index])
    family = sign_flips(pairs, wide.index.get_level_values(0), SETTINGS, 0)
    for name in ("p", "p_adjusted", "p_least", "low", "high", "detectable"):
        assert found[name].to_numpy() == pytest.approx(getattr(family, name))
    assert found["verdict"].tolist()[:2] == ["better", "better"]
    assert found["p_adjusted"].iloc[2] > 0.05


def test_p_agrees_with_scipy_over_the_patients(rng):
    table = values(16, ["cam", "random"], seed=3)
    row = comparisons(table, SETTINGS, 0).set_index("class").loc["Edema"]
    wide = table.pivot(index=["patient_id", "image_id"], columns="method", values="value")
    sums = (wide["cam"] - wide["random"]).groupby("patient_id").sum().to_numpy()
    theirs = stats.permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert row["p"] == row["p_adjusted"] == pytest.approx(theirs.pvalue)


def test_what_is_the_same_under_two_names_is_told_apart_nowhere():
    table = values(40, ["random", "mean_mask", "cam"], classes=("Edema", "Fracture"), seed=2)
    twice = pd.concat(
        [
            table,
            *(
                table[table["method"] == name].assign(method=f"{name}_again")
                for name in ("random", "mean_mask")
            ),
        ]
    )
    found = comparisons(twice, SETTINGS, 0).set_index(["method_a", "method_b", "class"])
    for name in ("Edema", "Fracture", "pooled", "macro"):
        for pair in (("random_again", "random"), ("mean_mask", "mean_mask_again")):
            row = found.loc[(*pair, name)]
            assert row["verdict"] == "the same" and row["p"] == row["p_adjusted"] == 1
            assert row["difference"] == 0 and "no value differs" in row["note"]
        first, again = (
            found.loc[("cam", method, name)].drop("p_least")
            for method in ("random", "random_again")
        )
        pd.testing.assert_series_equal(first, again, check_names=False)
    once = localisation(twice, SETTINGS).set_index(["method", "class"])
    pd.testing.assert_frame_equal(once.loc["random"], once.loc["random_again"])


def test_row_order_changes_nothing():
    table = values(20, ["a", "b", "random"], classes=("Edema", "Lung Lesion"))
    shuffled = table.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(localisation(table, SETTINGS), localisation(shuffled, SETTINGS))
    pd.testing.assert_frame_equal(
        comparisons(table, SETTINGS, 0), comparisons(shuffled, SETTINGS, 0)
    )


def test_no_values_give_empty_tables():
    empty = values(0, ["a"])
    assert localisation(empty, SETTINGS).empty
    assert comparisons(empty, SETTINGS, 0).empty
    assert comparisons(values(4, ["a"]), SETTINGS, 0).empty
