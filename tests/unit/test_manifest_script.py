"""The program that writes the manifest, where a split has no image at all."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
from PIL import Image

from scripts.manifest import masked_classes
from shamsul.job.fingerprint import PROJECT


def test_a_split_without_images_has_empty_shards_of_the_same_columns(tmp_path):
    labels = ["Path,No Finding"]
    for patient in range(2):
        path = f"patient{patient}/study1/view1_frontal.png"
        (tmp_path / path).parent.mkdir(parents=True)
        Image.fromarray(np.full((8, 8), patient, np.uint8)).save(tmp_path / path)
        labels.append(f"{path},1.0")
    for split, line in zip(("tune", "test"), labels[1:], strict=True):
        (tmp_path / f"{split}.csv").write_text(f"{labels[0]}\n{line}\n")
    settings = {
        "classes": ["No Finding"],
        "shards": {"train": 1, "tune": 1, "test": 2},
        "sources": [
            {
                "adapter": "chexpert",
                "name": split,
                "split": split,
                "labels": f"{split}.csv",
                "images": ".",
            }
            for split in ("tune", "test")
        ],
    }
    subprocess.run(
        [
            *(sys.executable, PROJECT / "scripts" / "manifest.py"),
            *("--settings", json.dumps(settings)),
            *("--roots", json.dumps({"tune": str(tmp_path), "test": str(tmp_path)})),
            *("--manifest", tmp_path / "manifest.parquet", "--masks", tmp_path / "masks.parquet"),
            *("--masked", tmp_path / "masked_classes.parquet"),
            *("--shards", tmp_path / "shards", "--record", tmp_path / "image_files.csv"),
        ],
        check=True,
        cwd=PROJECT,
    )
    assert list(pd.read_parquet(tmp_path / "masked_classes.parquet")["class"]) == []
    read = {file.stem: pd.read_parquet(file) for file in (tmp_path / "shards").glob("*.parquet")}
    assert len(read["train-0000"]) == 0 and len(read["tune-0000"]) == 1
    assert len(read["test-0000"]) + len(read["test-0001"]) == 1
    for kind in ("", ".files", ".patients", ".masks"):
        assert list(read[f"train-0000{kind}"]) == list(read[f"tune-0000{kind}"])


def test_masked_classes_are_those_with_masks_on_images_that_are_explained():
    images = pd.DataFrame({"image_id": ["a", "b", "c"], "split": ["train", "tune", "test"]})
    masks = pd.DataFrame(
        {"image_id": ["a", "b", "c", "c"], "class": ["Mass", "Edema", "Edema", "Nodule"]}
    )
    found = masked_classes(images, masks, ["Nodule", "Mass", "Fracture", "Edema"])
    assert list(found["class"]) == ["Nodule", "Edema"]
