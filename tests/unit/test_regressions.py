"""Regressions on shape and confidence, against the normal equations and resamples one by one."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from shamsul.evaluate.features import FEATURES
from shamsul.evaluate.parameters import Stratification
from shamsul.evaluate.regressions import REGRESSIONS, regressions, slope
from shamsul.evaluate.statistics import patient_weights

SETTINGS = Stratification(
    **{
        "replicates": 200,
        "confidence": 0.95,
        "interval": "percentile",
        "min_patients": 5,
        "thresholds": ["otsu", "best"],
        "true_positive": 0.5,
    }
)
ROLES = {"baseline": "cam", "prior": None, "radiologist": "reader"}


def made(count=40, names=("Edema", "Fracture"), methods=("cam", "reader"), kind="", seed=0):
    generator = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        for name in names:
            probability = generator.random()
            for method in methods:
                for rule, metric in (("otsu", "iou"), ("best", "iou"), ("none", "hit_rate")):
                    value = 0.4 * probability + 0.6 * generator.random()
                    value = value if metric == "iou" else float(value > 0.5)
                    names_ = (f"i{i:02}", f"p{i // 2:02}", "test", name, method, rule)
                    rows.append((*names_, kind + metric, value, probability, 1))
    columns = (
        "image_id patient_id split class method threshold_rule metric value probability n_labels"
    )
    return pd.DataFrame(rows, columns=columns.split())


def features_of(table, seed=1):
    generator = np.random.default_rng(seed)
    pairs = table[["image_id", "class"]].drop_duplicates().reset_index(drop=True)
    return pairs.assign(
        instances=generator.integers(1, 5, len(pairs)),
        area_ratio=generator.random(len(pairs)) / 5,
        elongation=1 + 5 * generator.random(len(pairs)),
        irrectangularity=generator.random(len(pairs)),
    )


def found(table, features=None, roles=ROLES, settings=SETTINGS):
    features = features_of(table) if features is None else features
    index = ["outcome", "class", "predictor", "method"]
    return regressions(table, features, settings, roles, 0).set_index(index).sort_index()


def least_squares(x, y):
    """Slope, its 95 % t interval and p, from the normal equations."""
    design = np.column_stack([np.ones_like(x), x])
    solution, (residual,), *_ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(x) - 2
    error = np.sqrt(residual / freedom * np.linalg.inv(design.T @ design)[1, 1])
    reach = stats.t.ppf(0.975, freedom) * error
    p = 2 * stats.t.sf(abs(solution[1] / error), freedom)
    return solution[1], solution[1] - reach, solution[1] + reach, p


@pytest.mark.parametrize("predictor", FEATURES)
def test_features_as_the_normal_equations_give_them(predictor):
    table = made()
    features = features_of(table)
    row = found(table, features).loc[("iou", "pooled", predictor, "cam")]
    own = table[(table["method"] == "cam") & (table["threshold_rule"] == "otsu")]
    joined = own.merge(features, on=["image_id", "class"])
    raw = joined[predictor].to_numpy(float)
    x = (raw - raw.min()) / (raw.max() - raw.min())
    expected = least_squares(x, joined["value"].to_numpy())
    assert [row["minimum"], row["maximum"]] == [raw.min(), raw.max()]
    assert row[["slope", "low", "high", "p"]].tolist() == pytest.approx(expected)
    assert row["p_adjusted"] == pytest.approx(min(1, 4 * row["p"]))
    assert row[["n_masks", "n_images", "n_patients"]].tolist() == [80, 40, 20]


def test_probability_by_class_with_ranks():
    table = made()
    rows = found(table)
    for name in ("Edema", "Fracture", "pooled"):
        row = rows.loc[("hit_rate", name, "probability", "cam")]
        own = table[(table["method"] == "cam") & (table["metric"] == "hit_rate")]
        own = own if name == "pooled" else own[own["class"] == name]
        x, y = own["probability"].to_numpy(), own["value"].to_numpy()
        assert row[["slope", "low", "high", "p"]].tolist() == pytest.approx(least_squares(x, y))
        assert row["p_adjusted"] == row["p"]
        # Pearson's correlation of the ranks, and Fisher's interval.
        rank = np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1]
        reach = 1.959964 / np.sqrt(len(x) - 3)
        limits = np.tanh([np.arctanh(rank) - reach, np.arctanh(rank) + reach])
        assert row["spearman"] == pytest.approx(rank)
        assert [row["spearman_low"], row["spearman_high"]] == pytest.approx(limits)


def test_patient_interval_against_replicates_one_by_one():
    table = made(names=("Edema",))
    row = found(table).loc[("iou", "Edema", "probability", "cam")]
    own = table[(table["method"] == "cam") & (table["threshold_rule"] == "otsu")]
    x, y = (own[c].to_numpy() for c in ("probability", "value"))
    slopes = [
        np.polyfit(x, y, 1, w=np.sqrt(np.repeat(weights, 2)))[0]
        for weights in patient_weights(20, 200, 0)
    ]
    limits = np.quantile(slopes, [0.025, 0.975])
    assert [row["patient_low"], row["patient_high"]] == pytest.approx(limits)


def test_gap_is_the_radiologists_less_the_methods():
    table = made()
    rows = found(table)
    wide = table[table["threshold_rule"] == "otsu"].pivot(
        index=["image_id", "class", "probability"], columns="method", values="value"
    )
    gap = (wide["reader"] - wide["cam"]).reset_index(name="gap")
    expected = least_squares(gap["probability"].to_numpy(), gap["gap"].to_numpy())
    row = rows.loc[("iou_gap", "pooled", "probability", "cam")]
    assert row[["slope", "low", "high", "p"]].tolist() == pytest.approx(expected)
    assert set(rows.loc["iou_gap"].index.get_level_values("method")) == {"cam"}
    nobody = found(table, roles=dict.fromkeys(ROLES))
    assert set(nobody.index.get_level_values("outcome")) == {"iou", "hit_rate"}


def test_only_the_first_rule_and_only_test():
    table = made()
    rows = found(pd.concat([table, made(seed=5).assign(split="tune")]))
    assert set(rows["threshold_rule"]) == {"otsu", "none"}
    pd.testing.assert_frame_equal(rows, found(table))


@pytest.mark.parametrize("kind", ["box_", "evidence_"])
def test_only_outlines_have_a_shape(kind):
    table = made(kind=kind)
    rows = found(table)
    assert set(rows.index.get_level_values("predictor")) == {"probability"}
    assert set(rows.index.get_level_values("outcome")) == {
        *(f"{kind}iou", f"{kind}iou_gap", f"{kind}hit_rate", f"{kind}hit_rate_gap"),
    }
    without = found(made(), features=features_of(table).head(0))
    assert set(without.index.get_level_values("predictor")) == {"probability"}


def test_what_does_not_vary_has_no_slope_or_no_rank():
    table = made()
    features = features_of(table).assign(instances=1)
    table.loc[table["metric"] == "hit_rate", "value"] = 1.0
    rows = found(table, features)
    flat = rows.loc[("iou", "pooled", "instances", "cam")]
    assert np.isnan(flat[["slope", "p", "p_adjusted", "patient_low"]].astype(float)).all()
    assert flat["note"] == "the predictor does not vary: no slope"
    same = rows.loc[("hit_rate", "pooled", "area_ratio", "cam")]
    assert same["slope"] == 0 and np.isnan(same["spearman"])


def test_few_patients_are_noted():
    row = found(made(6, names=("Edema",))).loc[("iou", "Edema", "probability", "cam")]
    assert row["note"] == "3 patients, fewer than 5: no interval" and np.isfinite(row["slope"])
    empty = ["low", "high", "p", "p_adjusted", "patient_low", "spearman_low", "spearman_p"]
    assert np.isnan(row[empty].astype(float)).all()


def test_slope_is_not_defined_where_only_one_x_is_drawn():
    for n in range(3, 40):
        x, y = np.full(n, 0.1), np.linspace(0.3, 0.9, n)
        totals = np.array([[n], [x.sum()], [y.sum()], [(x * x).sum()], [(x * y).sum()]])[None]
        assert np.isnan(slope(totals)).all()


def test_order_of_rows_changes_nothing_and_nothing_gives_nothing():
    table = made()
    features = features_of(table)
    shuffled = (part.sample(frac=1, random_state=3) for part in (table, features))
    pd.testing.assert_frame_equal(
        regressions(table, features, SETTINGS, ROLES, 0),
        regressions(*shuffled, SETTINGS, ROLES, 0),
    )
    empty = regressions(table.head(0), features, SETTINGS, ROLES, 0)
    assert empty.empty and list(empty.columns) == REGRESSIONS
