"""Faults in the configuration end the run before any job starts, in one readable line."""

import copy

import pytest

from tests.experiment import SMALL, Experiment

CHEXPERT = {"adapter": "chexpert", "name": "s", "split": "test", "labels": "a.csv", "images": "."}


def wrong_key(c):
    c["train"]["epoch"] = 3


def missing_path(c):
    c["data"]["sources"].append(CHEXPERT)


def unknown_method(c):
    c["explain"]["methods"] = [{"method": "gradcam"}]


def missing_column(c):
    c["data"]["sources"].append(CHEXPERT | {"labels": "labels.csv"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (wrong_key, ["train.epoch", "did you mean 'epochs'"]),
        (missing_path, ["a.csv does not exist", "data.root", "SHAMSUL_DATA"]),
        (unknown_method, ["explain.methods.0", "did you mean 'grad_cam'"]),
        (missing_column, ["labels.csv", "unknown label column 'No Finding'", "did you mean"]),
    ],
)
def test_one_line_before_any_job(tmp_path, change, said):
    configuration = copy.deepcopy(SMALL)
    change(configuration)
    (tmp_path / "labels.csv").write_text("Path,No finding\n")
    done = Experiment(tmp_path, configuration).snakemake(check=False)
    assert done.returncode != 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if said[0] in line]
    assert len(lines) == 1
    for words in said:
        assert words in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()
