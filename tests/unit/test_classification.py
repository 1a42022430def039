"""AUROC, AUPRC and their intervals over patients."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from shamsul.errors import InputError
from shamsul.evaluate.auroc_interval import auroc_limits
from shamsul.evaluate.classification import (
    COLUMNS,
    auroc_auprc,
    classification_table,
    reversed_classes,
)
from shamsul.evaluate.intervals import limits
from shamsul.evaluate.parameters import Inference
from shamsul.storage.tables import read_table, write_table

SETTINGS = Inference(0.95, 2)


def test_by_hand():
    scores = np.array([3.0, 2.0, 2.0, 1.0])
    positive = np.array([True, False, True, False])
    found = auroc_auprc(scores, positive, np.ones((1, 4)))[:, 0]
    # Pairs: 3>2, 3>1, 2=2 (half), 2>1: 3.5 of 4. AP: 1/2 * 1 + 1/2 * 2/3.
    assert found == pytest.approx([3.5 / 4, 0.5 + 0.5 * 2 / 3])
    # The second positive drawn twice: (2 pairs + 2 * 1.5) / 6; AP: 1/3 + 2/3 * 3/4.
    found = auroc_auprc(scores, positive, np.array([[1, 1, 2, 1]]))[:, 0]
    assert found == pytest.approx([5 / 6, 1 / 3 + 2 / 3 * 3 / 4])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-3, 3), st.booleans(), st.lists(st.integers(0, 3), min_size=3, max_size=3)
        ),
        min_size=2,
        max_size=40,
    )
)
def test_agrees_with_scikit_learn_with_ties_and_weights(rows):
    scores = np.array([row[0] for row in rows]) / 3
    positive = np.array([row[1] for row in rows])
    weights = np.array([row[2] for row in rows], dtype=float).T
    found = auroc_auprc(scores, positive, weights)
    for number, weight in enumerate(weights):
        if weight[positive].sum() == 0 or weight[~positive].sum() == 0:
            assert np.isnan(found[:, number]).all()
            continue
        expected = (
            roc_auc_score(positive, scores, sample_weight=weight),
            average_precision_score(positive, scores, sample_weight=weight),
        )
        np.testing.assert_allclose(found[:, number], expected, rtol=1e-12)


def example(patients=60, per_patient=3, classes=("a", "b"), seed=0, split="test"):
    rng = np.random.default_rng(seed)
    count = patients * per_patient
    ids = [f"{split}{number:04}" for number in range(count)]
    manifest = pd.DataFrame(
        {
            "image_id": ids,
            "patient_id": np.repeat([f"p{n}" for n in range(patients)], per_patient),
            "source": "s",
            "split": split,
        }
    )
    parts = []
    for name in classes:
        label = np.repeat(rng.random(patients) < 0.4, per_patient).astype(float)
        manifest[name] = label
        # A patient's images resemble one another: that is why patients are resampled.
        logit = label + np.repeat(rng.normal(size=patients), per_patient)
        logit += 0.2 * rng.normal(size=count)
        parts.append(pd.DataFrame({"image_id": ids, "class": name, "logit": logit}))
    return pd.concat(parts, ignore_index=True), manifest


def left_out(predictions, manifest, name):
    """AUROC and AUPRC of scikit-learn without each patient of the class, (P, 2)."""
    merged = predictions[predictions["class"] == name].merge(manifest, on="image_id")
    merged = merged[merged[name].isin([0, 1])]
    return np.array(
        [
            (
                roc_auc_score(left[name], left["logit"]),
                average_precision_score(left[name], left["logit"]),
            )
            for patient in sorted(set(merged["patient_id"]))
            for left in [merged[merged["patient_id"] != patient]]
        ]
    )


def jackknife(left):
    return (len(left) - 1) / len(left) * ((left - left.mean(axis=0)) ** 2).sum(axis=0)


def of_share(estimate, variance, patients, confidence):
    given = (np.array([float(value)]) for value in (estimate, variance, patients))
    return np.ravel(limits(*given, (np.zeros(1), np.ones(1)), confidence))


def test_table_leaves_out_patients_one_by_one():
    predictions, manifest = example()
    table = classification_table(predictions, manifest, Inference(0.9, 2)).set_index("class")
    merged = predictions.pivot(index="image_id", columns="class", values="logit")
    merged = merged.loc[manifest["image_id"]]
    every, fewest = [], []
    for name in ("a", "b"):
        row, left = table.loc[name], left_out(predictions, manifest, name)
        assert row["auroc"] == pytest.approx(roc_auc_score(manifest[name], merged[name]))
        assert row["auprc"] == pytest.approx(average_precision_score(manifest[name], merged[name]))
        variance, positive = jackknife(left), int(manifest[name].sum())
        counts = (positive, positive // 3), (180 - positive, 60 - positive // 3)
        expected = auroc_limits(row["auroc"], variance[0], *counts, 0.9)
        assert row[["auroc_low", "auroc_high"]].tolist() == pytest.approx(expected)
        expected = of_share(row["auprc"], variance[1], counts[0][1], 0.9)
        assert row[["auprc_low", "auprc_high"]].tolist() == pytest.approx(list(expected))
        assert (row["n"], row["n_patients"], row["note"]) == (180, 60, "")
        assert row["n_positive"] == positive
        every.append(left)
        fewest.append(min(counts[0][1], counts[1][1]))
    macro = table.loc["macro"]
    assert macro["auroc"] == pytest.approx(table.loc[["a", "b"], "auroc"].mean())
    # The mean over classes without each patient; freedom by Satterthwaite.
    whole, own = jackknife(np.mean(every, axis=0)), np.array([jackknife(left) for left in every])
    freedom = own.sum(axis=0) ** 2 / (own**2 / (np.array(fewest)[:, None] - 1)).sum(axis=0)
    for place, name in enumerate(("auroc", "auprc")):
        expected = of_share(macro[name], whole[place], freedom[place] + 1, 0.9)
        assert macro[[f"{name}_low", f"{name}_high"]].tolist() == pytest.approx(list(expected))
    # Independent classes: their mean is known better than either.
    width = table["auroc_high"] - table["auroc_low"]
    assert width["macro"] < width[["a", "b"]].min()


def test_groups_of_many_patients_have_nearly_the_variance_of_single_ones():
    predictions, manifest = example(patients=600, per_patient=1, classes=("a",))
    row = classification_table(predictions, manifest, SETTINGS).iloc[0]
    variance, positive = jackknife(left_out(predictions, manifest, "a")), int(manifest["a"].sum())
    counts = (positive, positive), (600 - positive, 600 - positive)
    low, high = auroc_limits(row["auroc"], variance[0], *counts, 0.95)
    assert row["auroc_high"] - row["auroc_low"] == pytest.approx(high - low, rel=0.15)


def test_a_perfect_classifier_of_few_patients_has_an_interval_with_a_width():
    predictions, manifest = example(20, 2)
    predictions["logit"] = manifest["a"].to_list() + manifest["b"].to_list()
    table = classification_table(predictions, manifest, SETTINGS)
    assert (table["auroc"] == 1).all() and (table["auroc_high"] == 1).all()
    assert (table["auroc_low"] < 0.95).all() and (table["auprc_low"] < 0.95).all()


def test_the_interval_covers_the_truth_with_few_positives():
    generator, covered, studies = np.random.default_rng(1), 0, 200
    label = np.repeat([1.0, 0.0], [6, 14])
    ids = [f"i{n:02}" for n in range(20)]
    manifest = pd.DataFrame(
        {"image_id": ids, "patient_id": ids, "source": "s", "split": "test", "a": label}
    )
    truth = 0.921350396  # of two normal distributions, two deviations apart
    for _ in range(studies):
        logit = generator.normal(2 * label, 1)
        predictions = pd.DataFrame({"image_id": ids, "class": "a", "logit": logit})
        row = classification_table(predictions, manifest, SETTINGS).iloc[0]
        covered += row["auroc_low"] <= truth <= row["auroc_high"]
    assert covered / studies >= 0.92


def test_images_of_a_patient_are_not_independent():
    predictions, manifest = example()
    together = classification_table(predictions, manifest, SETTINGS).iloc[0]
    apart = classification_table(
        predictions, manifest.assign(patient_id=manifest["image_id"]), SETTINGS
    ).iloc[0]
    ratio = (together["auroc_high"] - together["auroc_low"]) / (
        apart["auroc_high"] - apart["auroc_low"]
    )
    assert 1.4 < ratio < 2.1  # about the square root of three images a patient


def test_a_patient_of_two_sources_is_one_patient():
    predictions, manifest = example()
    manifest.loc[90:, "source"] = "t"
    manifest.loc[90:, "patient_id"] = manifest["patient_id"][:90].to_numpy()
    assert classification_table(predictions, manifest, SETTINGS)["n_patients"].tolist() == [30] * 3


def test_uncertain_and_missing_labels_are_left_out():
    predictions, manifest = example()
    expected = classification_table(
        predictions[predictions["image_id"].isin(manifest["image_id"][6:])],
        manifest[6:],
        SETTINGS,
    )
    manifest.loc[:2, "a"], manifest.loc[3:5, "a"] = -1, np.nan
    row = classification_table(predictions, manifest, SETTINGS).iloc[0]
    assert (row["n"], row["n_patients"]) == (174, 58)
    assert row["auroc"] == expected["auroc"][0] and row["auprc"] == expected["auprc"][0]


def test_classes_with_one_label_only_say_so():
    predictions, manifest = example(classes=("a", "none", "all", "blank", "rare"))
    manifest["none"], manifest["all"], manifest["blank"] = 0.0, 1.0, np.nan
    manifest["rare"] = 0.0
    manifest.loc[:2, "rare"] = 1.0  # one patient
    table = classification_table(predictions, manifest, SETTINGS).set_index("class")
    notes = {"a": "", "none": "no positives", "all": "no negatives", "blank": "no certain labels"}
    assert table.loc[list(notes), "note"].to_dict() == notes
    assert table.loc[["none", "all", "blank"], COLUMNS[2:8]].isna().all(axis=None)
    assert table.loc["rare", "note"] == "of one label 1 patient, fewer than 2: no interval"
    assert table.loc["rare", ["auroc", "auprc"]].notna().all()
    assert np.isnan(table.loc["rare", "auroc_low"]) and np.isnan(table.loc["macro", "auroc_low"])
    note = "mean over 2 of 5 classes, one of which too few patients have: no interval"
    assert table.loc["macro", "note"] == note
    assert table.loc["macro", "auroc"] == pytest.approx(table.loc[["a", "rare"], "auroc"].mean())


def test_order_of_images_does_not_matter():
    predictions, manifest = example()
    table = classification_table(predictions, manifest, SETTINGS)
    shuffled = predictions.sample(frac=1, random_state=0).sort_values("class", kind="stable")
    pd.testing.assert_frame_equal(classification_table(shuffled, manifest, SETTINGS), table)
    pd.testing.assert_frame_equal(
        classification_table(predictions, manifest.sample(frac=1, random_state=0), SETTINGS),
        table,
    )


def test_splits_are_apart():
    one, two = example(split="tune"), example(split="test", seed=5)
    both = classification_table(
        pd.concat([one[0], two[0]]), pd.concat([one[1], two[1]], ignore_index=True), SETTINGS
    )
    assert both["split"].tolist() == ["tune"] * 3 + ["test"] * 3
    alone = classification_table(*two, SETTINGS)
    pd.testing.assert_frame_equal(both[3:].reset_index(drop=True), alone)


def test_faults_are_named():
    predictions, manifest = example()
    with pytest.raises(InputError, match="image test0000 has no prediction"):
        classification_table(predictions[predictions["image_id"] != "test0000"], manifest, SETTINGS)
    with pytest.raises(InputError, match="image test0000 is predicted and not in the manifests"):
        classification_table(predictions, manifest[1:], SETTINGS)
    with pytest.raises(InputError, match="no label column 'a'"):
        classification_table(predictions, manifest.drop(columns="a"), SETTINGS)
    with pytest.raises(InputError, match="a of test0001 is missing"):
        classification_table(predictions.drop(index=1), manifest, SETTINGS)
    with pytest.raises(InputError, match="there twice"):
        classification_table(pd.concat([predictions, predictions[:1]]), manifest, SETTINGS)
    predictions.loc[2, "logit"] = np.inf
    with pytest.raises(InputError, match="a of test0002 is not finite"):
        classification_table(predictions, manifest, SETTINGS)


def test_intervals_take_a_second_or_two():
    predictions, manifest = example(150, 2, tuple("abcdefghijklmn"))
    begun = time.process_time()
    classification_table(predictions, manifest, SETTINGS)
    assert time.process_time() - begun < 6  # about 1 s on a machine of its own


def test_script_with_an_empty_shard_and_no_torch(tmp_path):
    predictions, manifest = example(10)
    for number, part in enumerate((manifest[:0], manifest)):
        write_table(part, tmp_path / f"{number}.parquet")
    write_table(predictions, tmp_path / "predictions.parquet")
    settings = {"evaluate": {"confidence": 0.95, "min_patients": 2}}
    options = ["--settings", json.dumps(settings)]
    options += [
        "--predictions",
        tmp_path / "predictions.parquet",
        *("--table", tmp_path / "t.parquet"),
        *("--errors", tmp_path / "errors.parquet", "--bins", tmp_path / "bins.parquet"),
    ]
    options += ["--manifests", tmp_path / "0.parquet", tmp_path / "1.parquet"]
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__'); assert 'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code, "scripts/classify.py", *map(str, options)], check=True
    )
    table = read_table(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(table, classification_table(predictions, manifest, SETTINGS))
    assert list(table) == COLUMNS
    empty = classification_table(predictions[:0], manifest[:0], SETTINGS)
    assert list(empty) == COLUMNS and (empty.dtypes == table.dtypes).all()


def test_fewer_patients_than_the_least_have_no_interval_and_a_note():
    predictions = pd.DataFrame(
        [(f"i{n}", "a", float(n)) for n in range(6)], columns=["image_id", "class", "logit"]
    )
    manifest = pd.DataFrame(
        {
            "image_id": [f"i{n}" for n in range(6)],
            "patient_id": [f"p{n // 2}" for n in range(6)],
            "source": "s",
            "split": "test",
            "a": [0.0, 0, 1, 0, 1, 1],
        }
    )
    row = classification_table(predictions, manifest, Inference(0.95, 3)).iloc[0]
    assert row["auroc"] == pytest.approx(8 / 9) and np.isnan(row["auroc_low"])
    # Two patients have a negative, and two a positive.
    assert row["note"] == "of one label 2 patients, fewer than 3: no interval"
    row = classification_table(predictions, manifest, SETTINGS).iloc[0]
    assert row["auroc_low"] <= 8 / 9 <= row["auroc_high"]


def test_the_mean_over_classes_moves_with_a_class_that_has_no_interval_of_its_own():
    predictions, manifest = example(classes=("a", "few"))
    manifest["few"] = np.nan
    manifest.loc[:11, "few"] = [1.0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0]  # four patients
    options = Inference(0.9, 5)
    table = classification_table(predictions, manifest, options).set_index("class")
    assert table.loc["few", "note"] == "of one label 4 patients, fewer than 5: no interval"
    assert table.loc["few", ["auroc_low", "auprc_high"]].isna().all()
    macro = table.loc["macro"]
    assert macro["auroc"] == pytest.approx(table.loc[["a", "few"], "auroc"].mean())
    few = left_out(predictions, manifest, "few")
    # Without any of the others the class has what it has with them.
    whole = np.tile(table.loc["few", ["auroc", "auprc"]].to_numpy(float), (60, 1))
    labelled = set(manifest["patient_id"][:12])
    whole[[name in labelled for name in sorted(set(manifest["patient_id"]))]] = few
    every = [left_out(predictions, manifest, "a"), whole]
    variance = jackknife(np.mean(every, axis=0))
    alone = jackknife(every[0] / 2)
    assert variance[0] > 1.5 * alone[0]  # so it is not that of class a
    own = np.array([jackknife(left) for left in every])
    label = manifest.groupby("patient_id")["a"].max()
    known = np.array([min(label.sum(), 60 - label.sum()), 4])
    freedom = own.sum(axis=0) ** 2 / (own**2 / (known[:, None] - 1)).sum(axis=0)
    expected = of_share(macro["auroc"], variance[0], freedom[0] + 1, 0.9)
    assert [macro["auroc_low"], macro["auroc_high"]] == pytest.approx(list(expected))
    assert macro["n_patients"] == 60


def test_a_class_below_one_half_with_its_whole_interval_is_named():
    """Outputs of other classes, or a reversed sign, show so; chance does not."""
    predictions, manifest = example(60)
    predictions.loc[predictions["class"] == "b", "logit"] *= -1
    found = reversed_classes(classification_table(predictions, manifest, SETTINGS))
    assert list(found["class"]) == ["b"] and (found["auroc_high"] < 0.5).all()
