"""Gains over references: differences and percentages worked by hand, intervals and tests."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from shamsul.evaluate.gains import GAINS, gains
from shamsul.evaluate.parameters import Comparison
from shamsul.evaluate.sign_flips import sign_flips

SETTINGS = Comparison(confidence=0.9, min_patients=5, baseline="random", margin=0.05)
ROLES = {"baseline": "random", "prior": None, "radiologist": "reader"}


def made(methods, count=40, metric="iou", rule="otsu", name="Edema", seed=0, split="test"):
    generator = np.random.default_rng(seed)
    rows = [
        (f"i{i}", f"p{i // 2}", split, name, method, "", rule, metric, generator.random(), 0.5, 1)
        for i in range(count)
        for method in methods
    ]
    names = (
        "image_id patient_id split class method repeats threshold_rule metric value probability"
        " n_labels"
    )
    return pd.DataFrame(rows, columns=names.split())


def found(table, roles=ROLES, settings=SETTINGS):
    index = ["reference", "class", "metric", "method"]
    return gains(table, settings, roles, 0).set_index(index).sort_index()


def test_paired_differences_by_hand():
    table = made(["cam", "random", "reader"])
    table.loc[(table["method"] == "cam") & (table["image_id"] == "i0"), "value"] = np.nan
    table = table.dropna()
    row = found(table).loc[("baseline", "Edema", "iou", "cam")]
    wide = table.pivot(index="image_id", columns="method", values="value")
    both = wide[["cam", "random"]].dropna()
    assert row[["n_masks", "n_images", "n_patients"]].tolist() == [39, 39, 20]
    assert row["mean"] == pytest.approx(both["cam"].mean())
    assert row["reference_mean"] == pytest.approx(both["random"].mean())
    assert row["difference"] == pytest.approx((both["cam"] - both["random"]).mean())
    assert row["low"] < row["difference"] < row["high"]
    assert row["reference_method"] == "random" and np.isnan(row["percent"])


def test_percent_decrease_with_the_jackknife_one_patient_at_a_time():
    table = made(["cam", "reader"], count=50)
    table.loc[table["method"] == "reader", "value"] += 1
    row = found(table).loc[("radiologist", "Edema", "iou", "cam")]
    sums = table.groupby(["patient_id", "method"])["value"].sum().unstack()

    def shortfall(chosen):
        return 100 * (1 - chosen["cam"].sum() / chosen["reader"].sum())

    left = [shortfall(sums.drop(name)) for name in sums.index]
    variance = 24 / 25 * ((left - np.mean(left)) ** 2).sum()
    reach = stats.t.ppf(0.95, 24) * np.sqrt(variance)
    assert row["percent"] == pytest.approx(shortfall(sums))
    limits = [row["percent"] - reach, row["percent"] + reach]
    assert [row["percent_low"], row["percent_high"]] == pytest.approx(limits)


def test_percent_of_fewer_than_twenty_patients_or_over_classes_has_no_interval():
    rows = found(made(["cam", "reader"], count=38)).loc["radiologist"]
    assert np.isnan(
        rows.loc[("Edema", "iou", "cam"), ["percent_low", "percent_high"]].astype(float)
    ).all()
    assert rows["percent"].notna().all() and rows["low"].notna().all()
    rows = found(made(["cam", "reader"], count=40)).loc["radiologist"]["percent_low"]
    assert not np.isnan(rows["Edema", "iou", "cam"]) and np.isnan(rows["macro", "iou", "cam"])


def test_percent_has_the_sign_that_is_to_the_methods_disadvantage():
    table = made(["cam", "reader"], metric="false_alarm_area")
    table["value"] = np.where(table["method"] == "cam", 0.3, 0.2)
    table = pd.concat([table, made(["cam", "reader"]).assign(value=0.0)])
    rows = found(table).loc["radiologist"]
    assert rows.loc[("Edema", "false_alarm_area", "cam"), "percent"] == pytest.approx(50)
    assert np.isnan(rows.loc[("Edema", "iou", "cam"), "percent"])  # of nothing


def test_radiologist_is_paired_under_each_rule_and_negatives_apart():
    parts = [made(["cam", "lime", "reader"], rule=rule) for rule in ("otsu", "tuned")]
    parts.append(made(["cam", "lime"], rule="best"))
    parts.append(made(["cam", "reader"], metric="false_alarm_area", seed=3))
    result = gains(pd.concat(parts), SETTINGS, ROLES, 0)
    assert list(result.columns) == GAINS and set(result["reference"]) == {"radiologist"}
    assert set(result["threshold_rule"]) == {"otsu", "tuned"}
    assert result.groupby("metric").size().to_dict() == {"iou": 12, "false_alarm_area": 3}
    assert "reader" not in set(result["method"])


def test_family_is_the_methods_of_one_reference_and_p_agrees_with_all_flips():
    methods = ["a", "b", "c", "random"]
    table = pd.concat([made(methods, 20), made(methods, 20, name="Fracture", seed=1)])
    rows = found(table).loc[("baseline", "Edema", "iou")]
    wide = table[table["class"] == "Edema"].pivot(
        index=["patient_id", "image_id"], columns="method", values="value"
    )
    differences = wide[list("abc")].sub(wide["random"], axis=0)
    names = differences.index.get_level_values("patient_id")
    family = sign_flips(differences.to_numpy(), names, SETTINGS, 0, 0.05)
    for name in ("p_adjusted", "p_least", "p_equivalent", "low", "high", "detectable"):
        assert rows[name].to_numpy() == pytest.approx(getattr(family, name))
    for method in "abc":
        sums = differences[method].groupby("patient_id").sum().to_numpy()
        theirs = stats.permutation_test(
            (sums,), np.sum, permutation_type="samples", n_resamples=np.inf
        )
        assert rows.loc[method, "p"] == pytest.approx(theirs.pvalue)


def test_mean_over_classes_by_hand_and_repeated_masks_once_pooled():
    many, few = made(["cam", "random"], 30), made(["cam", "random"], 6, name="Lung Opacity")
    table = pd.concat([many, few.assign(repeats="Edema")])
    rows = found(table).loc["baseline"].reset_index().set_index("class")
    by_class = table.groupby(["class", "method"])["value"].mean().unstack()
    own = (by_class["cam"] - by_class["random"]).to_dict()
    assert rows.loc["macro", "difference"] == pytest.approx(np.mean(list(own.values())))
    assert rows.loc["macro", "mean"] == pytest.approx(by_class["cam"].mean())
    assert rows.loc["macro", "reference_mean"] == pytest.approx(by_class["random"].mean())
    assert rows.loc["pooled", "difference"] == pytest.approx(own["Edema"])
    assert rows["n_masks"].to_dict() == {"Edema": 30, "Lung Opacity": 6, "macro": 36, "pooled": 30}


def test_a_reference_that_abstains_from_a_class_is_not_compared_there():
    table = pd.concat([made(["cam", "prior"]), made(["cam"], name="Fracture")])
    rows = found(table, {"baseline": None, "prior": "prior", "radiologist": None})
    names = rows.index.get_level_values("class")
    assert sorted(names) == ["Edema", "macro", "pooled"]
    assert (rows["n_masks"] == 40).all()
    assert rows["difference"].to_numpy() == pytest.approx(np.full(3, rows["difference"].iloc[0]))


def test_few_patients_have_a_difference_and_a_note_but_no_interval():
    row = found(made(["cam", "reader", "random"], 8)).loc[("radiologist", "Edema", "iou", "cam")]
    assert not np.isnan(row[["difference", "percent"]].astype(float)).any()
    empty = ["low", "high", "p", "p_adjusted", "percent_low", "percent_high"]
    assert np.isnan(row[empty].astype(float)).all()
    assert row["note"] == "4 patients, fewer than 5: no interval"


def test_only_test_counts_and_order_does_not():
    table = made(["cam", "random", "reader"])
    first = gains(table, SETTINGS, ROLES, 0)
    tune = made(["cam", "random", "reader"], seed=5, split="tune")
    shuffled = pd.concat([tune, table]).sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(first, gains(shuffled, SETTINGS, ROLES, 0))


def test_no_reference_gives_an_empty_table():
    nobody = dict.fromkeys(ROLES)
    for roles in (nobody, ROLES):
        result = gains(made(["cam"]), SETTINGS, roles, 0)
        assert result.empty and list(result.columns) == GAINS
