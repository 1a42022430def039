"""The programs from the sources' tables to the manifest, where a split has no image at all."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from scripts.manifest import masked_classes
from shamsul.data.reading.part import FACTS_COLUMNS
from shamsul.job.fingerprint import PROJECT


def call(program, **options):
    """Run a program of the rules; lists are several values of an option."""
    command = [sys.executable, PROJECT / "scripts" / f"{program}.py"]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        command += [f"--{name.replace('_', '-')}", *values]
    return subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, text=True)


@pytest.fixture
def made(tmp_path):
    """A folder in which the programs have run on one image each of tune and test."""
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
    given = {
        "settings": json.dumps(settings),
        "roots": json.dumps({"tune": str(tmp_path), "test": str(tmp_path)}),
    }
    listing = {
        "listed": tmp_path / "listing" / "images.parquet",
        "rejected_rows": tmp_path / "listing" / "rejected.parquet",
        "counts": tmp_path / "listing" / "sources.parquet",
    }
    call("listing", **given, **listing, parts=tmp_path / "listing")
    parts = [f"{number:04d}" for number in range(1)]
    for part in parts:
        call(
            "read",
            roots=given["roots"],
            listed=tmp_path / "listing" / f"{part}.parquet",
            facts_table=tmp_path / "read" / f"{part}.parquet",
            record=tmp_path / "image_files" / f"{part}.csv",
        )
    call(
        "manifest",
        **given,
        **listing,
        facts=[tmp_path / "read" / f"{part}.parquet" for part in parts],
        manifest=tmp_path / "manifest.parquet",
        masks=tmp_path / "masks.parquet",
        masked=tmp_path / "masked_classes.parquet",
        rejected=tmp_path / "rejected.parquet",
        sources=tmp_path / "sources.parquet",
        shards=tmp_path / "shards",
    )
    return tmp_path


def test_a_split_without_images_has_empty_shards_of_the_same_columns(made):
    assert list(pd.read_parquet(made / "masked_classes.parquet")["class"]) == []
    read = {file.stem: pd.read_parquet(file) for file in (made / "shards").glob("*.parquet")}
    assert len(read["train-0000"]) == 0 and len(read["tune-0000"]) == 1
    assert len(read["test-0000"]) + len(read["test-0001"]) == 1
    for kind in ("", ".files", ".patients", ".masks"):
        assert list(read[f"train-0000{kind}"]) == list(read[f"tune-0000{kind}"])


def test_every_image_is_read_in_one_part_and_recorded(made):
    facts = pd.concat(pd.read_parquet(file) for file in sorted((made / "read").iterdir()))
    manifest = pd.read_parquet(made / "manifest.parquet")
    assert list(facts) == list(FACTS_COLUMNS) and len(facts) == 2
    assert set(facts["image_id"]) == set(manifest["image_id"])
    both = manifest.merge(facts, on="image_id", suffixes=("", "_read"))
    assert (both["sha256"] == both["sha256_read"]).all() and set(both["depth"]) == {8}
    assert set(facts["notes"]) == {"one grey value everywhere; smaller than 32 pixels"}
    records = pd.concat(pd.read_csv(file) for file in (made / "image_files").iterdir())
    assert set(records["sha256"]) == set(manifest["sha256"])


def test_masked_classes_are_those_with_masks_on_images_that_are_explained():
    images = pd.DataFrame({"image_id": ["a", "b", "c"], "split": ["train", "tune", "test"]})
    masks = pd.DataFrame(
        {"image_id": ["a", "b", "c", "c"], "class": ["Mass", "Edema", "Edema", "Nodule"]}
    )
    found = masked_classes(images, masks, ["Nodule", "Mass", "Fracture", "Edema"])
    assert list(found["class"]) == ["Nodule", "Edema"]
