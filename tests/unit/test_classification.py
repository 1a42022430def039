"""AUROC, AUPRC and their patient-bootstrap intervals."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shamsul.evaluate.statistics import patient_weights
from sklearn.metrics import average_precision_score, roc_auc_score

from shamsul.errors import InputError
from shamsul.evaluate.classification import COLUMNS, auroc_auprc, classification_table
from shamsul.storage.tables import read_table, write_table


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


def naive(predictions, manifest, name, replicates, confidence):
    """Draw patients, repeat their images, ask scikit-learn."""
    merged = predictions[predictions["class"] == name].merge(manifest, on="image_id")
    groups = [group for _, group in merged.groupby("patient_id")]
    rng = np.random.default_rng(99)
    found = []
    for _ in range(replicates):
        drawn = pd.concat([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        found.append(
            (
                roc_auc_score(drawn[name], drawn["logit"]),
                average_precision_score(drawn[name], drawn["logit"]),
            )
        )
    tail = (1 - confidence) / 2
    return np.quantile(found, [tail, 1 - tail], axis=0)


def test_table_agrees_with_a_naive_patient_bootstrap():
    predictions, manifest = example()
    table = classification_table(predictions, manifest, 4000, 0.9, 1).set_index("class")
    merged = predictions.pivot(index="image_id", columns="class", values="logit")
    merged = merged.loc[manifest["image_id"]]
    for name in ("a", "b"):
        row = table.loc[name]
        assert row["auroc"] == pytest.approx(roc_auc_score(manifest[name], merged[name]))
        assert row["auprc"] == pytest.approx(average_precision_score(manifest[name], merged[name]))
        low, high = naive(predictions, manifest, name, 400, 0.9)
        assert row[["auroc_low", "auprc_low"]].to_numpy(float) == pytest.approx(low, abs=0.025)
        assert row[["auroc_high", "auprc_high"]].to_numpy(float) == pytest.approx(high, abs=0.025)
        assert (row["n"], row["n_patients"], row["note"]) == (180, 60, "")
        assert row["n_positive"] == manifest[name].sum()
    macro = table.loc["macro"]
    assert macro["auroc"] == pytest.approx(table.loc[["a", "b"], "auroc"].mean())
    assert macro["auroc_low"] < macro["auroc"] < macro["auroc_high"]
    # Independent classes: their mean is known better than either.
    width = table["auroc_high"] - table["auroc_low"]
    assert width["macro"] < width[["a", "b"]].min()


def test_images_of_a_patient_are_not_independent():
    predictions, manifest = example()
    together = classification_table(predictions, manifest, 1000, 0.95, 1).iloc[0]
    apart = classification_table(
        predictions, manifest.assign(patient_id=manifest["image_id"]), 1000, 0.95, 1
    ).iloc[0]
    ratio = (together["auroc_high"] - together["auroc_low"]) / (
        apart["auroc_high"] - apart["auroc_low"]
    )
    assert 1.4 < ratio < 2.1  # about the square root of three images a patient


def test_a_patient_of_two_sources_is_one_patient():
    predictions, manifest = example()
    manifest.loc[90:, "source"] = "t"
    manifest.loc[90:, "patient_id"] = manifest["patient_id"][:90].to_numpy()
    assert (
        classification_table(predictions, manifest, 10, 0.95, 1)["n_patients"].tolist() == [30] * 3
    )


def test_uncertain_and_missing_labels_are_left_out():
    predictions, manifest = example()
    expected = classification_table(
        predictions[predictions["image_id"].isin(manifest["image_id"][6:])],
        manifest[6:],
        10,
        0.95,
        1,
    )
    manifest.loc[:2, "a"], manifest.loc[3:5, "a"] = -1, np.nan
    row = classification_table(predictions, manifest, 10, 0.95, 1).iloc[0]
    assert (row["n"], row["n_patients"]) == (174, 58)
    assert row["auroc"] == expected["auroc"][0] and row["auprc"] == expected["auprc"][0]


def test_classes_with_one_label_only_say_so():
    predictions, manifest = example(classes=("a", "none", "all", "blank", "rare"))
    manifest["none"], manifest["all"], manifest["blank"] = 0.0, 1.0, np.nan
    manifest["rare"] = 0.0
    manifest.loc[:2, "rare"] = 1.0  # one patient: drawn in 63 % of the resamples
    table = classification_table(predictions, manifest, 500, 0.95, 1).set_index("class")
    notes = {"a": "", "none": "no positives", "all": "no negatives", "blank": "no certain labels"}
    assert table.loc[list(notes), "note"].to_dict() == notes
    assert table.loc[["none", "all", "blank"], COLUMNS[2:8]].isna().all(axis=None)
    lost = int(table.loc["rare", "note"].split()[0])
    assert 140 < lost < 230 and table.loc["rare", COLUMNS[2:8]].notna().all()
    assert table.loc["macro", "note"] == "mean over 2 of 5 classes"
    assert table.loc["macro", "auroc"] == pytest.approx(table.loc[["a", "rare"], "auroc"].mean())


def test_order_of_images_does_not_matter_and_the_seed_does():
    predictions, manifest = example()
    table = classification_table(predictions, manifest, 200, 0.95, 1)
    shuffled = predictions.sample(frac=1, random_state=0).sort_values("class", kind="stable")
    pd.testing.assert_frame_equal(classification_table(shuffled, manifest, 200, 0.95, 1), table)
    pd.testing.assert_frame_equal(
        classification_table(predictions, manifest.sample(frac=1, random_state=0), 200, 0.95, 1),
        table,
    )
    other = classification_table(predictions, manifest, 200, 0.95, 2)
    assert (other["auroc"] == table["auroc"]).all()
    assert (other["auroc_low"] != table["auroc_low"]).all()


def test_splits_are_apart():
    one, two = example(split="tune"), example(split="test", seed=5)
    both = classification_table(
        pd.concat([one[0], two[0]]), pd.concat([one[1], two[1]], ignore_index=True), 50, 0.95, 1
    )
    assert both["split"].tolist() == ["tune"] * 3 + ["test"] * 3
    alone = classification_table(*two, 50, 0.95, 1)
    pd.testing.assert_frame_equal(both[3:].reset_index(drop=True), alone)


def test_faults_are_named():
    predictions, manifest = example()
    with pytest.raises(InputError, match="image test0000 has no prediction"):
        classification_table(predictions[predictions["image_id"] != "test0000"], manifest)
    with pytest.raises(InputError, match="image test0000 is predicted and not in the manifests"):
        classification_table(predictions, manifest[1:])
    with pytest.raises(InputError, match="no label column 'a'"):
        classification_table(predictions, manifest.drop(columns="a"))
    with pytest.raises(InputError, match="a of test0001 is missing"):
        classification_table(predictions.drop(index=1), manifest)
    with pytest.raises(InputError, match="there twice"):
        classification_table(pd.concat([predictions, predictions[:1]]), manifest)
    predictions.loc[2, "logit"] = np.inf
    with pytest.raises(InputError, match="a of test0002 is not finite"):
        classification_table(predictions, manifest)


def test_thousand_replicates_take_a_second_or_two():
    predictions, manifest = example(150, 2, tuple("abcdefghijklmn"))
    begun = time.process_time()
    classification_table(predictions, manifest, 1000, 0.95, 1)
    assert time.process_time() - begun < 6  # about 1 s on a machine of its own


def test_script_with_an_empty_shard_and_no_torch(tmp_path):
    predictions, manifest = example(10)
    for number, part in enumerate((manifest[:0], manifest)):
        write_table(part, tmp_path / f"{number}.parquet")
    write_table(predictions, tmp_path / "predictions.parquet")
    settings = {"seed": 1, "replicates": 20, "confidence": 0.95, "min_patients": 2}
    options = ["--settings", json.dumps(settings)]
    options += [
        "--predictions",
        tmp_path / "predictions.parquet",
        "--table",
        tmp_path / "t.parquet",
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
    pd.testing.assert_frame_equal(table, classification_table(predictions, manifest, 20, 0.95, 1))
    assert list(table) == COLUMNS
    empty = classification_table(predictions[:0], manifest[:0])
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
    row = classification_table(predictions, manifest, 50, 0.95, 1, min_patients=4).iloc[0]
    assert row["auroc"] == pytest.approx(8 / 9) and np.isnan(row["auroc_low"])
    assert row["note"] == "3 patients, fewer than 4: no interval"
    row = classification_table(predictions, manifest, 50, 0.95, 1, min_patients=3).iloc[0]
    assert row["auroc_low"] <= 8 / 9 <= row["auroc_high"]


def test_the_mean_over_classes_moves_with_a_class_that_has_no_interval_of_its_own():
    predictions, manifest = example(classes=("a", "few"))
    manifest["few"] = np.nan
    manifest.loc[:8, "few"] = [1.0, 0, 0, 0, 1, 0, 1, 0, 0]  # three patients
    table = classification_table(predictions, manifest, 100, 0.9, 1, min_patients=4)
    table = table.set_index("class")
    assert table.loc["few", "note"] == "3 patients, fewer than 4: no interval"
    assert table.loc["few", ["auroc_low", "auprc_high"]].isna().all()
    macro = table.loc["macro"]
    assert macro["auroc"] == pytest.approx(table.loc[["a", "few"], "auroc"].mean())
    logits = predictions.pivot(index="image_id", columns="class", values="logit")
    logits = logits.loc[manifest["image_id"]]
    names, patient = np.unique(manifest["patient_id"], return_inverse=True)
    means = []
    for weights in patient_weights(len(names), 100, 1):
        weight, found = weights[patient], []
        for name in ("a", "few"):
            drawn = manifest[name].notna().to_numpy() & (weight > 0)
            label = manifest.loc[drawn, name]
            if label.nunique() == 2:
                score = logits[name].to_numpy()[drawn]
                found.append(roc_auc_score(label, score, sample_weight=weight[drawn]))
        means.append(np.mean(found))
    limits = np.quantile(means, [0.05, 0.95])
    assert [macro["auroc_low"], macro["auroc_high"]] == pytest.approx(limits)
    assert macro["n_patients"] == 60


def test_the_mean_over_classes_of_few_patients_has_no_interval_and_a_note():
    predictions, manifest = example()
    # 60 patients, of whom three have a certain label.
    manifest[["a", "b"]] = np.nan
    manifest.loc[:8, ["a", "b"]] = np.array([[1.0, 0, 0, 0, 1, 0, 1, 0, 0]] * 2).T
    macro = classification_table(predictions, manifest, 50, 0.9, 1, min_patients=4).iloc[-1]
    assert macro["class"] == "macro" and macro["n_patients"] == 3
    assert macro["note"] == "mean over 2 of 2 classes; 3 patients, fewer than 4: no interval"
    assert np.isnan(macro["auroc_low"]) and not np.isnan(macro["auroc"])
