"""A damaged file in the middle of the chain is named, in one line that says what to do."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shamsul.errors import InputError
from shamsul.job import program
from tests.experiment import SMALL, Experiment

READ = {
    "images/test-0000.h5": "predictions.parquet",
    "model/checkpoint.pt": "predictions.parquet",
    "perturbed/test-0000.h5": "heatmaps/shared_lime/test-0000.h5",
    "heatmaps/lime/test-0000.h5": "scores/lime/test-0000.parquet",
    "heatmaps/radiologist/test-0000.h5": "scores/radiologist/test-0000.parquet",
    "shards/test-0000.files.parquet": "images/test-0000.h5",
    "shards/test-0000.masks.parquet": "scores/lime/test-0000.parquet",
    "masked_classes.parquet": "scores/lime/test-0001.parquet",
    "scores/lime/test-0000.parquet": "tables/thresholds.parquet",
    "predictions.parquet": "tables/classification.parquet",
    "tables/per_image.parquet": "tables/localisation.parquet",
    "probes/lime/test-0000.parquet": "tables/faithfulness.parquet",
}
"""A file of each kind, and something that is made of it."""
DAMAGES = {
    "emptied": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "without its end": lambda content: content[:-1],
    "with one bit flipped": lambda content: flipped(content, len(content) // 3),
    "something else": lambda content: b"<html>not found</html>\n",
}


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def run(experiment, result, monkeypatch):
    """Call the program that makes a result, as the rule does."""
    command = experiment.command_of(experiment.results / result).split(" 2>&1 | tee ")[0]
    listed = subprocess.run(
        ["bash", "-c", command.replace("python ", "printf '%s\\0' ", 1)],
        capture_output=True,
        text=True,
        check=True,
    )
    arguments = listed.stdout.split("\0")[:-1]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.chdir(experiment.folder)
    program.call(importlib.import_module(f"scripts.{Path(arguments[0]).stem}").main)


@pytest.fixture(scope="module")
def experiment(finished, tmp_path_factory):
    """A copy in which each test repairs what it has damaged."""
    folder = tmp_path_factory.mktemp("damaged") / "experiment"
    shutil.copytree(finished.folder, folder)
    return Experiment(folder, SMALL)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("damaged", READ)
def test_a_damaged_file_is_named(experiment, monkeypatch, damaged, damage):
    file, result = experiment.results / damaged, experiment.results / READ[damaged]
    content, expected = file.read_bytes(), result.read_bytes()
    file.write_bytes(DAMAGES[damage](content))
    result.unlink()
    try:
        run(experiment, READ[damaged], monkeypatch)
    except InputError as error:
        told = str(error)
        assert told.startswith(f"results/small/{damaged}: ") and "\n" not in told
        assert "again" in told and not result.exists()
    else:
        # The bit is one that nobody reads.
        assert damage == "with one bit flipped" and result.read_bytes() == expected
    finally:
        file.write_bytes(content)
        result.write_bytes(expected)
