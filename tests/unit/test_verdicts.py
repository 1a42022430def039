"""Verdicts on differences: each of them in a case where it is due."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shamsul.evaluate.parameters import Comparison
from shamsul.evaluate.verdicts import TESTED, VERDICTS
from shamsul.evaluate.verdicts import tested as judged

NOISE = np.random.default_rng(0).normal(0, 1, 30)


def judge(*columns, metric="iou", least=5, margin=0.05):
    differences = np.column_stack(columns)
    number = (~np.isnan(differences)).sum(axis=0)
    options = Comparison(0.95, least, "random", margin)
    weights, patients = np.ones_like(differences), np.arange(len(differences))
    found = judged(differences, patients, number, metric, options, 0, weights)
    assert list(found) == TESTED and set(found["verdict"]) <= set(VERDICTS)
    return found


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("iou", ["better", "worse"]),
        ("box_iou", ["better", "worse"]),
        ("max_sensitivity", ["worse", "better"]),
    ],
)
def test_a_difference_is_judged_in_the_metrics_direction(metric, expected):
    assert judge(1 + 0.1 * NOISE, -1 + 0.1 * NOISE, metric=metric)["verdict"] == expected


def test_what_is_not_told_apart_is_equivalent_open_or_beyond_these_patients():
    wide, close = NOISE - NOISE.mean(), (NOISE - NOISE.mean()) / 200
    found = judge(wide, close, np.zeros(30))
    assert found["verdict"] == ["not distinguishable", "equivalent", "the same"]
    assert found["note"] == ["", "", "no value differs: no interval"]
    # Five patients have 32 flips; two of them are as extreme as any.
    found = judge(1 + 0.01 * NOISE[:5])
    assert found["verdict"] == ["cannot be told"] and found["p_least"].tolist() == [2 / 32]
    assert judge(NOISE[:4])["verdict"] == [""]
    assert judge(NOISE[:4])["note"] == ["4 patients, fewer than 5: no interval"]


def test_nothing_is_equivalent_where_the_margin_has_no_meaning():
    # The lift has no upper bound, so that 0.05 of it is nothing one can judge.
    close = (NOISE - NOISE.mean()) / 200
    found = judge(close, metric="auprc_lift")
    assert found["verdict"] == ["not distinguishable"] and np.isnan(found["p_equivalent"]).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 14), st.integers(1, 8), st.integers(0, 10**6), st.floats(0, 1))
def test_no_verdict_contradicts_its_interval(patients, methods, seed, shift):
    generator = np.random.default_rng(seed)
    differences = generator.normal(0, 0.3, (patients, methods)) + shift * np.arange(methods) / 4
    found = judge(*differences.T, least=4)
    for place, verdict in enumerate(found["verdict"]):
        low, high = found["low"][place], found["high"][place]
        if verdict in ("better", "worse"):
            assert np.isnan(low) or (low >= 0 if verdict == "better" else high <= 0)
        elif verdict:
            assert np.isnan(low) or low <= 0 <= high
        if verdict == "cannot be told":
            assert found["p_least"][place] >= 0.05 and np.isnan(found["detectable"][place])
        if verdict == "equivalent":
            assert abs(found["difference"][place]) < 0.05
        assert (verdict == "") == bool(patients < 4) == bool(np.isnan(found["p"][place]))
