"""Regressions on shape and confidence, against least squares with an intercept for each class."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from shamsul.evaluate.features import FEATURES
from shamsul.evaluate.parameters import Stratification
from shamsul.evaluate.regressions import REGRESSIONS, correlation, regressions, slope
from shamsul.evaluate.sign_flips import sign_flips

SETTINGS = Stratification(
    confidence=0.95, min_patients=5, thresholds=("otsu", "best"), true_positive=0.5
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
                    names_ = (f"i{i:02}", f"p{i // 2:02}", "test", name, method, "", rule)
                    rows.append((*names_, kind + metric, value, probability, 1))
    columns = (
        "image_id patient_id split class method repeats threshold_rule metric value probability"
        " n_labels"
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


def found(table, features=None, roles=ROLES):
    features = features_of(table) if features is None else features
    index = ["outcome", "class", "predictor", "method"]
    return regressions(table, features, SETTINGS, roles, 0).set_index(index).sort_index()


def least_squares(x, y):
    """Slope, its 95 % t interval and p, from the normal equations, as if pairs were independent."""
    design = np.column_stack([np.ones_like(x), x])
    solution, (residual,), *_ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(x) - 2
    error = np.sqrt(residual / freedom * np.linalg.inv(design.T @ design)[1, 1])
    reach = stats.t.ppf(0.975, freedom) * error
    p = 2 * stats.t.sf(abs(solution[1] / error), freedom)
    return solution[1], solution[1] - reach, solution[1] + reach, p


def fixed_effects(table, x, y):
    """Slope of least squares with an intercept for each class."""
    design = pd.get_dummies(table["class"]).assign(x=table[x]).to_numpy(float)
    return np.linalg.lstsq(design, table[y].to_numpy(float), rcond=None)[0][-1]


def by_patient(table, x, y):
    """Jackknife's variance of `fixed_effects` over patients."""
    names = sorted(set(table["patient_id"]))
    left = [fixed_effects(table[table["patient_id"] != name], x, y) for name in names]
    return (len(names) - 1) / len(names) * ((left - np.mean(left)) ** 2).sum()


def joined(table, features, method="cam", rule="otsu", metric="iou"):
    chosen = (table["method"] == method) & (table["threshold_rule"] == rule)
    own = table[chosen & (table["metric"] == metric)]
    return own.merge(features, on=["image_id", "class"]).reset_index(drop=True)


@pytest.mark.parametrize("predictor", FEATURES)
def test_features_with_an_intercept_for_each_class(predictor):
    table = made()
    table.loc[table["class"] == "Fracture", "value"] += 0.5
    features = features_of(table)
    features.loc[features["class"] == "Fracture", FEATURES] *= 2
    row = found(table, features).loc[("iou", "pooled", predictor, "cam")]
    own = joined(table, features)
    raw = own[predictor].to_numpy(float)
    own["x"] = (raw - raw.min()) / (raw.max() - raw.min())
    assert [row["minimum"], row["maximum"]] == [raw.min(), raw.max()]
    expected = fixed_effects(own, "x", "value")
    assert row["slope"] == pytest.approx(expected)
    reach = stats.t.ppf(0.975, 19) * np.sqrt(by_patient(own, "x", "value"))
    assert [row["low"], row["high"]] == pytest.approx([expected - reach, expected + reach])
    naive = least_squares(own["x"].to_numpy(), own["value"].to_numpy())
    columns = ["images_slope", "images_low", "images_high", "images_p"]
    assert row[columns].tolist() == pytest.approx(naive)
    assert abs(row["images_slope"] - row["slope"]) > 0.03
    assert row[["n_masks", "n_images", "n_patients"]].tolist() == [80, 40, 20]


def scores_of(own, x, y):
    """Sums over patients of x y, each less the mean of its class."""
    both = own[[x, y]] - own.groupby("class")[[x, y]].transform("mean")
    return (both[x] * both[y]).groupby(own["patient_id"]).sum()


def test_p_flips_the_signs_of_the_patients_scores():
    table = made(24)  # twelve patients, of whom all flips are tried
    rows = found(table)
    for name in ("Edema", "Fracture", "pooled"):
        own = joined(table, features_of(table))
        own = own if name == "pooled" else own[own["class"] == name]
        theirs = stats.permutation_test(
            (scores_of(own, "probability", "value"),),
            np.sum,
            permutation_type="samples",
            n_resamples=np.inf,
        )
        assert rows.loc[("iou", name, "probability", "cam"), "p"] == pytest.approx(theirs.pvalue)


def test_family_is_all_methods_and_all_features_of_an_outcome():
    table = made(24)
    features = features_of(table)
    rows = found(table, features).loc["iou"]
    keys = [(name, method) for name in FEATURES for method in ("cam", "reader")]
    columns = []
    for name, method in keys:
        columns.append(scores_of(joined(table, features, method), name, "value"))
    family = sign_flips(
        np.column_stack(columns), columns[0].index.to_numpy(object), SETTINGS, 0
    ).p_adjusted
    for (name, method), expected in zip(keys, family, strict=True):
        assert rows.loc[("pooled", name, method), "p_adjusted"] == pytest.approx(expected)
    probability = rows.loc[("pooled", "probability")]
    assert (probability["p_adjusted"] >= probability["p"]).all()


def test_correlation_of_ranks_within_classes():
    table = made()
    # The class with the high values is the one with the high probabilities.
    high = table["class"] == "Fracture"
    table.loc[high, ["value", "probability"]] += 1
    rows = found(table)
    own = joined(table, features_of(table), rule="none", metric="hit_rate")
    for name in ("Edema", "Fracture"):
        part = own[own["class"] == name]
        theirs = stats.spearmanr(part["probability"], part["value"]).statistic
        row = rows.loc[("hit_rate", name, "probability", "cam")]
        assert row["spearman"] == pytest.approx(theirs)
        assert row["spearman_low"] < theirs < row["spearman_high"]
    ranks = own.groupby("class")[["probability", "value"]].rank(pct=True)
    ranks = ranks - ranks.groupby(own["class"]).transform("mean")
    row = rows.loc[("hit_rate", "pooled", "probability", "cam")]
    assert row["spearman"] == pytest.approx(np.corrcoef(ranks.T)[0, 1])
    assert row["spearman"] < stats.spearmanr(own["probability"], own["value"]).statistic - 0.1


def test_the_mix_of_classes_is_no_slope():
    # The network is sure of the class that is easy, and nothing else goes together: what a map
    # that never saw the image shows.
    table = made(60, methods=("cam",), seed=3)
    generator = np.random.default_rng(3)
    easy = table["class"] == "Fracture"
    table["value"] = 0.3 * generator.random(len(table)) + 0.3 * easy
    table["probability"] = 0.5 * generator.random(len(table)) + 0.5 * easy
    row = found(table).loc[("iou", "pooled", "probability", "cam")]
    assert row["images_slope"] > 0.3 and row["images_p"] < 1e-6
    assert abs(row["slope"]) < 0.1 and row["p_adjusted"] > 0.05
    assert row["low"] < 0 < row["high"]


def test_methods_of_the_same_maps_have_the_same_lines():
    table = made()
    again = table[table["method"] == "cam"].assign(method="again")
    rows = found(pd.concat([table, again])).reset_index()
    first, second = (
        rows[rows["method"] == name].drop(columns="method").reset_index(drop=True)
        for name in ("cam", "again")
    )
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(
        first[["p", "p_adjusted"]],
        found(table).xs("cam", level="method").reset_index()[["p", "p_adjusted"]],
    )


def test_a_repeated_mask_is_not_pooled():
    table = made()
    again = (table["class"] == "Fracture") & (table["image_id"] < "i20")
    table.loc[again, "repeats"] = "Edema"
    features = features_of(table)
    own = joined(table[~again], features)
    row = found(table, features).loc[("iou", "pooled", "probability", "cam")]
    assert row["n_masks"] == 60
    assert row["slope"] == pytest.approx(fixed_effects(own, "probability", "value"))


def test_gap_is_the_radiologists_less_the_methods():
    table = made()
    rows = found(table)
    keys = ["image_id", "patient_id", "class", "probability"]
    wide = table[table["threshold_rule"] == "otsu"].pivot(
        index=keys, columns="method", values="value"
    )
    gap = (wide["reader"] - wide["cam"]).reset_index(name="gap")
    row = rows.loc[("iou_gap", "pooled", "probability", "cam")]
    assert row["slope"] == pytest.approx(fixed_effects(gap, "probability", "gap"))
    naive = least_squares(gap["probability"].to_numpy(), gap["gap"].to_numpy())
    assert row[["images_slope", "images_p"]].tolist() == pytest.approx([naive[0], naive[3]])
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
    empty = ["slope", "low", "high", "p", "p_adjusted", "images_slope"]
    assert np.isnan(flat[empty].astype(float)).all()
    assert flat["note"] == "the predictor does not vary within a class: no slope"
    same = rows.loc[("hit_rate", "pooled", "area_ratio", "cam")]
    assert same["slope"] == 0 and same["p"] == 1
    assert np.isnan(same[["spearman", "spearman_low", "spearman_p"]].astype(float)).all()


def test_what_varies_between_classes_only_has_no_slope():
    table = made()
    features = features_of(table)
    features["instances"] = np.where(features["class"] == "Edema", 1, 2)
    row = found(table, features).loc[("iou", "pooled", "instances", "cam")]
    assert np.isnan(row["slope"]) and np.isfinite(row["images_slope"])
    assert row["note"] == "the predictor does not vary within a class: no slope"


def test_few_patients_are_noted():
    row = found(made(6, names=("Edema",))).loc[("iou", "Edema", "probability", "cam")]
    assert row["note"] == "3 patients, fewer than 5: no interval" and np.isfinite(row["slope"])
    empty = ["low", "high", "p", "p_adjusted", "spearman_low", "spearman_p"]
    assert np.isnan(row[empty].astype(float)).all()
    # A slope has no bounds; a correlation has.
    row = found(made(30, names=("Edema",))).loc[("iou", "Edema", "probability", "cam")]
    assert row["note"] == "15 patients, fewer than 20: no interval" and np.isnan(row["low"])
    assert np.isfinite(row[["p", "spearman_low", "spearman_high"]].astype(float)).all()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(float, (20, 2), elements=st.integers(-4, 4)),
    st.lists(st.integers(0, 2), min_size=20, max_size=20),
)
def test_slope_is_least_squares_with_dummies(pairs, codes):
    x, y = pairs.T
    frame = pd.DataFrame({"class": codes, "x": x, "y": y})
    products = np.array([np.ones(20), x, y, x * x, x * y, y * y])
    totals = np.concatenate(
        [np.where(np.array(codes) == code, products, 0).sum(axis=1) for code in range(3)]
    )[None, :, None]
    varies = (frame.groupby("class")["x"].nunique() > 1).any()
    line, rank = slope(totals)[0, 0], correlation(totals)[0, 0]
    if not varies:
        assert np.isnan(line) and np.isnan(rank)
        return
    assert line == pytest.approx(fixed_effects(frame, "x", "y"), abs=1e-9)
    assert np.isnan(rank) or (-1 - 1e-9 <= rank <= 1 + 1e-9 and rank * line >= 0)


def test_slope_is_not_defined_where_only_one_x_is_left():
    for n in range(3, 40):
        x, y = np.full(n, 0.1), np.linspace(0.3, 0.9, n)
        products = [np.ones(n), x, y, x * x, x * y, y * y]
        totals = np.array([[[part.sum()] for part in products]])
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
