"""Names as people give them: braces, slashes, quotes and umlauts in classes, titles and paths."""

import csv
import json
import shutil

import pandas as pd
import pytest

from shamsul.explain.external.export import export
from shamsul.labels import LOCALISED
from tests.experiment import Experiment

OWN = {
    "Lung Opacity": "Mass/Nodule",
    "Edema": "Ödem {x}",
    "Support Devices": 'it\'s "5%", $HOME',
    "Fracture": "{run}",
}
TITLE = "50% {of} it's <b>"


@pytest.fixture(scope="module")
def named(finished, tmp_path_factory):
    """An experiment on the finished one's phantoms, under classes and folders of one's own."""
    folder = tmp_path_factory.mktemp("named")
    data = shutil.copytree(finished.results / "phantom" / "phantom", folder / "da{t}a")
    for file in data.rglob("*.csv"):
        header, *rows = csv.reader(file.open(encoding="utf-8"))
        with file.open("w", encoding="utf-8") as changed:
            csv.writer(changed).writerows([[OWN.get(name, name) for name in header], *rows])
    for file in data.rglob("gt_segmentations_*.json"):
        masks = json.loads(file.read_text(encoding="utf-8"))
        names = OWN | {"Airspace Opacity": OWN["Lung Opacity"]}
        for image_id, entry in masks.items():
            masks[image_id] = {names.get(name, name): drawn for name, drawn in entry.items()}
        file.write_text(json.dumps(masks), encoding="utf-8")

    def source(split, labels, masks=None):
        return {
            "adapter": "chexpert", "name": split, "split": split, "labels": labels,
            "images": labels.split("/")[0], "segmentations": masks,
        }  # fmt: skip

    masks = "CheXlocalize/gt_segmentations_{}.json".format
    configuration = {
        "run": "named",
        "data": {
            "root": "da{t}a",
            "size": 64,
            "sources": [
                source("train", "CheXpert-v1.0-small/train.csv"),
                source("tune", "CheXpert/val_labels.csv", masks("val")),
                source("test", "CheXpert/test_labels.csv", masks("test")),
            ],
        },
        "classes": list(OWN.values()),
        "model": {"network": "densenet_small", "weights": "random"},
        "train": {"epochs": 1, "batch_size": 16, "threads": 1},
        "explain": {"methods": [{"method": "random"}, {"method": "mean_mask"}]},
        "probe": {"images": 0},
        "report": {"title": TITLE},
    }
    experiment = Experiment(folder, configuration)
    experiment.snakemake()
    return experiment


def test_every_class_with_masks_is_scored_and_the_others_are_named(named):
    scored = set(OWN.values()) - {"{run}"}
    found = pd.read_parquet(named.results / "tables" / "localisation.parquet")
    assert set(found["class"]) - {"pooled", "macro"} == scored
    said = "no masks on tune or test: {run}"
    assert said in (named.results / "logs" / "per_image.log").read_text()
    assert said in (named.results / "report.html").read_text()
    masks = (named.results / "logs" / "manifest.log").read_text()
    assert "are not among `classes` are left out: Atelectasis (" in masks


def test_the_report_has_the_title_and_the_files_by_their_own_paths(named):
    page = (named.results / "report.html").read_text()
    assert "<title>50% {of} it&#39;s &lt;b&gt;" in page
    assert "sha256 of" in page and "da{t}a/CheXpert/test_labels.csv" in page
    assert "/links/" not in page


def test_nothing_is_left_to_do(named):
    assert named.would_run() == set()


def test_what_is_exported_has_the_names(named, tmp_path):
    export(named.results, "random", tmp_path)
    written = {file.name for file in tmp_path.rglob("*_map.pkl")}
    for name in OWN.values():
        assert any(file.endswith(f"_{name.replace('/', '_')}_map.pkl") for file in written), name
    masks = json.loads((tmp_path / "gt_segmentations_test.json").read_text())
    assert set(OWN.values()) - {"{run}"} <= set(next(iter(masks.values())))
    assert set(next(iter(masks.values()))) - set(OWN.values()) <= {*LOCALISED, "Airspace Opacity"}


def test_shamsul_in_a_folder_with_braces_is_refused_in_one_line(finished, tmp_path):
    (tmp_path / "{my}").mkdir()
    done = Experiment(tmp_path / "{my}", finished.configuration).dry_run(check=False)
    told = done.stdout + done.stderr
    (line,) = [line for line in told.splitlines() if "move shamsul to a folder" in line]
    assert done.returncode and "{my}: Snakemake reads braces" in line
