"""`shamsul init`: what it sees in folders of several forms, and a configuration that runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from shamsul import config, experiment
from shamsul.command.app import app
from shamsul.command.draft import Draft, quoted
from shamsul.data.masks import MASK_COLUMNS
from shamsul.job.fingerprint import PROJECT
from tests import newcomer


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """A folder of phantoms, seen from the folder that it is in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHAMSUL_DATA", raising=False)
    return tmp_path


def initialised(folder, *options):
    done = CliRunner().invoke(app, ["init", str(folder), "--output", "mine.yaml", *options])
    assert done.exit_code == 0, done.output + str(done.exception)
    return yaml.safe_load(Path("mine.yaml").read_text()), done.output


def write_images(folder, names, mode="L"):
    rng = np.random.default_rng(0)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (64, 60), np.uint8)).convert(mode).save(path)


def labels(names, column="Edema"):
    return pd.DataFrame({"image": names, column: [n % 2 for n in range(len(names))]})


NAMES = [f"img {n}.png" for n in range(24)]


def test_a_newcomers_folder_is_understood(inside):
    newcomer.of_phantoms(inside / "Meine Bilder")
    raw, said = initialised("Meine Bilder")
    source = raw["data"]["sources"][0]
    assert raw["run"] == "Meine-Bilder" and raw["classes"] == ["opacity", "fluid"]
    assert source["columns"] == {
        "path": "Bild", "patient": "Patient ID", "sex": "Geschlecht", "age": "Alter",
        "projection": "AP/PA",
    }  # fmt: skip
    assert source["images"] == "Bilder" and source["tables"] == ["labels.csv"]
    assert [entry["form"] for entry in source["masks"]] == ["png", "boxes"]
    assert source["masks"][1]["box"] == "xyxy"
    assert set(raw["explain"]["classes"]) == {"opacity", "fluid"}
    # Notes are told and stand in the file; nothing is asked that can be seen.
    text = Path("mine.yaml").read_text()
    for note in ("is in utf-16", "'W' as F (18)", "columns that are not used: 'remark'"):
        assert note in said and note in " ".join(text.replace("#", " ").split())
    assert not experiment.faults(raw) and config.load(raw).run == "Meine-Bilder"


def test_nothing_is_changed_and_nothing_overwritten(inside):
    newcomer.of_phantoms(inside / "data", 12)
    before = {path: path.stat().st_mtime_ns for path in (inside / "data").rglob("*")}
    initialised("data")
    assert before == {path: path.stat().st_mtime_ns for path in (inside / "data").rglob("*")}
    done = CliRunner().invoke(app, ["init", "data", "--output", "mine.yaml"])
    assert done.exit_code and "mine.yaml: exists already" in str(done.exception)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "is no folder"),
        (lambda folder: folder.mkdir(), "holds no radiograph"),
        (lambda folder: write_images(folder, NAMES), "nothing says what a radiograph shows"),
    ],
)
def test_a_folder_that_says_nothing_is_told_so(inside, make, said):
    make(inside / "data")
    done = CliRunner().invoke(app, ["init", "data"])
    assert done.exit_code and said in str(done.exception)


def test_lists_of_findings_and_no_patients(inside):
    write_images(inside / "data", NAMES)
    cells = ["Mass|Edema", "No Finding", "Edema", "Mass"] * 6
    pd.DataFrame({"Image Index": NAMES, "Finding Labels": cells}).to_csv("data/d.csv", index=False)
    raw, said = initialised("data")
    source = raw["data"]["sources"][0]
    assert source["columns"] == {"path": "Image Index", "labels": "Finding Labels"}
    assert source["separator"] == "|" and set(raw["classes"]) == {"Mass", "Edema", "No Finding"}
    assert "? which column says the patient" in said


def test_folders_that_are_patients(inside):
    names = [f"patient{n // 2:03d}/study{n % 2}/view.png" for n in range(24)]
    write_images(inside / "data", names)
    labels(names).to_csv("data/t.csv", index=False)
    raw, said = initialised("data")
    assert raw["data"]["sources"][0]["named"] == "{patient}/{study}/*"
    assert "which column says the patient" not in said and "counts as a patient" not in said


def test_folders_that_are_findings_and_splits(inside):
    places = [f"{s}/{label}/{n}.png" for s in ("train", "val", "test")
              for label in ("NORMAL", "PNEUMONIA") for n in range(4)]  # fmt: skip
    write_images(inside / "data", places)
    raw, _ = initialised("data")
    source = raw["data"]["sources"][0]
    assert source["named"] == "{split}/{label}/*" and raw["classes"] == ["NORMAL", "PNEUMONIA"]
    assert "split" not in source


def test_probabilities_fractions_of_boxes_and_a_workbook(inside):
    pytest.importorskip("python_calamine")
    write_images(inside / "data", NAMES)
    table = labels(NAMES).assign(Edema=[0.9, 0.1] * 12, patient=range(24))
    table.to_excel("data/t.xlsx", index=False)
    boxes = pd.DataFrame({"name": NAMES[::2], "x_center": 0.5, "y_center": 0.5, "width": 0.2,
                          "height": 0.1, "class": "edema"})  # fmt: skip
    boxes.to_csv("data/b.csv", index=False)
    raw, said = initialised("data")
    source = raw["data"]["sources"][0]
    (entry,) = source["masks"]
    assert source["threshold"] == 0.5 and source["tables"] == ["t.xlsx"]
    assert (entry["box"], entry["unit"]) == ("cxcywh", "fraction")
    # The boxes' name for the class is mapped, and said.
    assert source["labels"] == {"edema": "Edema"} and "'edema' is taken for the class" in said


def test_boxes_of_reduced_images_get_the_frame_of_the_originals(inside):
    write_images(inside / "data", NAMES)
    labels(NAMES).to_csv("data/t.csv", index=False)
    boxes = pd.DataFrame({"image": NAMES[1::2], "label": "Edema", "x": range(600, 720, 10),
                          "y": 500, "w": 200, "h": 300})  # fmt: skip
    boxes.to_csv("data/b.csv", index=False)
    raw, said = initialised("data")
    (entry,) = raw["data"]["sources"][0]["masks"]
    assert entry["frame"] == [1024, 1024]
    assert "? b.csv: 12 boxes do not fit the files as they are: were they drawn on" in said
    assert raw["explain"]["classes"] == ["Edema"]


def test_suffixed_masks_coloured_masks_and_coco(inside):
    write_images(inside / "data", NAMES)
    labels(NAMES).to_csv("data/t.csv", index=False)
    mask = np.zeros((64, 60), np.uint8)
    mask[20:40, 20:40] = 255
    for name in NAMES[1::2]:
        Image.fromarray(mask).save(inside / "data" / name.replace(".png", "_Edema_mask.png"))
    content = {
        "images": [{"id": 1, "file_name": NAMES[1], "height": 64, "width": 60}],
        "categories": [{"id": 1, "name": "Edema"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [2, 2, 9, 9]}],
    }
    (inside / "data" / "coco.json").write_text(json.dumps(content))
    (inside / "data" / "notes.json").write_text("[1]")
    outline = {"img_size": [64, 60], "Edema": [[[5, 5], [20, 5], [20, 20]]]}
    (inside / "data" / "other.json").write_text(json.dumps({Path(NAMES[3]).stem: outline}))
    raw, said = initialised("data")
    found = raw["data"]["sources"][0]["masks"]
    assert found[0]["files_named"] == "{image}_{label}_mask" and found[0]["form"] == "png"
    assert found[1] == {"form": "coco", "file": "coco.json", "reader": "coco_json"}
    assert found[2]["form"] == "chexlocalize" and found[2]["reader"] == "other_json"
    assert "each counts as a reader of its own" in said
    assert "not understood, and not used: 'notes.json'" in said


@pytest.mark.parametrize(
    "value",
    ["yes", "No", "Thorax p.a.", "a: b", "#x", "ä", "", " x", "{image}", "1", "null", "a\nb", "'"],
)
def test_any_name_survives_yaml(value):
    assert yaml.safe_load(f"- {quoted({value: [value, 1, True, 0.5]})}") == [
        {value: [value, 1, True, 0.5]}
    ]


def test_a_draft_has_the_columns_that_masks_have():
    assert MASK_COLUMNS[:2] == ["image_id", "class"] and Draft({}, []).masked == []


def run_to_a_report(folder: Path, data: str) -> dict:
    """Run `shamsul init` and then `shamsul run`, as somebody does who edits nothing."""
    environment = {k: v for k, v in os.environ.items() if k != "SHAMSUL_DATA"}
    environment["PYTHONPATH"] = str(PROJECT)
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for arguments in (["init", data, "-o", "mine.yaml"], ["run", "mine.yaml", "--cores", "2"]):
        done = subprocess.run(
            [sys.executable, "-m", "shamsul", *arguments],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    raw = yaml.safe_load((folder / "mine.yaml").read_text())
    results = folder / "results" / raw["run"]
    assert (results / "report.html").stat().st_size > 100_000
    masks = pd.read_parquet(results / "masks.parquet")
    scores = pd.concat(map(pd.read_parquet, (results / "scores" / "grad_cam").glob("test-*")))
    return {"raw": raw, "masks": masks, "scores": scores}


@pytest.mark.workflow
def test_a_newcomers_folder_goes_to_a_report_with_no_file_edited(tmp_path):
    newcomer.of_phantoms(tmp_path / "data")
    found = run_to_a_report(tmp_path, "data")
    assert set(found["masks"]["kind"]) == {"segmentation", "box"}
    assert set(found["scores"]["kind"].dropna()) >= {"segmentation", "box"}


@pytest.mark.workflow
@pytest.mark.long
def test_real_radiographs_of_a_newcomer_go_to_a_report(tmp_path, real_data):
    newcomer.of_nih(tmp_path / "Bilder 2019", real_data)
    found = run_to_a_report(tmp_path, "Bilder 2019")
    assert set(found["masks"]["kind"]) == {"segmentation", "box"}
    assert found["raw"]["data"]["sources"][0]["columns"]["patient"] == "Patient ID"
