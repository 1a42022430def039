"""The full study's configuration on a tree as the published archives lay it out; given weights."""

import subprocess
import sys

import pandas as pd
import pytest
import yaml

from shamsul.job.fingerprint import PROJECT
from shamsul.metrics import METRICS
from tests.experiment import Experiment

FEWER = {
    "lime_2023": {"samples": 20, "segments": 8},
    "kernel_shap_2023": {"samples": 20, "segments": 8},
    "integrated_gradients": {"steps": 2},
}


@pytest.mark.long
def test_the_full_study_on_a_tree_of_phantoms(tmp_path):
    subprocess.run(
        [
            *(sys.executable, "-m", "shamsul", "phantom", "export", str(tmp_path / "data")),
            *("--patients", "train=12,tune=6,test=6", "--height", "96"),
            *("--lateral", "--annotations"),
        ],
        check=True,
        cwd=PROJECT,
    )
    configuration = yaml.safe_load((PROJECT / "configs" / "chexpert.yaml").read_text())
    # The study itself, but for sizes that a processor can manage in a minute.
    configuration["data"] |= {"size": 64, "shards": {"train": 2, "tune": 1, "test": 1}}
    configuration["model"] = {"network": "densenet_small", "weights": "random"}
    configuration["train"]["epochs"] = 1
    configuration["probe"] = {
        "images": 2,
        "reexplained_images": 1,
        "classes": 1,
        "fills": ["blur"],
        "steps": 4,
    }
    configuration["explain"]["perturbations"] = {"samples": 40, "segments": 8}
    methods = configuration["explain"]["methods"]
    names = [method.get("name", method["method"]) for method in methods]
    configuration["explain"]["methods"] = [
        method | FEWER.get(name, {}) for name, method in zip(names, methods, strict=True)
    ]
    assert set(names) >= set(FEWER)
    experiment = Experiment(tmp_path, configuration)
    experiment.snakemake()

    manifest = pd.read_parquet(experiment.results / "manifest.parquet")
    assert set(manifest["view"]) == {"frontal", "lateral"}
    assert manifest.groupby("patient_id")["split"].nunique().max() == 1
    masks = pd.read_parquet(experiment.results / "masks.parquet")
    assert "Lung Opacity" in set(masks["class"]) and "Airspace Opacity" not in set(masks["class"])
    scored = pd.read_parquet(experiment.results / "tables" / "per_image.parquet")
    pairs = scored[scored["metric"] == "hit_rate"].groupby("method").size()
    assert len(pairs) == len(configuration["explain"]["methods"])
    # Every method on every mask; the reader read the test set only, and no prior is where no other
    # patient of tune has a mask of the class.
    drawn = masks.merge(manifest[["image_id", "split", "patient_id"]], on="image_id")
    assert pairs.pop("radiologist") == (drawn["split"] == "test").sum()
    tune = drawn[drawn["split"] == "tune"]
    known = sum(
        bool(((tune["class"] == name) & (tune["patient_id"] != patient)).any())
        for name, patient in zip(drawn["class"], drawn["patient_id"], strict=True)
    )
    assert 0 < pairs.pop("mean_mask") == known < len(masks)
    assert (pairs == len(masks)).all()
    for name, values in scored.groupby("metric")["value"]:
        assert values.between(METRICS[name].low, METRICS[name].high).all(), name
    theirs = pd.read_parquet(experiment.results / "tables" / "chexlocalize.parquet")
    assert set(theirs["method"]) == set(scored["method"])
    gains = pd.read_parquet(experiment.results / "tables" / "gains.parquet")
    references = gains.groupby("reference")["reference_method"].unique().map(list).to_dict()
    assert references == {
        "baseline": ["random"],
        "prior": ["mean_mask"],
        "radiologist": ["radiologist"],
    }
    assert (experiment.results / "report.html").is_file()


def test_given_weights_are_explained_and_nothing_trains(finished, tmp_path):
    weights = finished.results / "model" / "checkpoint.pt"
    configuration = finished.configuration | {
        "run": "given",
        "model": {"network": "densenet_small", "checkpoint": str(weights)},
    }
    experiment = Experiment(tmp_path, configuration)
    experiment.snakemake(f"{experiment.relative(experiment.results)}/predictions.parquet")
    assert not (experiment.results / "benchmarks" / "train.tsv").exists()
    given, trained = (
        pd.read_parquet(run.results / "predictions.parquet") for run in (experiment, finished)
    )
    pd.testing.assert_frame_equal(given, trained)
