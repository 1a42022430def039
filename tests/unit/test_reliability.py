"""Temperatures, calibration errors and reliability bins."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from shamsul.errors import InputError
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.reliability import (
    BIN_COLUMNS,
    BINS,
    RELIABILITY,
    SCALINGS,
    reliability,
    temperature,
)
from shamsul.report.sections.calibration import diagrams, errors
from shamsul.tables import TABLES

SETTINGS = Inference(0.95, 2)


def frames(logits, labels, split="test", patients=None):
    """Predictions and manifest of logits (N, C) and labels (N, C)."""
    count, classes = logits.shape
    names = [chr(ord("a") + number) for number in range(classes)]
    ids = [f"{split}{number:04}" for number in range(count)]
    manifest = pd.DataFrame({"image_id": ids, "patient_id": patients or ids, "split": split})
    for number, name in enumerate(names):
        manifest[name] = labels[:, number]
    return (
        pd.DataFrame(
            {
                "image_id": np.repeat(ids, classes),
                "class": names * count,
                "logit": logits.ravel(),
            }
        ),
        manifest,
    )


def both(*parts):
    predictions, manifests = zip(*parts, strict=True)
    return pd.concat(predictions, ignore_index=True), pd.concat(manifests, ignore_index=True)


def drawn(count, scale, seed, classes=2, split="test"):
    """Labels drawn from probabilities, and logits that are `scale` times too large."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1.5, (count, classes))
    labels = (rng.random((count, classes)) < expit(true)).astype(float)
    return frames(scale * true, labels, split)


# Temperatures


def test_temperature_by_hand():
    # Logits of +-z, of which a share q is right: b z = logit(q).
    logits = np.array([2.0] * 4 + [-2.0] * 4)
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 1])
    assert temperature(logits, labels) == pytest.approx(2 / logit(0.75))


def test_temperature_equals_logistic_regressions_only_coefficient():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 400)
    labels = (rng.random(400) < expit(logits / 2.5)).astype(float)
    plain = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(
        logits[:, None], labels
    )
    found = temperature(logits, labels)
    assert found == pytest.approx(1 / plain.coef_[0, 0], rel=1e-5)
    assert found == pytest.approx(2.5, rel=0.25)
    assert temperature(7 * logits, labels) == pytest.approx(7 * found)
    assert temperature(-logits, 1 - labels) == pytest.approx(found)


def test_there_is_no_temperature_where_the_loss_has_no_least_value():
    right = np.array([1.0, 2.0, -1.0])
    assert math.isnan(temperature(right, np.array([1.0, 1.0, 0.0]))), "the colder the better"
    assert math.isnan(temperature(right, np.array([0.0, 0.0, 1.0]))), "the hotter the better"
    assert math.isnan(temperature(np.array([]), np.array([])))
    assert math.isnan(temperature(np.zeros(3), np.array([0.0, 1.0, 1.0])))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-8, 8), st.booleans()), min_size=1, max_size=30))
def test_no_other_temperature_has_a_smaller_loss(rows):
    logits, labels = (np.array(part, float) for part in zip(*rows, strict=True))
    found = temperature(logits, labels)
    if math.isnan(found):
        return

    def loss(t):
        return np.logaddexp(0, -logits / t * (2 * labels - 1)).sum()

    assert found > 0
    for factor in (0.5, 0.99, 1.01, 2):
        assert loss(found) <= loss(found * factor) + 1e-9


# Errors


def test_error_by_hand():
    # Bins 0.2..0.3 (predicted 0.25 twice: one is there) and 0.9..1 (0.95 once: not there).
    probability = np.array([[0.25], [0.25], [0.95]])
    table, bins = reliability(*frames(logit(probability), np.array([[1.0], [0], [0]])), SETTINGS)
    row = table[(table["class"] == "a") & (table["scaling"] == "none")].iloc[0]
    assert row["ece"] == pytest.approx((abs(1 - 0.5) + 0.95) / 3)
    assert row["loss"] == pytest.approx(-(math.log(0.25) + math.log(0.75) + math.log(0.05)) / 3)
    chance = math.sqrt(2 / math.pi * 2 * 0.25 * 0.75) + math.sqrt(2 / math.pi * 0.95 * 0.05)
    assert row["ece_by_chance"] == pytest.approx(chance / 3)
    assert (row["n"], row["n_positive"], row["n_patients"]) == (3, 1, 3)
    assert 0 <= row["ece_low"] < row["ece"] < row["ece_high"] <= 1
    first, second = bins[(bins["class"] == "a") & (bins["scaling"] == "none")].to_dict("records")
    assert (first["bin_low"], first["bin_high"], first["n"]) == (0.2, 0.3, 2)
    assert (first["probability"], first["positive"]) == (pytest.approx(0.25), 0.5)
    assert (second["bin_low"], second["positive"], second["n"]) == (0.9, 0, 1)
    assert np.isnan(second["positive_low"]) and "fewer than 2" in second["note"]


def test_bins_equal_scikit_learns():
    predictions, manifest = drawn(500, 1.7, 0, classes=1)
    _, bins = reliability(predictions, manifest, SETTINGS)
    part = bins[(bins["class"] == "a") & (bins["scaling"] == "none")]
    probability = expit(predictions["logit"].to_numpy())
    share, mean = calibration_curve(manifest["a"], probability, n_bins=BINS)
    np.testing.assert_allclose(part["positive"], share)
    np.testing.assert_allclose(part["probability"], mean)
    assert part["n"].sum() == 500
    assert ((part["positive_low"] <= share) & (share <= part["positive_high"])).all()


def test_pooled_counts_every_label_once_and_leaves_out_what_is_not_certain():
    predictions, manifest = drawn(60, 1.0, 1)
    manifest.loc[:29, "b"] = np.nan
    manifest.loc[30:34, "b"] = -1
    table, bins = reliability(predictions, manifest, SETTINGS)
    plain = table[table["scaling"] == "none"].set_index("class")
    assert plain["n"].to_dict() == {"a": 60, "b": 25, "pooled": 85}
    # The error of all is that of a class that has all labels.
    wide = predictions.pivot(index="image_id", columns="class", values="logit")
    known = manifest["b"].isin((0, 1)).to_numpy()
    logits = np.concatenate([wide["a"], wide["b"][known]])[:, None]
    labels = np.concatenate([manifest["a"], manifest["b"][known]])[:, None]
    patients = [*manifest["patient_id"], *manifest["patient_id"][known]]
    alone, _ = reliability(*frames(logits, labels, patients=patients), SETTINGS)
    one = alone[(alone["class"] == "a") & (alone["scaling"] == "none")].iloc[0]
    for column in ("ece", "ece_low", "ece_high", "ece_by_chance", "loss"):
        assert plain.loc["pooled", column] == pytest.approx(one[column]), column
    assert bins[bins["class"] == "pooled"].groupby("scaling")["n"].sum()["none"] == 85


def test_temperature_of_tune_mends_test():
    hot = both(drawn(2000, 3.0, 0, split="tune"), drawn(2000, 3.0, 1))
    table = reliability(*hot, SETTINGS)[0].set_index(["split", "class", "scaling"]).sort_index()
    assert table.loc[("test", "a", "shared"), "temperature"] == pytest.approx(3, rel=0.1)
    for name in ("a", "b", "pooled"):
        before, after = (table.loc[("test", name, scaling)] for scaling in ("none", "shared"))
        assert before["ece"] > 0.1 > 2.5 * after["ece_by_chance"] > after["ece"]
        assert before["loss"] > after["loss"] and before["temperature"] == 1
    same = table.loc[("tune", "pooled")]["loss"]
    assert same["class"] <= same["shared"] <= same["none"]
    assert np.isnan(table.loc[("test", "pooled", "class"), "temperature"])


def test_a_perfect_forecast_has_the_error_of_chance():
    found = [
        reliability(*drawn(300, 1.0, seed, classes=1), SETTINGS)[0].iloc[0] for seed in range(60)
    ]
    mean, chance = (np.mean([row[c] for row in found]) for c in ("ece", "ece_by_chance"))
    assert mean == pytest.approx(chance, rel=0.1)


def test_without_a_temperature_there_is_no_error_and_a_note():
    predictions, manifest = drawn(50, 1.0, 0)  # nothing on tune
    table, bins = reliability(predictions, manifest, SETTINGS)
    scaled = table[table["scaling"] != "none"]
    assert scaled["ece"].isna().all() and scaled["temperature"].isna().all()
    assert set(scaled["note"]) == {"no certain label, or no temperature on tune"}
    assert set(bins["scaling"]) == {"none"}


def test_tables_are_as_declared_and_do_not_depend_on_order():
    predictions, manifest = both(drawn(40, 1.0, 0, split="tune"), drawn(40, 1.0, 1))
    found = reliability(predictions, manifest, SETTINGS)
    for table, name, columns in zip(
        found, ("reliability", "reliability_bins"), (RELIABILITY, BIN_COLUMNS), strict=True
    ):
        assert list(table) == columns == list(TABLES[name].columns)
        assert set(table["scaling"]) == set(SCALINGS)
    shuffled = predictions.sample(frac=1, random_state=0)
    again = reliability(shuffled.sort_values("class", kind="stable"), manifest, SETTINGS)
    for one, other in zip(found, again, strict=True):
        pd.testing.assert_frame_equal(one, other)
    empty = reliability(predictions[:0], manifest[:0], SETTINGS)
    assert [len(table) for table in empty] == [0, 0]
    with pytest.raises(InputError, match="has no prediction"):
        reliability(predictions[2:], manifest, SETTINGS)


def test_section_shows_every_class_and_both_diagrams():
    table, bins = reliability(*both(drawn(40, 1.0, 0, split="tune"), drawn(40, 1.0, 1)), SETTINGS)
    rows = errors(table)
    assert [row["name"] for row in rows] == ["a", "b", "pooled"]
    assert rows[0]["by_shared"]["split"] == "test"
    shown = diagrams(bins)
    assert [title for title, _ in shown] == ["As predicted", "One temperature"]
    pooled = bins[(bins["split"] == "test") & (bins["class"] == "pooled")]
    assert shown[0][1].count("<circle") == (pooled["scaling"] == "none").sum()
    assert errors(table[:0]) == [] and diagrams(bins[:0]) == []
