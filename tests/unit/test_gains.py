"""Gains over references: differences and percentages worked by hand, intervals and tests."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from shamsul.evaluate.statistics import holm, patient_weights

from shamsul.evaluate.gains import GAINS, gains
from shamsul.evaluate.parameters import Resampling

SETTINGS = Resampling(
    **{"replicates": 400, "confidence": 0.9, "interval": "percentile", "min_patients": 5}
)
ROLES = {"baseline": "random", "prior": None, "radiologist": "reader"}


def made(methods, count=40, metric="iou", rule="otsu", name="Edema", seed=0, split="test"):
    generator = np.random.default_rng(seed)
    rows = [
        (f"i{i}", f"p{i // 2}", split, name, method, rule, metric, generator.random(), 0.5, 1)
        for i in range(count)
        for method in methods
    ]
    names = (
        "image_id patient_id split class method threshold_rule metric value probability n_labels"
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


def test_percent_decrease_against_replicates_one_by_one():
    table = made(["cam", "reader"])
    table.loc[table["method"] == "reader", "value"] += 1
    row = found(table).loc[("radiologist", "Edema", "iou", "cam")]
    wide = table.assign(number=table["image_id"].str[1:].astype(int)).pivot(
        index="number", columns="method", values="value"
    )
    patients = sorted({f"p{i // 2}" for i in range(40)})
    order = np.array([int(name[1:]) for name in patients])
    shares = []
    for weights in patient_weights(20, 400, 0):
        images = np.repeat(wide.index, weights[np.argsort(order)][wide.index // 2].astype(int))
        drawn = wide.loc[images]
        shares.append(100 * (drawn["reader"].mean() - drawn["cam"].mean()) / drawn["reader"].mean())
    means = wide.mean()
    assert row["percent"] == pytest.approx(100 * (1 - means["cam"] / means["reader"]))
    limits = np.quantile(shares, [0.05, 0.95])
    assert [row["percent_low"], row["percent_high"]] == pytest.approx(limits)


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
    assert result.groupby("metric").size().to_dict() == {"iou": 8, "false_alarm_area": 2}
    assert "reader" not in set(result["method"])


def test_holm_is_over_the_methods_of_one_reference_and_p_agrees_with_all_flips():
    methods = ["a", "b", "c", "random"]
    table = pd.concat([made(methods, 20), made(methods, 20, name="Fracture", seed=1)])
    rows = found(table).loc[("baseline", "Edema", "iou")]
    assert rows["p_adjusted"].to_numpy() == pytest.approx(holm(rows["p"]))
    wide = table[table["class"] == "Edema"].pivot(
        index=["patient_id", "image_id"], columns="method", values="value"
    )
    for method in "abc":
        sums = (wide[method] - wide["random"]).groupby("patient_id").sum().to_numpy()
        theirs = stats.permutation_test(
            (sums,), np.sum, permutation_type="samples", n_resamples=np.inf
        )
        assert rows.loc[method, "p"] == pytest.approx(theirs.pvalue)


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
