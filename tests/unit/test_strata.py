"""Strata of the test set: their members, means and differences."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from shamsul.evaluate.statistics import patient_weights

from shamsul.evaluate.parameters import Stratification
from shamsul.evaluate.strata import STRATA, VARIABLES, strata

SETTINGS = Stratification(
    **{
        "replicates": 300,
        "confidence": 0.9,
        "interval": "percentile",
        "min_patients": 3,
        "true_positive": 0.5,
        "thresholds": ["otsu"],
    }
)


def made(count=24, names=("Edema",), methods=("cam",), metric="iou", rule="otsu", seed=0):
    """Values of images i0, i1, ..., two to a patient; patients p00, p01, ..."""
    generator = np.random.default_rng(seed)
    facts = {(i, name): generator.random() for i in range(count) for name in names}
    rows = [
        (
            *(f"i{i:02}", f"p{i // 2:02}", "test", name, method, rule, metric),
            *(generator.random(), facts[i, name], 1 + i % 3),
        )
        for i in range(count)
        for name in names
        for method in methods
    ]
    columns = (
        "image_id patient_id split class method threshold_rule metric value probability n_labels"
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
    return strata(table, manifest, features, settings, 0)


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


def test_difference_against_replicates_one_by_one():
    table = made(30)
    rows = found(table).set_index(["class", "variable", "stratum"])
    multi, single = (rows.loc[("Edema", "labels", name)] for name in ("multi", "single"))
    assert multi["difference"] == pytest.approx(multi["mean"] - single["mean"])
    assert single[["difference", "difference_low", "difference_high"]].isna().all()
    values = table["value"].to_numpy().reshape(15, 2)
    is_multi = table["n_labels"].to_numpy().reshape(15, 2) > 1
    differences, singles = [], []
    for weights in patient_weights(15, 300, 0):
        w = np.repeat(weights[:, None], 2, axis=1)
        mean = [np.average(values[part], weights=w[part]) for part in (is_multi, ~is_multi)]
        differences.append(mean[0] - mean[1])
        singles.append(mean[1])
    limits = np.quantile(differences, [0.05, 0.95])
    assert [multi["difference_low"], multi["difference_high"]] == pytest.approx(limits)
    assert [single["low"], single["high"]] == pytest.approx(np.quantile(singles, [0.05, 0.95]))


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
    assert multi["note"] == "single: 2 patients, fewer than 4: no interval"
    assert np.isnan(multi["difference_low"]) and not np.isnan(multi["difference"])


def test_order_of_rows_changes_nothing():
    table = made(names=("Edema", "Fracture"), methods=("cam", "lime"))
    manifest, features = facts_of(table), features_of(table)
    shuffled = [part.sample(frac=1, random_state=3) for part in (table, manifest, features)]
    pd.testing.assert_frame_equal(
        strata(table, manifest, features, SETTINGS, 0), strata(*shuffled, SETTINGS, 0)
    )


def test_no_values_give_an_empty_table():
    table = made(2)
    assert list(found(table.head(0), manifest=facts_of(table)).columns) == STRATA
