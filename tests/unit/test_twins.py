"""Controls that are there twice under other names: nothing tells the same apart."""

import numpy as np
import pandas as pd
import pytest

from shamsul.evaluate.comparisons import comparisons
from shamsul.evaluate.gains import gains
from shamsul.evaluate.parameters import Comparison, Stratification
from shamsul.evaluate.regressions import regressions
from shamsul.evaluate.strata import strata

CLASSES = ("Atelectasis", "Cardiomegaly", "Edema", "Pneumothorax")
SETTINGS = Comparison(0.95, 5, "random", 0.05)
STRATIFIED = Stratification(0.95, 5, ("tuned",), 0.5)
ROLES = {"baseline": "random", "prior": "mean_mask", "radiologist": None}
TWINS = {"noise": "random", "place": "mean_mask"}


@pytest.fixture(scope="module")
def table():
    """Classes differ in size, difficulty and confidence; no method knows more than the class."""
    rng = np.random.default_rng(5)
    rows = []
    for patient in range(40):
        for name in rng.choice(CLASSES, rng.integers(1, 4), replace=False):
            of_class = CLASSES.index(name)
            probability = np.clip(0.25 + 0.2 * of_class + rng.normal(0, 0.15), 0, 1)
            values = {"random": 0.05 + 0.1 * of_class, "mean_mask": 0.1 + 0.2 * of_class}
            values = {method: v + rng.uniform(-0.04, 0.04) for method, v in values.items()}
            values["grad_cam"] = np.clip(0.2 + 0.3 * probability + rng.normal(0, 0.05), 0, 1)
            values |= {twin: values[method] for twin, method in TWINS.items()}
            for method, value in values.items():
                for metric, rule in (("iou", "tuned"), ("hit_rate", "none")):
                    drawn = float(rng.random() < value) if method == "grad_cam" else value
                    rows.append(
                        {
                            "image_id": f"i{patient:02}",
                            "patient_id": f"p{patient:02}",
                            "split": "test",
                            "class": str(name),
                            "method": method,
                            "repeats": "",
                            "threshold_rule": rule,
                            "metric": metric,
                            "value": drawn if metric == "hit_rate" else value,
                            "probability": probability,
                            "n_labels": 1 + patient % 3,
                        }
                    )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def features(table):
    rng = np.random.default_rng(6)
    found = table[["image_id", "class"]].drop_duplicates().sort_values(["image_id", "class"])
    return found.assign(
        instances=rng.integers(1, 4, len(found)),
        area_ratio=rng.uniform(0.01, 0.3, len(found)),
        elongation=rng.uniform(1, 3, len(found)),
        irrectangularity=rng.uniform(0, 0.5, len(found)),
    )


@pytest.fixture(scope="module")
def manifest(table):
    images = table["image_id"].drop_duplicates()
    labels = {name: images.isin(table.loc[table["class"] == name, "image_id"]) for name in CLASSES}
    return pd.DataFrame(
        {"image_id": images, "view": "frontal", "projection": "PA", "sex": "F", "age": 50.0}
        | {name: shown.astype(float) for name, shown in labels.items()}
    )


def assert_alike(found, columns, key):
    """Rows of the twins are those of the methods that they repeat."""
    for twin, method in TWINS.items():
        pair = [
            found[found["method"] == name].set_index(key)[columns].sort_index()
            for name in (twin, method)
        ]
        shared = pair[0].index.intersection(pair[1].index)
        assert len(shared) > 4
        pd.testing.assert_frame_equal(pair[0].loc[shared], pair[1].loc[shared])


def test_no_verdict_tells_twins_apart(table):
    found = comparisons(table, SETTINGS, 1)
    pairs = set(map(frozenset, TWINS.items()))
    of = [frozenset(pair) for pair in zip(found["method_a"], found["method_b"], strict=True)]
    between = found[[pair in pairs for pair in of]]
    assert len(between) == 2 * 2 * (len(CLASSES) + 2)
    assert set(between["verdict"]) == {"the same"} and (between["p_adjusted"] == 1).all()
    assert (between["difference"] == 0).all()
    # Others are told apart, so that the test could have.
    assert {"better", "worse"} <= set(found["verdict"])


def test_twins_gain_the_same(table):
    found = gains(table, SETTINGS, ROLES, 1)
    columns = ["difference", "low", "high", "p", "p_adjusted", "detectable", "verdict"]
    assert_alike(found, columns, ["reference", "class", "threshold_rule", "metric"])
    own = found[(found["reference_method"] == "random") & (found["method"] == "noise")]
    assert set(own["verdict"]) == {"the same"}


def test_no_stratum_or_regression_tells_twins_apart(table, features, manifest):
    found = strata(table, manifest, features, STRATIFIED)
    key = ["variable", "stratum", "class", "threshold_rule", "metric"]
    assert_alike(found, ["mean", "difference", "difference_low", "difference_high"], key)
    lines = regressions(table, features, STRATIFIED, {}, 1)
    key = ["outcome", "threshold_rule", "class", "predictor"]
    assert_alike(lines, ["slope", "low", "high", "p", "spearman", "images_slope"], key)


def test_the_mix_of_classes_is_no_effect_of_confidence(table, features):
    """Mixed, controls rise with the probability; within classes they do not, and Grad-CAM does."""
    lines = regressions(table, features, STRATIFIED, {}, 1)
    own = lines[(lines["predictor"] == "probability") & (lines["outcome"] == "iou")]
    own = own[own["class"] == "pooled"].set_index("method")
    for control in ("random", "mean_mask"):
        assert own.loc[control, "images_p"] < 1e-6 and own.loc[control, "images_slope"] > 0.1
        assert own.loc[control, "p_adjusted"] > 0.05
        assert own.loc[control, "low"] < 0 < own.loc[control, "high"]
    assert own.loc["grad_cam", "p_adjusted"] < 0.05 and own.loc["grad_cam", "low"] > 0


def test_the_mix_of_classes_is_no_effect_of_a_stratum(table, features, manifest):
    """Single-label images are of other classes than multi-label ones."""
    easy = table["class"].isin(CLASSES[2:])
    mixed = table.assign(n_labels=np.where(easy, 1, 2))
    rng = np.random.default_rng(2)
    swapped = rng.random(len(mixed)) < 0.3
    mixed["n_labels"] = np.where(swapped, 3 - mixed["n_labels"], mixed["n_labels"])
    by_image = mixed.groupby(["image_id", "class"])["n_labels"].transform("first")
    found = strata(mixed.assign(n_labels=by_image), manifest, features, STRATIFIED)
    own = found[(found["variable"] == "labels") & (found["class"] == "pooled")]
    own = own[(own["metric"] == "iou") & (own["stratum"] == "multi")].set_index("method")
    single = found[(found["variable"] == "labels") & (found["class"] == "pooled")]
    single = single[(single["metric"] == "iou") & (single["stratum"] == "single")]
    apart = own["mean"] - single.set_index("method")["mean"]
    for control in ("random", "mean_mask"):
        assert abs(apart[control]) > 0.05  # of the means: owed to the mix alone
        assert own.loc[control, "difference_low"] < 0 < own.loc[control, "difference_high"]
    assert (own["n_classes"] == len(CLASSES)).all()


def test_where_no_class_is_in_both_nothing_is_estimated(table, features, manifest):
    mixed = table.assign(n_labels=np.where(table["class"].isin(CLASSES[:2]), 1, 2))
    found = strata(mixed, manifest, features, STRATIFIED)
    own = found[(found["variable"] == "labels") & (found["stratum"] == "multi")]
    own = own[own["class"] == "pooled"]
    assert own["difference"].isna().all() and (own["n_classes"] == 0).all()
    assert own["note"].str.contains("no class is in single too").all()
