"""The tables of what the model said when it was asked again."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.probes import summarise
from shamsul.evaluate.settings import Evaluate
from shamsul.job.fingerprint import PROJECT
from shamsul.metrics import METRICS, of_group
from shamsul.probe.settings import Probe
from shamsul.probe.table import COLUMNS
from shamsul.storage.tables import read_table, write_table

SETTINGS = Inference.of(Evaluate().model_dump())


def rows(values, metric="road", method="lrp", name="a", fill="", stage=0):
    return pd.DataFrame(
        [(f"i{n}", name, method, metric, fill, stage, True, v) for n, v in enumerate(values)],
        columns=list(COLUMNS),
    )


def manifest(count, patients):
    return pd.DataFrame(
        {
            "image_id": [f"i{n}" for n in range(count)],
            "patient_id": [f"p{n % patients}" for n in range(count)],
            "split": "test",
        }
    )


def test_means_and_numbers_by_hand():
    probes = pd.concat(
        [
            rows([1.0, 2.0, np.nan, 6.0], "deletion", fill="blur"),
            rows([5.0, np.nan, np.nan, np.nan], "deletion", fill="blur", name="b"),
            rows([0.1, 0.3, 0.2, 0.4], "mprt", stage=0),
            rows([0.5] * 4, "mprt", stage=1),
        ]
    )
    faithfulness, sanity = summarise(probes, manifest(4, 3), SETTINGS)
    assert "stage" not in faithfulness and "fill" not in sanity
    assert set(faithfulness["metric"]) == {"deletion"} and set(sanity["metric"]) == {"mprt"}
    table = faithfulness.set_index("class")
    numbers = ["n_maps", "n_undefined", "n_images", "n_patients"]
    assert table.loc["a", numbers].tolist() == [3, 1, 3, 2]  # Images 0 and 3 are of one patient.
    assert table.loc["b", numbers].tolist() == [1, 3, 1, 1]
    assert table.loc["pooled", numbers].tolist() == [4, 4, 3, 2]
    assert table["mean"].to_dict() == pytest.approx(
        {"a": 3.0, "b": 5.0, "pooled": 3.5, "macro": 4.0}
    )
    assert table["low"].isna().all() and "2 patients, fewer than 5" in table.at["a", "note"]
    mprt = sanity[sanity["class"] == "a"].set_index("stage")["mean"].to_dict()
    assert mprt == pytest.approx({0: 0.25, 1: 0.5})


def test_missing_maps_are_counted_and_a_method_without_any_is_left_out():
    some, none = rows([0.1, 0.5, 0.6]), rows([0.5] * 3, method="reader")
    some["explained"], none["explained"] = [True, False, True], False
    elsewhere = none.assign(image_id=["i3", "i4", "i5"], explained=True)
    of = manifest(6, 6).assign(split=["test"] * 3 + ["tune"] * 3)
    table, _ = summarise(pd.concat([some, none, elsewhere]), of, SETTINGS)
    pooled = table[table["class"] == "pooled"].set_index(["split", "method"])
    assert set(pooled.index) == {("test", "lrp"), ("tune", "reader")}
    assert pooled["n_maps"].tolist() == [3, 3] and pooled["n_missing"].tolist() == [1, 0]
    assert pooled.loc[("test", "lrp"), "mean"] == pytest.approx(0.4)


def test_a_metric_that_is_defined_nowhere_has_a_row_that_says_so():
    table, _ = summarise(rows([np.nan] * 6, "insertion", fill="mean"), manifest(6, 6), SETTINGS)
    assert (table["n_maps"] == 0).all() and (table["n_undefined"] == 6).all()
    assert table["mean"].isna().all() and table["low"].isna().all()


def test_intervals_resample_patients_and_are_the_same_for_the_same_values(rng):
    values = rng.normal(size=100)
    repeated = np.repeat(values[:25], 4)  # Four images of each patient say the same.
    many = pd.concat([rows(values), rows(values, method="other"), rows(repeated, method="twins")])
    one_patient_each = manifest(100, 100)
    by_method = {
        count: summarise(many, one, SETTINGS)[0].query("`class` == 'pooled'").set_index("method")
        for count, one in (
            (100, one_patient_each),
            (25, one_patient_each.assign(patient_id=[f"p{n // 4}" for n in range(100)])),
        )
    }
    apart, together = by_method[100], by_method[25]
    same = ["mean", "low", "high"]
    assert apart.loc["lrp", same].tolist() == apart.loc["other", same].tolist()
    width = {count: table["high"] - table["low"] for count, table in by_method.items()}
    # Of the mean of 25 independent values, and of a hundred: Student's.
    for count, own in ((25, values[:25]), (100, repeated)):
        theirs = stats.ttest_1samp(own, 0).confidence_interval(0.95)
        limits = by_method[count].loc["twins", ["low", "high"]]
        assert limits.tolist() == pytest.approx([theirs.low, theirs.high])
    assert width[100]["twins"] < 0.6 * width[25]["twins"]
    assert (together["low"] < together["mean"]).all() and (
        together["mean"] < together["high"]
    ).all()


def test_every_measure_has_a_name_a_direction_and_a_source():
    for name in Probe().metrics:
        metric = METRICS[name]
        assert metric.citation, name
        # What has a threshold judges.
        assert metric.better in ("higher", "lower") or metric.gate is None, name
    assert set(of_group("faithfulness")) < set(Probe().metrics)


def test_the_script_writes_the_same_whatever_the_order_of_shards_and_needs_no_torch(tmp_path):
    write_table(rows([1.0, 2.0]), tmp_path / "a.parquet")
    write_table(rows([3.0, 5.0], method="other"), tmp_path / "b.parquet")
    write_table(manifest(2, 2), tmp_path / "m.parquet")
    given = json.dumps({"evaluate": asdict(SETTINGS)})
    written = []
    for order in (("a", "b"), ("b", "a")):
        program = (
            "import runpy, sys; sys.argv = sys.argv[1:];"
            "runpy.run_path(sys.argv[0], run_name='__main__'); assert 'torch' not in sys.modules"
        )
        done = subprocess.run(
            [
                *(sys.executable, "-c", program, str(PROJECT / "scripts" / "summarise_probes.py")),
                *("--settings", given, "--manifests", tmp_path / "m.parquet", "--probes"),
                *(tmp_path / f"{name}.parquet" for name in order),
                *("--faithfulness", tmp_path / "f.parquet", "--sanity", tmp_path / "s.parquet"),
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        written.append([(tmp_path / f"{name}.parquet").read_bytes() for name in "fs"])
    assert written[0] == written[1]
    table = read_table(tmp_path / "f.parquet")
    means = table[table["class"] == "a"].set_index("method")["mean"]
    assert means.to_dict() == {"lrp": 1.5, "other": 4.0}
