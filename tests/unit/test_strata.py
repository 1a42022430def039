"""Strata of the test set: their members, means and differences."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from shamsul.evaluate.intervals import limits
from shamsul.evaluate.parameters import Stratification
from shamsul.evaluate.strata import STRATA, VARIABLES, strata

SETTINGS = Stratification(confidence=0.9, min_patients=3, true_positive=0.5, thresholds=("otsu",))


def made(count=24, names=("Edema",), methods=("cam",), metric="iou", rule="otsu", seed=0):
    """Values of images i0, i1, ..., two to a patient; patients p00, p01, ..."""
    generator = np.random.default_rng(seed)
    facts = {(i, name): generator.random() for i in range(count) for name in names}
    rows = [
        (
            *(f"i{i:02}", f"p{i // 2:02}", "test", name, method, "", rule, metric),
            *(generator.random(), facts[i, name], 1 + i % 3),
        )
        for i in range(count)
        for name in names
        for method in methods
    ]
    columns = (
        "image_id patient_id split class method repeats threshold_rule metric value probability"
        " n_labels"
    )
    return pd.DataFrame(rows, columns=columns.split())


def facts_of(table, **columns):
    ids = sorted(set(table["image_id"]))
    cycle = {
        "view": ["frontal", "lateral"],
        "projection": ["AP", "PA", None],
        "sex": ["F", "M", None],
        "age": [20, 40, 59, 60, 79, 80, np.nan],
    } | columns
    return pd.DataFrame(
        {"image_id": ids} | {k: [v[i % len(v)] for i in range(len(ids))] for k, v in cycle.items()}
    )


def features_of(table, seed=1):
    generator = np.random.default_rng(seed)
    pairs = table[["image_id", "class"]].drop_duplicates().reset_index(drop=True)
    return pairs.assign(
        instances=np.arange(len(pairs)) % 5 + 1,
        area_ratio=generator.random(len(pairs)),
        elongation=1 + generator.random(len(pairs)),
        irrectangularity=0.5,
    )


def found(table, settings=SETTINGS, manifest=None, features=None):
    manifest = facts_of(table) if manifest is None else manifest
    features = features_of(table) if features is None else features
    return strata(table, manifest, features, settings)


def test_every_stratum_has_the_mean_of_its_own_images():
    table = made()
    manifest, features = facts_of(table), features_of(table)
    rows = found(table).set_index(["class", "variable", "stratum"]).loc["Edema"]
    all_of = table.merge(manifest, on="image_id").merge(features, on=["image_id", "class"])
    area, elongation = (all_of[c].rank(method="first") for c in ("area_ratio", "elongation"))
    p, age = all_of["probability"], all_of["age"]
    expected = {
        ("labels", "single"): all_of["n_labels"] == 1,
        ("labels", "multi"): all_of["n_labels"] > 1,
        ("findings", "single"): all_of["n_labels"] == 1,
        ("findings", "multi"): all_of["n_labels"] > 1,
        ("slice", "all positives"): p > -1,
        ("slice", "true positives"): p >= 0.5,
        ("area", "small"): area <= 8,
        ("area", "medium"): area.between(9, 16),
        ("area", "large"): area >= 17,
        ("instances", "1"): all_of["instances"] == 1,
        ("instances", "2"): all_of["instances"] == 2,
        ("instances", "3 or more"): all_of["instances"].isin([3, 4, 5]),
        ("elongation", "low"): elongation <= 8,
        ("elongation", "middle"): elongation.between(9, 16),
        ("elongation", "high"): elongation >= 17,
        ("probability", "below 0.25"): p < 0.25,
        ("probability", "0.25 to 0.5"): p.between(0.25, 0.5, inclusive="left"),
        ("probability", "0.5 to 0.75"): p.between(0.5, 0.75, inclusive="left"),
        ("probability", "0.75 and above"): p >= 0.75,
        ("view", "frontal"): all_of["view"] == "frontal",
        ("view", "lateral"): all_of["view"] == "lateral",
        ("projection", "AP"): all_of["projection"] == "AP",
        ("projection", "PA"): all_of["projection"] == "PA",
        ("sex", "F"): all_of["sex"] == "F",
        ("sex", "M"): all_of["sex"] == "M",
        ("age", "under 40"): age == 20,
        ("age", "40 to 59"): age.isin([40, 59]),
        ("age", "60 to 79"): age.isin([60, 79]),
        ("age", "80 and over"): age == 80,
    }
    assert list(rows.index) == list(expected)  # and in this order
    assert list(dict.fromkeys(variable for variable, _ in expected)) == list(VARIABLES)
    for key, chosen in expected.items():
        own = all_of[chosen]
        assert rows.loc[key, "mean"] == pytest.approx(own["value"].mean()), key
        assert rows.loc[key, "n_images"] == len(own) == rows.loc[key, "n_masks"]
        assert rows.loc[key, "n_patients"] == own["patient_id"].nunique()


def test_what_another_label_implies_is_no_finding_of_its_own():
    table = made(8)
    labels = pd.DataFrame(
        {
            "Enlarged Cardiomediastinum": [1, 1, 0, 0, 0, 0, 1, 0],
            "Cardiomegaly": [1, -1, 0, 0, 0, 0, 1, 0],
            "Lung Opacity": [0, 0, 1, 1, 1, 0, 1, np.nan],
            "Consolidation": [0, 0, 1, 0, 0, 0, 0, 1],
            "Pneumonia": [0, 0, 1, 1, 0, 1, 0, 0],
            "Support Devices": 1,
        }
    )
    table["n_labels"] = (labels.drop(columns="Support Devices") == 1).sum(axis=1)
    # Cardiomegaly; mediastinum; pneumonia (of three, of two); opacity; pneumonia; two; one.
    findings = [1, 1, 1, 1, 1, 1, 2, 1]
    manifest = pd.concat([facts_of(table), labels], axis=1)
    rows = found(table, manifest=manifest).set_index(["class", "variable", "stratum"])["n_masks"]
    assert rows["Edema", "findings", "single"] == findings.count(1)
    assert rows["Edema", "findings", "multi"] == findings.count(2)
    assert rows["Edema", "labels", "single"] == 4


def test_bins_hold_their_lower_edge():
    table = made(4)
    table["probability"] = [0.25, 0.5, 0.75, 1.0]
    rows = found(table).set_index(["class", "variable", "stratum"]).sort_index()
    rows = rows.loc[("Edema", "probability")]
    assert rows["n_images"].to_dict() == {"0.25 to 0.5": 1, "0.5 to 0.75": 1, "0.75 and above": 2}


def test_difference_in_a_class_leaves_out_patients_one_by_one():
    table = made(30)
    rows = found(table).set_index(["class", "variable", "stratum"])
    multi, single = (rows.loc[("Edema", "labels", name)] for name in ("multi", "single"))
    assert single[["difference", "difference_low", "difference_high"]].isna().all()
    assert (multi["n_classes"], single["n_classes"]) == (1, 0)
    is_multi = table["n_labels"] > 1

    def difference(chosen):
        mean = chosen.groupby(is_multi)["value"].mean()
        return mean[True] - mean[False]

    assert (
        multi["difference"]
        == pytest.approx(difference(table))
        == pytest.approx(multi["mean"] - single["mean"])
    )
    names = sorted(set(table["patient_id"]))
    left = [difference(table[table["patient_id"] != name]) for name in names]
    variance = 14 / 15 * ((left - np.mean(left)) ** 2).sum()
    counts = [table[part].groupby("patient_id").size() for part in (is_multi, ~is_multi)]
    known = min(n.sum() ** 2 / (n**2).sum() for n in counts)
    expected = limits(
        *(np.array([value]) for value in (multi["difference"], variance, known)),
        (-np.ones(1), np.ones(1)),
        0.9,
    )
    assert [multi["difference_low"], multi["difference_high"]] == pytest.approx(np.ravel(expected))


def mixed(count=60, seed=4):
    """Two classes of one method: the harder one is mostly single, and no stratum matters."""
    table = made(count, names=("Edema", "Fracture"), seed=seed)
    hard = table["class"] == "Fracture"
    table["value"] = 0.6 * table["value"] - 0.4 * hard + 0.4
    generator = np.random.default_rng(seed)
    table["n_labels"] = np.where(generator.random(2 * count) < np.where(hard, 0.8, 0.2), 1, 2)
    return table


def within_classes(table):
    """Coefficient of multi-label in least squares with an intercept for each class."""
    design = pd.get_dummies(table["class"]).assign(multi=table["n_labels"] > 1).to_numpy(float)
    return np.linalg.lstsq(design, table["value"].to_numpy(), rcond=None)[0][-1]


def test_pooled_difference_is_least_squares_with_an_intercept_for_each_class():
    table = mixed()
    rows = found(table).set_index(["class", "variable", "stratum"])
    row = rows.loc[("pooled", "labels", "multi")]
    assert row["difference"] == pytest.approx(within_classes(table)) and row["n_classes"] == 2
    own = [within_classes(part) for _, part in table.groupby("class")]
    assert rows.loc[("macro", "labels", "multi"), "difference"] == pytest.approx(np.mean(own))
    # The means of the strata differ by the mix of classes, which the difference leaves out.
    raw = row["mean"] - rows.loc[("pooled", "labels", "single"), "mean"]
    assert raw > 0.15 and abs(row["difference"]) < 0.1
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    left = [within_classes(table[table["patient_id"] != name]) for name in set(table["patient_id"])]
    variance = 29 / 30 * ((left - np.mean(left)) ** 2).sum()
    counts = [
        table[part].groupby("patient_id").size()
        for part in (table["n_labels"] > 1, table["n_labels"] == 1)
    ]
    expected = limits(
        *(
            np.array([value])
            for value in (
                row["difference"],
                variance,
                min(n.sum() ** 2 / (n**2).sum() for n in counts),
            )
        ),
        (-np.ones(1), np.ones(1)),
        0.9,
    )
    assert [row["difference_low"], row["difference_high"]] == pytest.approx(np.ravel(expected))


def test_the_mix_of_classes_alone_is_no_difference():
    wrong = 0
    for seed in range(20):
        row = found(mixed(30, seed)).set_index(["class", "variable", "stratum"])
        row = row.loc[("pooled", "labels", "multi")]
        wrong += not row["difference_low"] <= 0 <= row["difference_high"]
    assert wrong <= 5  # of 20, where one in ten is due


def test_a_class_in_one_stratum_only_tells_nothing_of_the_difference():
    table = mixed()
    table.loc[table["class"] == "Fracture", "n_labels"] = 1
    rows = found(table).set_index(["class", "variable", "stratum"])
    edema = rows.loc[("Edema", "labels", "multi")]
    for name in ("pooled", "macro"):
        row = rows.loc[(name, "labels", "multi")]
        assert row["n_classes"] == 1
        columns = ["difference", "difference_low", "difference_high"]
        assert row[columns].tolist() == pytest.approx(edema[columns].tolist())
    table.loc[table["class"] == "Edema", "n_labels"] = 2
    row = (
        found(table).set_index(["class", "variable", "stratum"]).loc[("pooled", "labels", "multi")]
    )
    assert np.isnan(row["difference"]) and row["n_classes"] == 0
    assert row["note"] == "no class is in single too: no difference"


def test_a_repeated_mask_is_not_in_the_pooled_difference():
    table = mixed()
    again = (table["class"] == "Fracture") & (table["image_id"] < "i30")
    table.loc[again, "repeats"] = "Edema"
    rows = found(table).set_index(["class", "variable", "stratum"])
    expected = within_classes(table[~again])
    assert rows.loc[("pooled", "labels", "multi"), "difference"] == pytest.approx(expected)


def test_an_interval_that_is_not_defined_says_so():
    table = made(30, names=("Edema", "Fracture"))
    # In Fracture one patient alone is single.
    first = table["patient_id"] == "p00"
    table["n_labels"] = np.where(first, 1, 2)
    edema = (table["class"] == "Edema") & (table["image_id"] < "i12")
    table.loc[edema, "n_labels"] = 1
    row = found(table).set_index(["class", "variable", "stratum"]).loc[("macro", "labels", "multi")]
    assert np.isfinite(row["difference"]) and np.isnan(row["difference_low"])
    assert row["note"] == "not defined without one of the patients: no interval"


def test_what_equals_a_tercile_is_in_the_lower_third():
    table = made(4)
    features = features_of(table).assign(area_ratio=[0.1, 0.2, 0.3, 0.4])  # terciles 0.2, 0.3
    rows = found(table, features=features).set_index(["class", "variable", "stratum"]).sort_index()
    expected = {"small": 2, "medium": 1, "large": 1}
    assert rows.loc[("Edema", "area"), "n_masks"].to_dict() == expected


def test_thirds_are_of_each_class():
    table = made(9, names=("Cardiomegaly", "Lung Lesion"))
    features = features_of(table)
    large = features["class"] == "Cardiomegaly"
    features["area_ratio"] = np.where(large, 0.2, 0.01) + np.arange(len(features)) / 10_000
    rows = found(table, features=features).set_index(["class", "variable", "stratum"]).sort_index()
    for name in ("Cardiomegaly", "Lung Lesion"):
        assert rows.loc[(name, "area"), "n_masks"].tolist() == [3, 3, 3]
    assert rows.loc[("pooled", "area"), "n_masks"].tolist() == [6, 6, 6]


def test_only_headline_metrics_of_test_and_rules_that_one_can_use():
    table = pd.concat(
        [
            made(),
            made(rule="best"),
            made(metric="dice"),
            made(metric="box_iou"),
            made(metric="false_alarm_area"),
            made(metric="hit_rate", rule="none"),
            made().assign(split="tune"),
        ]
    )
    rows = found(table)
    assert list(rows.columns) == STRATA
    assert set(rows["metric"]) == {"iou", "hit_rate", "box_iou"}
    assert set(rows["threshold_rule"]) == {"otsu", "none"}
    assert rows["n_masks"].max() == 24


def test_what_is_not_known_is_in_no_stratum():
    table = made(12)
    nothing = features_of(table).head(0)
    unknown = facts_of(table, sex=[None], age=[np.nan], view=["frontal"])
    rows = found(table.assign(n_labels=0), manifest=unknown, features=nothing)
    assert set(rows["variable"]) == {"slice", "probability", "view", "projection"}


def test_few_patients_are_noted_also_those_of_the_first_stratum():
    table = made(12)
    table["n_labels"] = [1] * 4 + [2] * 8
    settings = replace(SETTINGS, min_patients=4)
    rows = found(table, settings).set_index(["class", "variable", "stratum"])
    single, multi = (rows.loc[("Edema", "labels", name)] for name in ("single", "multi"))
    assert single["note"] == "2 patients, fewer than 4: no interval"
    assert np.isnan(single["low"]) and not np.isnan(multi["low"])
    assert multi["note"] == "2 patients, fewer than 4: no interval"
    assert np.isnan(multi["difference_low"]) and not np.isnan(multi["difference"])


def test_order_of_rows_changes_nothing():
    table = made(names=("Edema", "Fracture"), methods=("cam", "lime"))
    manifest, features = facts_of(table), features_of(table)
    shuffled = [part.sample(frac=1, random_state=3) for part in (table, manifest, features)]
    pd.testing.assert_frame_equal(
        strata(table, manifest, features, SETTINGS), strata(*shuffled, SETTINGS)
    )


def test_no_values_give_an_empty_table():
    table = made(2)
    assert list(found(table.head(0), manifest=facts_of(table)).columns) == STRATA
