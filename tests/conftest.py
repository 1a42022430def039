"""What tests share: the project's folder, real data where it is, and small made-up files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from filelock import FileLock

from shamsul.job.fingerprint import PROJECT
from tests.experiment import SMALL, Experiment

FOLDERS = {"workflow": "workflow", "browser": "workflow", "parity": "parity"}
"""Marks of the tests in a folder. The browser's tests read the report of an experiment."""
FIRST = ("workflow", "browser", "parity", "unit")
"""Folders in the order in which their tests start: those with the longest files first. Processes
take a file each, and one that takes a long file last keeps the others waiting."""
LARGE = {"densenet121", "resnet50", "vgg16", "efficientnet_b0", "convnext_tiny", "vit_b_16"}
"""Networks whose tests hold ours to torchvision's own, at their full size."""
SLOWEST = "vgg16"
"""Network that takes longest, and is made of nothing that the others lack; its tests are long."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, the experiment and the network that they ask for, and order them.

    `make test-fast` leaves out what is marked.
    """
    items.sort(key=lambda item: FIRST.index(item.path.parent.name))
    for item in items:
        if mark := FOLDERS.get(item.path.parent.name):
            item.add_marker(mark)
        if {"finished", "experiment"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("workflow")
        if parameters := getattr(item, "callspec", None):
            values = {v for v in parameters.params.values() if isinstance(v, str)}
            if LARGE & values:
                item.add_marker("parity")
            if SLOWEST in values:
                item.add_marker("long")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real radiographs; they cannot be distributed with this project."""
    folder = Path(os.environ.get("SHAMSUL_DATA", PROJECT.parent / "shared" / "data"))
    if not (folder / "chexlocalize-sample").is_dir():
        pytest.skip(f"no real radiographs in {folder}; set SHAMSUL_DATA")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id) -> Experiment:
    """The small experiment, run to its report; once, however many processes run tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "experiment"
    with FileLock(f"{folder}.lock"):
        new = not folder.exists()
        folder.mkdir(exist_ok=True)
        experiment = Experiment(folder, SMALL)
        if new:
            experiment.snakemake()
    return experiment


@pytest.fixture
def experiment(finished, tmp_path) -> Experiment:
    """A copy of the finished experiment, to change as one likes."""
    folder = tmp_path / "experiment"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Experiment(folder, yaml.safe_load(yaml.safe_dump(SMALL)))
