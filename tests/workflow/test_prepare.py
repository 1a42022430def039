"""From image files to shards: bad files, files that come back, and a run that is killed."""

import os
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shamsul.data.image_list import shard
from shamsul.labels import CLASSES
from tests.experiment import SMALL, Experiment

PARTS = 6
BAD = {"truncated": 30, "empty": 31, "text": 32}


def file_of(experiment, patient):
    return experiment.folder / "data" / f"patient{patient:05d}/study1/view1_frontal.png"


def image_id(patient):
    return f"patient{patient:05d}_study1_view1_frontal"


@pytest.fixture
def radiographs(tmp_path):
    """A run on 120 small radiographs of test and 12 of tune, that has not begun."""
    source = {"adapter": "chexpert", "images": "."}
    data = {
        "root": "data",
        "size": 64,
        "sources": [
            source | {"name": split, "split": split, "labels": f"{split}.csv"}
            for split in ("train", "tune", "test")
        ],
        "shards": {"train": 8, "tune": 8, "test": 8},
    }
    methods = {"methods": [{"method": "grad_cam"}, {"method": "random"}]}
    experiment = Experiment(tmp_path, SMALL | {"data": data, "explain": methods})
    rng = np.random.default_rng(0)
    for split, patients in (
        ("train", range(2)),
        ("tune", range(10, 22)),
        ("test", range(30, 150)),
    ):
        lines = [",".join(["Path", *CLASSES])]
        for patient in patients:
            file = file_of(experiment, patient)
            file.parent.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 256, (40, 40)).astype(np.uint8)).save(file)
            place = file.relative_to(experiment.folder / "data")
            lines.append(",".join([str(place), *["1.0"] * len(CLASSES)]))
        (experiment.folder / "data" / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return experiment


def test_bad_files_of_a_large_source_are_left_out_and_come_back_when_mended(radiographs):
    whole = {name: file_of(radiographs, patient).read_bytes() for name, patient in BAD.items()}
    file_of(radiographs, BAD["truncated"]).write_bytes(whole["truncated"][:-500])
    file_of(radiographs, BAD["empty"]).write_bytes(b"")
    file_of(radiographs, BAD["text"]).write_bytes(b"lost")
    done = radiographs.snakemake("--until", "images")
    told = done.stdout + done.stderr
    assert "data source test: 3 of 120 images cannot be used and are left out" in told
    rejected = pd.read_parquet(radiographs.results / "tables" / "rejected.parquet")
    assert set(rejected["image_id"]) == {image_id(patient) for patient in BAD.values()}
    counts = pd.read_parquet(radiographs.results / "tables" / "sources.parquet")
    test = counts.set_index("source").loc["test"]
    assert test[["listed", "rejected_images", "test"]].tolist() == [120, 3, 117]
    # One file is mended: the part that it is in is read again, and no other.
    file_of(radiographs, BAD["empty"]).write_bytes(whole["empty"])
    part = f"part={shard(image_id(BAD['empty']), PARTS):04d}"
    own = f"shard=test-{shard(image_id(BAD['empty']), 8):04d}"
    assert radiographs.run("--until", "images") == {
        ("read", part), ("manifest", ""), ("images", own),
    }  # fmt: skip
    assert len(pd.read_parquet(radiographs.results / "tables" / "rejected.parquet")) == 2
    assert radiographs.run("--until", "images") == set()


def test_files_that_break_and_are_mended_after_a_run_are_looked_at_anew(radiographs):
    radiographs.snakemake("--until", "manifest")
    lost, other = file_of(radiographs, 40), file_of(radiographs, 41)
    kept = lost.read_bytes()
    lost.write_bytes(b"")
    told = radiographs.snakemake("--until", "images")
    assert "1 of 120 images cannot be used" in told.stdout + told.stderr
    lost.write_bytes(kept)
    Image.fromarray(np.full((40, 40), 9, np.uint8)).save(other)
    ran = radiographs.run("--until", "images")
    read = {f"part={shard(image_id(patient), PARTS):04d}" for patient in (40, 41)}
    assert {wildcards for rule, wildcards in ran if rule == "read"} == read
    assert pd.read_parquet(radiographs.results / "tables" / "rejected.parquet").empty


def test_a_run_that_is_killed_goes_on_with_the_parts_that_are_missing(radiographs):
    command = radiographs.command("--until", "manifest", "--cores", "1")
    process = subprocess.Popen(
        command, cwd=radiographs.folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    folder = radiographs.results / "read"
    log = radiographs.folder / ".snakemake" / "metadata"
    until = time.monotonic() + 120
    # Two parts are done, and Snakemake has noted it of one at least.
    while len(list(folder.glob("*.parquet"))) < 3 or not log.exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {file.name: file.stat().st_mtime_ns for file in folder.glob("*.parquet")}
    assert len(before) < PARTS and not (radiographs.results / "manifest.parquet").exists()
    radiographs.snakemake("--unlock")
    ran = radiographs.run("--until", "manifest", "--rerun-incomplete")
    again = {wildcards for rule, wildcards in ran if rule == "read"}
    kept = {name for name, time in before.items() if (folder / name).stat().st_mtime_ns == time}
    assert len(kept) >= 2 and again == {
        f"part={number:04d}" for number in range(PARTS) if f"{number:04d}.parquet" not in kept
    }
    assert ("listing", "") not in ran
    assert len(pd.read_parquet(radiographs.results / "manifest.parquet")) == 134
