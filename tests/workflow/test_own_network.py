"""A network of the user's own, of one channel and four outputs, through a run and its reruns."""

import copy
import shutil

import pytest
import torch

from shamsul.model.checkpoint import load
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.tables import read_table
from tests.experiment import SMALL, Experiment

NETWORK = """
import parts


def make(outputs):
    return parts.Small(outputs)
"""
PARTS = """
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.body = nn.Conv2d(1, 8, 5, stride=4)
        self.head = nn.Linear(8, outputs)

    def forward(self, images):
        return self.head(torch.relu(self.body(images)).mean((2, 3))).sigmoid()
"""
CLASSES = ["Cardiomegaly", "Edema", "Pleural Effusion"]
OUTPUTS = ["edema", "something else", "effusion", "heart"]


@pytest.fixture(scope="module")
def own(finished, tmp_path_factory):
    """An experiment on the finished one's phantoms, whose network nothing here knows."""
    folder = tmp_path_factory.mktemp("own")
    configuration = copy.deepcopy(SMALL) | {"run": "own", "classes": CLASSES}
    configuration["probe"] = {"images": 0}
    configuration["explain"] = {"methods": [{"method": "grad_cam"}, {"method": "random"}]}
    configuration["evaluate"] = {"prior": None}
    configuration["model"] = {
        "network": "own/my code/net.py:make",
        "checkpoint": "weights.pt",
        "input": {"scale": [-1, 1], "mean": [0.1], "std": [0.5]},
        "outputs": {
            "names": OUTPUTS,
            "kind": "probabilities",
            "classes": {"Cardiomegaly": "heart", "Edema": "edema", "Pleural Effusion": "effusion"},
        },
    }
    made = Experiment(folder, configuration)
    (folder / "my code").mkdir()
    (folder / "my code/net.py").write_text(NETWORK)
    (folder / "my code/parts.py").write_text(PARTS)
    space: dict = {}
    exec(PARTS, space)
    torch.manual_seed(0)
    state = space["Small"](4).state_dict()
    torch.save({"model_state_dict": {f"module.{k}": v for k, v in state.items()}},
               folder / "weights.pt")  # fmt: skip
    # The phantoms are the finished experiment's, so that they are not drawn again.
    shutil.copytree(finished.results / "phantom", made.results / "phantom")
    made.snakemake()
    return made, space["Small"](4), state


def test_logits_and_maps_are_of_the_classes_outputs(own, monkeypatch):
    experiment, network, state = own
    monkeypatch.chdir(experiment.folder)  # The function that builds it is named by a path.
    network.load_state_dict(state)
    model = load(experiment.results / "model/checkpoint.pt")
    grey = torch.randint(256, (2, 96, 64), generator=torch.Generator().manual_seed(0)).byte()
    shown = (-1 + grey[:, None] / 255 * 2 - 0.1) / 0.5
    with torch.no_grad():
        probabilities = network(shown)
    found = model.predict(model.normalise(grey)).sigmoid()
    torch.testing.assert_close(found, probabilities[:, [3, 0, 2]], rtol=1e-4, atol=1e-5)
    maps = read_heatmaps(experiment.results / "heatmaps/grad_cam/test-0000.h5")
    assert maps.classes == CLASSES and maps.heatmap[0].shape == (3, 23, 15)
    assert set(read_table(experiment.results / "predictions.parquet")["class"]) == set(CLASSES)


def test_what_it_is_made_of_reruns_what_asks_it(own):
    experiment, *_ = own
    assert experiment.would_run() == set()
    parts = experiment.folder / "my code/parts.py"
    parts.write_text(PARTS.replace("stride=4", "stride=2"))
    try:
        rules = {rule for rule, _ in experiment.would_run()}
        explained = {w for rule, w in experiment.would_run() if rule == "explain"}
        assert {"import_checkpoint", "predict", "explain", "score"} <= rules
        assert any("grad_cam" in wildcards for wildcards in explained)
        assert not rules & {"phantom", "manifest", "images"}
    finally:
        parts.write_text(PARTS)
    assert experiment.would_run() == set()


def test_what_stands_in_the_way_is_told_before_any_job(own):
    experiment, *_ = own
    before = copy.deepcopy(experiment.configuration)
    try:
        experiment.configuration["explain"]["methods"].append({"method": "chefer"})
        done = experiment.dry_run(check=False)
        told = done.stdout + done.stderr
        assert done.returncode and "chefer cannot explain own/my code/net.py:make" in told
        experiment.configuration = copy.deepcopy(before)
        experiment.configuration["model"]["outputs"]["classes"]["Edema"] = "oedema"
        done = experiment.dry_run(check=False)
        told = done.stdout + done.stderr
        assert done.returncode and "did you mean 'edema'?" in told
    finally:
        experiment.configuration = before
