"""What reruns when something changes, and that the rest stays as it is.

Each change is made to a copy of a finished experiment, and Snakemake is called once. The jobs must
be those expected, no more and no fewer, and every other file must be left untouched. For changes of
the data this is how they are told; for the others `test_rerun_planned.py` has a dry run announce
the jobs, and the long campaign runs them.
"""

import shutil

import pytest
import torch

from shamsul.job import snakemake_records
from tests.changes import (
    AFTER_TRAINING,
    CASES,
    OF_DATA,
    OFTEN,
    OUTPUTS,
    SHARDS,
    change,
    jobs,
    key,
    other_label,
    sharded,
)
from tests.experiment import SMALL, Experiment

ALL = CASES | OF_DATA


@pytest.mark.parametrize(
    "name",
    [
        name if name in OFTEN else pytest.param(name, marks=pytest.mark.long)
        for name, case in ALL.items()
        if case.expected
    ],
)
def test_one_call_makes_that_and_leaves_the_rest_untouched(experiment, name):
    jobs = change(experiment, ALL[name])
    before = state(experiment)
    assert experiment.run() == jobs
    after = state(experiment)
    expected = {
        str(file.relative_to(experiment.results))
        for rule, wildcards in jobs
        for pattern in OUTPUTS[rule]
        for file in experiment.results.glob(
            pattern.format(**dict(pair.split("=") for pair in wildcards.split(", ") if pair))
        )
    }
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == expected
    assert experiment.would_run() == set()


def test_a_label_of_train_trains_anew_and_prepares_no_image(experiment):
    """What follows from another classifier is nearly everything, and is only announced here."""
    other_label("train")(experiment)
    assert experiment.run("train") == jobs("listing", "manifest", "train")
    assert experiment.would_run() == AFTER_TRAINING


def test_a_second_run_has_nothing_to_do(finished):
    assert (finished.results / "report.html").stat().st_size > 10_000
    done = finished.snakemake()
    assert "Nothing to be done" in done.stdout + done.stderr
    assert "no record" not in done.stdout + done.stderr


def test_a_checkpoint_given_is_compared_by_content(experiment):
    """Replaced by an equal one nothing runs, by a different one all that asks the model does."""
    given = experiment.folder / "given.pt"
    shutil.copy(experiment.results / "model" / "checkpoint.pt", given)
    key("model.checkpoint", "given.pt")(experiment)
    experiment.snakemake("train")
    other = experiment.folder / "other.pt"
    shutil.copy(given, other)
    other.replace(given)
    assert experiment.would_run("train") == set()
    weights = torch.load(given, weights_only=True)
    state = weights.get("state_dict", weights)
    name = next(name for name, value in state.items() if value.is_floating_point())
    state[name] = state[name] + 1
    torch.save(weights, given)
    assert experiment.would_run("train") - jobs("train") == jobs("import_checkpoint")
    assert experiment.would_run() == jobs("import_checkpoint") | AFTER_TRAINING


LISTED = {"phantom", "listing", "read", "manifest"}
"""Rules that make the manifest."""


@pytest.fixture
def on_disk(finished, tmp_path):
    """A finished experiment whose radiographs lie in a folder, and whose classifier is given."""
    shutil.copytree(finished.results / "phantom" / "phantom", tmp_path / "data")
    shutil.copy(finished.results / "model" / "checkpoint.pt", tmp_path / "given.pt")
    source = {"adapter": "chexpert", "images": "CheXpert"}
    configuration = {
        "run": "small",
        "data": {
            "root": "data",
            "size": [96, 64],
            "sources": [
                source
                | {
                    "name": split,
                    "split": split,
                    "labels": f"CheXpert/{theirs}_labels.csv",
                    "segmentations": f"CheXlocalize/gt_segmentations_{theirs}.json",
                }
                for split, theirs in (("tune", "val"), ("test", "test"))
            ],
            "shards": {"tune": 1, "test": 1},
        },
        "model": {"network": "densenet_small", "checkpoint": "given.pt"},
        "explain": {"methods": [{"method": "random"}, {"method": "mean_mask"}]},
        "probe": {"images": 0},
    }
    experiment = Experiment(tmp_path, configuration)
    experiment.snakemake()
    return experiment


def test_a_folder_of_data_that_is_moved_reruns_the_listing_and_the_report(on_disk):
    """The report gives the check sums of the data's files, by their paths."""
    (on_disk.folder / "data").rename(on_disk.folder / "moved")
    on_disk.configuration["data"]["root"] = "moved"
    before = on_disk.digests()
    assert on_disk.run() == jobs("listing", "manifest", "report")
    assert on_disk.digests() == before
    assert on_disk.would_run() == set()


@pytest.mark.parametrize(
    ("options", "made"),
    [
        (("--until", "images"), {*LISTED, "images"}),
        pytest.param(
            ("--until", "predict"),
            {*LISTED, "images", "train", "predict"},
            marks=pytest.mark.long,
        ),
        pytest.param(("--omit-from", "train"), {*LISTED, "images"}, marks=pytest.mark.long),
        (("train", "--until", "manifest"), LISTED),
    ],
)
def test_a_fresh_run_goes_as_far_as_it_is_told(tmp_path, options, made):
    fresh = Experiment(tmp_path, SMALL)
    ran = fresh.run(*options)
    assert {rule for rule, _ in ran} == made
    if "images" in made:
        assert sharded("images", (*SHARDS, "train-0000", "train-0001")) <= ran
    assert fresh.run(*options) == set()


@pytest.mark.long
def test_the_same_run_elsewhere_has_the_same_results(finished, tmp_path):
    again = type(finished)(tmp_path, SMALL)
    again.snakemake()
    one, other = finished.digests(), again.digests()
    assert one == other and len(one) > 100


def state(experiment):
    """Content and time stamp of every result by its name; the phantoms' files are changed here."""
    return {
        name: (file.read_bytes(), file.stat().st_mtime_ns)
        for name, file in experiment.files().items()
        if file.suffix in snakemake_records.RESULTS
    }
