"""Training that starts from other weights: frozen parts, rates by depth, and other losses."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torchvision.ops import sigmoid_focal_loss

from shamsul.errors import InputError
from shamsul.model.classifier import Classifier
from shamsul.model.settings import Train
from shamsul.model.training import losses
from shamsul.model.training.epoch import cosine
from shamsul.model.training.parts import blocks, body_frozen, has_depthwise, parameter_groups
from shamsul.model.training.run import Run
from tests.networks import built
from tests.unit.test_training import CLASSES, SETTINGS, SIZE, Killed, compared, data, train

torch.set_num_threads(1)


# Losses


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_loss_equals_the_formula_and_torchvisions(gamma):
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, generator=rng) * 3
    values = torch.rand(7, 3, generator=rng).round()
    weights = torch.rand(7, 3, generator=rng)
    found = losses.loss(logits, values, weights, torch.tensor(5.0), gamma)
    theirs = sigmoid_focal_loss(logits, values, alpha=-1, gamma=gamma)
    assert float(found) == pytest.approx(float((weights * theirs).sum() / 5), rel=1e-5)
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    q = np.where(values.numpy() == 1, p, 1 - p)
    by_hand = -((1 - q) ** gamma) * np.log(q)
    assert float(found) == pytest.approx((weights.numpy() * by_hand).sum() / 5, rel=1e-5)


def test_focal_loss_of_a_gamma_of_zero_is_the_cross_entropy():
    logits, values = torch.tensor([[2.0, -3.0]]), torch.tensor([[1.0, 0.3]])
    ones, count = torch.ones(1, 2), torch.tensor(2.0)
    expected = nn.functional.binary_cross_entropy_with_logits(logits, values)
    assert float(losses.loss(logits, values, ones, count, 0.0)) == pytest.approx(float(expected))
    almost = losses.loss(logits, values, ones, count, 1e-9)
    assert float(almost) == pytest.approx(float(expected), rel=1e-6)


def test_focal_loss_has_a_gradient_where_a_label_is_certain():
    logits = torch.tensor([[300.0, -300.0, 300.0]], requires_grad=True)
    values = torch.tensor([[1.0, 0.0, 0.0]])
    losses.loss(logits, values, torch.ones(1, 3), torch.tensor(3.0), 0.5).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert logits.grad[0, 2] == pytest.approx(1 / 3)


def test_smoothed_targets_by_hand():
    values = np.array([[0, 1, 0.7]], np.float32)
    found = losses.smooth(values, 0.1)
    assert found.dtype == np.float32
    assert found.tolist()[0] == pytest.approx([0.05, 0.95, 0.68])
    assert losses.smooth(values, 0.0) is values


def test_smoothing_and_focal_loss_reach_the_training(tmp_path):
    plain, _ = train(tmp_path / "plain")
    for name, update in (("smooth", {"label_smoothing": 0.2}), ("focal", {"loss": "focal"})):
        settings = SETTINGS.model_copy(update=update)
        other, history = train(tmp_path / name, settings)
        assert other.digest() != plain.digest()
        assert train(tmp_path / f"{name}2", settings)[0].digest() == other.digest()
        assert history["tune_auroc"].max() > 0.7
    zero = SETTINGS.model_copy(update={"loss": "focal", "focal_gamma": 0.0})
    assert train(tmp_path / "zero", zero)[0].digest() == plain.digest()


# Parts


class Little(nn.Module):
    """Two convolutions, a batch norm and a head, with a parameter that lies in none of them."""

    def __init__(self):
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1))
        self.first = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.second(self.norm(self.first(x) + self.position).relu())
        return self.head(self.drop(x.mean((2, 3))))


def test_rates_fall_with_the_distance_from_the_output():
    network = Little()
    assert blocks(network) == ["first", "norm", "second", "head"]
    groups = parameter_groups(network, 0.8, 0.5)
    assert [group["lr"] for group in groups] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert [group["peak"] for group in groups] == [group["lr"] for group in groups]
    found = [{id(p) for p in group["params"]} for group in groups]
    first = {id(p) for p in network.first.parameters()} | {id(network.position)}
    assert found[0] == first and found[3] == {id(p) for p in network.head.parameters()}
    assert sum(map(len, found)) == len(list(network.parameters()))
    (group,) = parameter_groups(network, 0.8, 1.0)
    assert group["lr"] == 0.8 and len(group["params"]) == len(list(network.parameters()))


def test_every_parameter_of_a_network_is_in_one_group():
    for name in ("vit_b_16", "resnet18", "efficientnet_b0"):
        network = built(name, 2, 64 if name != "vit_b_16" else 224, "random", 0)
        groups = parameter_groups(network, 1.0, 0.9)
        members = [id(p) for group in groups for p in group["params"]]
        assert sorted(members) == sorted(map(id, network.parameters())), name
        assert [g["lr"] for g in groups] == sorted(g["lr"] for g in groups)
        assert groups[-1]["lr"] == 1.0 and len(groups) > 3


@pytest.mark.parametrize("schedule", ["cosine", "plateau", "constant"])
def test_each_part_keeps_its_share_of_the_rate(tmp_path, schedule):
    settings = SETTINGS.model_copy(update={"layer_decay": 0.5, "schedule": schedule, "epochs": 2})
    network = built("densenet_small", 2, SIZE, "random", 1)
    classifier = Classifier.of(network, CLASSES, "densenet_small", SIZE)
    run = Run(classifier, data(33, 0), data(20, 1), settings, 1)
    run.epoch(1)
    rates = [group["lr"] for group in run.optimiser.param_groups]
    for slow, fast in itertools.pairwise(rates):
        assert slow / fast == pytest.approx(0.5 ** round(np.log(slow / fast) / np.log(0.5)))
        assert slow < fast
    expected = cosine(3, 8) if schedule == "cosine" else 1.0  # batches of 8, 8, 8 and 9 images
    assert run.history[0]["learning_rate"] == rates[-1] == pytest.approx(3e-3 * expected)


def test_frozen_weights_and_statistics_stay_as_they_are(tmp_path):
    before = {
        k: v.clone() for k, v in built("densenet_small", 2, SIZE, "random", 1).state_dict().items()
    }
    settings = SETTINGS.model_copy(
        update={"freeze_epochs": 4, "weight_decay": 0.1, "optimiser": "adamw"}
    )
    classifier, _ = train(tmp_path, settings)
    after = classifier.network.state_dict()
    head = [name for name in before if not torch.equal(before[name], after[name])]
    assert head == ["classifier.weight", "classifier.bias"]
    assert all(parameter.requires_grad for parameter in classifier.network.parameters())
    thawed, _ = train(tmp_path, settings.model_copy(update={"freeze_epochs": 1}))
    changed = [k for k, v in thawed.network.state_dict().items() if not torch.equal(before[k], v)]
    assert len(changed) == len(before), "batch norms and convolutions learn after the first epoch"


def test_dropout_of_a_frozen_body_drops_nothing_and_own_frozen_weights_stay_frozen():
    network = Little().train()
    network.first.weight.requires_grad_(False)
    with body_frozen(network):
        assert network.head.training and not network.drop.training and not network.norm.training
        assert [n for n, p in network.named_parameters() if p.requires_grad] == [
            "head.weight",
            "head.bias",
        ]
    assert [n for n, p in network.named_parameters() if not p.requires_grad] == ["first.weight"]
    message = "freeze_epochs: Sequential ends in no linear layer"
    with pytest.raises(InputError, match=message), body_frozen(nn.Sequential(nn.Conv2d(3, 2, 3))):
        pass


def test_interrupted_transfer_ends_with_the_same_weights(tmp_path):
    update = {"freeze_epochs": 2, "layer_decay": 0.7, "loss": "focal", "label_smoothing": 0.1}
    settings = SETTINGS.model_copy(update=update)
    undisturbed, history = train(tmp_path / "undisturbed", settings)
    for kill in (1, 2, 3):  # within the frozen epochs, at their end, and after it
        with pytest.raises(Killed):
            train(tmp_path / "killed", settings, kill)
    resumed, again = train(tmp_path / "killed", settings)
    assert resumed.digest() == undisturbed.digest()
    pd.testing.assert_frame_equal(compared(again), compared(history))


def test_more_frozen_epochs_than_epochs_are_refused():
    with pytest.raises(ValidationError, match="freeze_epochs: 3 are more than 2 epochs"):
        Train(epochs=2, freeze_epochs=3)


def test_depthwise_convolutions_are_found():
    assert has_depthwise(nn.Sequential(nn.Conv2d(4, 8, 3, groups=4)))
    assert not has_depthwise(nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.Conv2d(1, 8, 3)))
