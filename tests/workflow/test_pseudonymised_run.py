"""A run under pseudonyms: no name of an image, patient or study is anywhere in its results."""

import json
import re
import shutil

import pandas as pd
import pytest

from tests.experiment import Experiment

KEY = "secret of the study, 32 bytes or so"
PATTERN = re.compile(rb"patient\d{3,}|study\d+/view")
"""Names as phantoms have them, and paths of their images."""


def source(split, labels, masks=None):
    return {
        "adapter": "chexpert", "name": split, "split": split, "labels": labels,
        "images": labels.split("/")[0], "segmentations": masks,
    }  # fmt: skip


@pytest.fixture(scope="module")
def hidden(finished, tmp_path_factory):
    """An experiment on the finished one's phantoms, as files of a user's, under pseudonyms."""
    folder = tmp_path_factory.mktemp("hidden")
    shutil.copytree(finished.results / "phantom" / "phantom", folder / "data")
    (folder / "keys").mkdir()
    (folder / "keys" / "study.key").write_text(KEY + "\n")
    broken = next((folder / "data" / "CheXpert-v1.0-small").rglob("*.jpg"))
    broken.write_bytes(b"no image")
    masks = "CheXlocalize/gt_segmentations_{}.json".format
    configuration = {
        "run": "hidden",
        "data": {
            "root": "data",
            "size": 64,
            "on_bad_image": "quarantine",
            "pseudonymise": "keys/study.key",
            "sources": [
                source("train", "CheXpert-v1.0-small/train.csv"),
                source("tune", "CheXpert/val_labels.csv", masks("val")),
                source("test", "CheXpert/test_labels.csv", masks("test")),
            ],
            "shards": {"train": 2, "tune": 1, "test": 2},
        },
        "model": {"network": "densenet_small", "weights": "random"},
        "train": {"epochs": 1, "batch_size": 16, "threads": 1},
        "explain": {
            "methods": [
                {"method": "random"},
                {"method": "mean_mask"},
                {
                    "method": "radiologist",
                    "segmentations": "data/CheXlocalize/hb_segmentations_test.json",
                    "points": "data/CheXlocalize/hb_salient_pt_test.json",
                },
            ]
        },
        "probe": {"images": 0},
    }
    experiment = Experiment(folder, configuration)
    experiment.snakemake()
    return experiment


def contents(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def text_of(file):
    """Bytes of a file, of a table also those that are compressed."""
    if file.suffix == ".parquet":
        return file.read_bytes() + pd.read_parquet(file).to_csv().encode()
    return file.read_bytes()


def test_no_name_is_in_any_result(hidden):
    files = [file for file in hidden.results.rglob("*") if file.is_file()]
    assert {"report.html", "manifest.parquet", "manifest.log", "test-0000.h5"} <= {
        file.name for file in files
    }
    found = {file.name: PATTERN.search(text_of(file)) for file in files}
    assert {name: match[0] for name, match in found.items() if match} == {}
    # They would be found: the run without pseudonyms has them in its manifest.
    data = hidden.folder / "data" / "CheXpert" / "test_labels.csv"
    assert PATTERN.search(data.read_bytes())


def test_names_can_be_looked_up_beside_the_key_by_its_owner_alone(hidden):
    private = hidden.folder / "keys" / "study.key.names" / "hidden"
    names = pd.read_parquet(private / "names.parquet").set_index("image_pseudonym")
    manifest = pd.read_parquet(hidden.results / "manifest.parquet")
    assert set(manifest["image_id"]) == set(names.index)
    assert manifest["image_id"].str.fullmatch(r"[0-9a-f]{32}").all()
    assert names["image_id"].str.startswith("patient").all() and names["image_id"].is_unique
    of_patient = names.groupby("patient_id")["patient_pseudonym"].nunique()
    assert (of_patient == 1).all() and names["patient_pseudonym"].nunique() == len(of_patient)
    assert private.stat().st_mode & 0o077 == 0
    rejected = pd.read_parquet(private / "rejected.parquet")
    assert len(rejected) == 1 and "patient" in rejected["file"].item()
    shown = pd.read_parquet(hidden.results / "tables" / "rejected.parquet")
    assert shown["image_id"].str.fullmatch(r"[0-9a-f]{32}").all() and (shown["file"] == "").all()


def test_splits_shards_and_readers_are_those_of_the_names(hidden, tmp_path):
    """The same run without pseudonyms, as far as what does not depend on names."""
    shutil.copytree(hidden.folder / "data", tmp_path / "data")
    open_data = {k: v for k, v in hidden.configuration["data"].items() if k != "pseudonymise"}
    known = Experiment(tmp_path, hidden.configuration | {"data": open_data})
    known.snakemake("results/hidden/images/test-0000.h5", "results/hidden/images/test-0001.h5")
    private = hidden.folder / "keys" / "study.key.names" / "hidden"
    names = pd.read_parquet(private / "names.parquet")
    pseudonym = dict(zip(names["image_id"], names["image_pseudonym"], strict=True))
    for kind in ("test-0000", "test-0001", "tune-0000", "train-0001"):
        a, b = (
            pd.read_parquet(one.results / "shards" / f"{kind}.parquet") for one in (known, hidden)
        )
        assert len(a) and sorted(map(pseudonym.get, a["image_id"])) == sorted(b["image_id"])
    scores = pd.read_parquet(hidden.results / "scores" / "radiologist" / "test-0000.parquet")
    assert scores["made"].any()


def test_a_touched_key_reruns_nothing_and_another_key_what_has_names_in_it(hidden):
    key = hidden.folder / "keys" / "study.key"
    assert hidden.would_run() == set()
    key.touch()
    assert hidden.would_run() == set()
    key.write_text("another secret of the study, as long")
    jobs = {rule for rule, _ in hidden.would_run()}
    key.write_text(KEY + "\n")
    assert "manifest" in jobs and "read" not in jobs and "listing" not in jobs


@pytest.mark.parametrize("content", [None, "short"])
def test_a_key_that_is_missing_or_short_is_told_in_one_line(hidden, tmp_path, content):
    if content:
        (tmp_path / "my.key").write_text(content)
    data = hidden.configuration["data"] | {"pseudonymise": str(tmp_path / "my.key")}
    configuration = json.loads(json.dumps(hidden.configuration | {"data": data}))
    done = Experiment(hidden.folder, configuration).dry_run(check=False)
    told = [line for line in (done.stdout + done.stderr).splitlines() if "pseudonymise" in line]
    assert done.returncode and len(told) == 1 and "openssl rand -hex 32" in told[0]
