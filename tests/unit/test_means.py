"""Means by group with intervals over patients, and the settings that they are made with."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shamsul.errors import InputError
from shamsul.evaluate.intervals import limits
from shamsul.evaluate.means import MEANS, means
from shamsul.evaluate.parameters import (
    Comparison,
    Inference,
    Measurement,
    Protocol,
    Stratification,
)
from shamsul.evaluate.settings import Chexlocalize, Evaluate

SETTINGS = Inference(0.9, 2)


def table(values, patients=3):
    """Images i0, i1, ... of classes a and b in turn."""
    names = [(f"p{n % patients}", f"i{n}", "ab"[n % 2], "cam") for n in range(len(values))]
    found = pd.DataFrame(names, columns=["patient_id", "image_id", "class", "method"])
    return found.assign(iou=values, hit_rate=1.0)


def test_groups_are_the_classes_and_all_of_them():
    found = means(table([1.0, 2.0, 3.0, np.nan]), ["iou", "hit_rate"], ["method"], SETTINGS)
    assert list(found) == ["method", "class", "metric", *MEANS]
    assert found["class"].tolist() == ["pooled"] * 2 + ["macro"] * 2 + ["a"] * 2 + ["b"] * 2
    iou = found[found["metric"] == "iou"].set_index("class")
    assert iou["mean"].to_dict() == {"pooled": 2.0, "macro": 2.0, "a": 2.0, "b": 2.0}
    assert iou["n_masks"].to_dict() == {"pooled": 3, "macro": 3, "a": 2, "b": 1}
    assert iou["n_patients"].to_dict() == {"pooled": 3, "macro": 3, "a": 2, "b": 1}
    assert np.isnan(iou.at["b", "low"]) and "1 patient, fewer than 2" in iou.at["b", "note"]


def test_the_mean_over_classes_by_hand_with_its_interval():
    # Class a of ten patients, b of five of them: not the mean of all fifteen.
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "patient_id": [f"p{n}" for n in range(10)] + [f"p{n}" for n in range(5)],
            "image_id": [f"i{n}" for n in range(10)] + [f"i{n}" for n in range(5)],
            "class": ["a"] * 10 + ["b"] * 5,
            "method": "cam",
            "iou": generator.random(15),
        }
    )
    row = means(rows, ["iou"], ["method"], SETTINGS).set_index("class").loc["macro"]
    a, b = (rows.loc[rows["class"] == name].set_index("patient_id")["iou"] for name in "ab")
    assert row["mean"] == pytest.approx((a.mean() + b.mean()) / 2)
    assert row[["n_masks", "n_images", "n_patients"]].tolist() == [15, 10, 10]
    # The jackknife leaves a patient out of both classes.
    left = [(a.drop(name).mean() + b.drop(name, errors="ignore").mean()) / 2 for name in a.index]
    variance = 9 / 10 * ((left - np.mean(left)) ** 2).sum()
    weights = np.array([1 / 10 + 1 / 5] * 5 + [1 / 10] * 5)
    known = weights.sum() ** 2 / (weights**2).sum()
    expected = limits(
        *(np.array([value]) for value in (row["mean"], variance, known)),
        (np.zeros(1), np.ones(1)),
        0.9,
    )
    assert [row["low"], row["high"]] == pytest.approx(np.ravel(expected))


def test_a_mean_over_classes_needs_every_class_without_each_patient():
    # Class b is of one patient, without whom there is no mean over both classes.
    found = means(table([1.0, 0.5, 0.2, np.nan, 0.4]), ["iou"], ["method"], SETTINGS)
    row = found.set_index("class").loc["macro"]
    assert row["mean"] == pytest.approx((1.6 / 3 + 0.5) / 2) and np.isnan(row["low"])
    assert row["note"] == "not defined without one of the patients: no interval"


def test_a_class_that_is_a_key_is_not_pooled():
    found = means(table([1.0, 2.0, 4.0]), ["iou"], ["class", "method"], SETTINGS)
    assert found[["class", "mean"]].to_numpy().tolist() == [["a", 2.5], ["b", 2.0]]


def test_what_is_beside_is_one_matrix():
    first, second = table([1.0, 2.0, 3.0]), table([3.0, 2.0, 4.0]).assign(method="lrp")
    found = means(pd.concat([first, second]), "iou", [], SETTINGS, beside=["method"])
    pooled = found[found["class"] == "pooled"].set_index("method")
    assert pooled["mean"].to_dict() == {"cam": 2.0, "lrp": 3.0}
    assert means(first.head(0), "iou", [], SETTINGS, beside=["method"]).empty


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=12), st.randoms())
def test_the_order_of_rows_does_not_matter(values, random):
    rows = table(values)
    order = list(range(len(rows)))
    random.shuffle(order)
    pd.testing.assert_frame_equal(
        means(rows, ["iou"], ["method"], SETTINGS),
        means(rows.iloc[order], ["iou"], ["method"], SETTINGS),
        check_exact=True,
    )


@pytest.mark.parametrize("kind", [Inference, Measurement, Comparison, Stratification])
def test_settings_are_keys_of_the_configuration(kind):
    given = json.loads(Evaluate().model_dump_json())
    assert set(kind.names()) <= set(Evaluate.model_fields)
    assert set(asdict(kind.of(given))) == set(kind.names())
    with pytest.raises(InputError, match="confidence missing"):
        kind.of({key: value for key, value in given.items() if key != "confidence"})


def test_the_protocols_settings_are_its_section():
    assert set(Protocol.names()) == set(Chexlocalize.model_fields)
