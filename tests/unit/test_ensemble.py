"""Ensembles of checkpoints: averaged outputs, and maps that are averaged where they must be."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from shamsul.errors import InputError
from shamsul.explain.call import explain
from shamsul.model import checkpoint
from shamsul.model.classifier import Classifier
from shamsul.model.ensemble import Ensemble
from shamsul.model.importing import import_checkpoint, untrained
from shamsul.model.inspection import given_files
from shamsul.model.settings import Model
from shamsul.model.training.parts import blocks
from shamsul.probe.randomisation import randomised

torch.set_num_threads(1)
SIZE = 64
CLASSES = ("a", "b", "c")
NETWORK = "resnet18"
METHODS = {
    "gradient": {},
    "input_x_gradient": {},
    "integrated_gradients": {"steps": 4},
    "occlusion": {},
    "grad_cam": {},
    "layer_cam": {"layers": ("layer3",)},
    "lrp_z": {},
    "guided_backprop": {},
}


def single(seed, network=NETWORK):
    """A classifier whose norms have statistics and whose biases are not zero."""
    made = untrained(Model(network=network, weights="random"), CLASSES, SIZE, seed)
    generator = torch.Generator().manual_seed(seed)
    for module in made.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator).mul_(0.1)
            module.bias.data.normal_(generator=generator).mul_(0.1)
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    for seed in (1, 2):
        checkpoint.save(single(seed), folder / f"{seed}.pt", {})
    return [str(folder / f"{seed}.pt") for seed in (1, 2)]


def ensemble(paths, **settings):
    model = Model(network=NETWORK, checkpoints=tuple(paths), **settings)
    return import_checkpoint(model, CLASSES, SIZE)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE)).astype(np.uint8)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_outputs_are_averaged(files, images, average):
    model = ensemble(files, average=average)
    assert model.spec.members == 2 and len(model.members) == 2
    alone = [checkpoint.load(path) for path in files]
    shown = model.normalise(images)
    parts = torch.stack([member.predict(shown) for member in alone]).double()
    mean = parts.mean(0) if average == "logits" else torch.logit(parts.sigmoid().mean(0))
    torch.testing.assert_close(model.predict(shown).double(), mean, rtol=1e-4, atol=1e-5)
    for member, one in zip(model.members, alone, strict=True):
        torch.testing.assert_close(member.predict(shown), one.predict(shown))


def test_averages_by_hand():
    def put_out(*values):
        return nn.Sequential(nn.Flatten(), Constant(torch.tensor([values])))

    class Constant(nn.Module):
        def __init__(self, values):
            super().__init__()
            self.values = values

        def forward(self, x):
            return self.values

    image = torch.zeros(1, 1, 2, 2)
    members = [put_out(2.0, 80.0), put_out(-1.0, 90.0)]
    assert Ensemble(members, "logits", "logits")(image).tolist() == [[0.5, 85.0]]
    found = Ensemble(members, "probabilities", "logits")(image)[0]
    p = (1 / (1 + np.exp(-2)) + 1 / (1 + np.exp(1))) / 2
    assert float(found[0]) == pytest.approx(np.log(p / (1 - p)), rel=1e-5)
    # Probabilities that are 1 in floats: log(2 / (e^-80 + e^-90)).
    assert float(found[1]) == pytest.approx(80 + np.log(2) - np.exp(-10), rel=1e-6)
    shares = [put_out(0.9), put_out(0.2)]
    assert float(Ensemble(shares, "probabilities", "probabilities")(image)) == pytest.approx(0.55)
    odds = np.sqrt(0.9 / 0.1 * 0.2 / 0.8)
    found = Ensemble(shares, "logits", "probabilities")(image)
    assert float(found) == pytest.approx(odds / (1 + odds), rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_identical_members_give_the_single_networks_maps(files, images, method):
    alone = checkpoint.load(files[0])
    expected = explain(alone, images, method, **METHODS[method])
    for average in ("probabilities", "logits"):
        twice = ensemble([files[0], files[0]], average=average)
        found = explain(twice, images, method, **METHODS[method])
        assert np.abs(expected).max() > 0
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found / scale, expected / scale, atol=2e-4)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "gradient"])
def test_maps_of_averaged_logits_are_averaged(files, images, method):
    """All but the absolute gradient are linear in the output, or explain each member for itself."""
    alone = [explain(checkpoint.load(p), images, method, **METHODS[method]) for p in files]
    found = explain(ensemble(files, average="logits"), images, method, **METHODS[method])
    mean = np.mean(alone, axis=0)
    assert np.abs(alone[0] - alone[1]).max() > 0.1 * np.abs(mean).max()
    np.testing.assert_allclose(found, mean, atol=2e-4 * np.abs(mean).max())


def test_a_checkpoint_of_an_ensemble_is_read_again(files, images, tmp_path):
    model = ensemble(files)
    checkpoint.save(model, tmp_path / "both.pt", {})
    again = checkpoint.load(tmp_path / "both.pt")
    assert again.digest() == model.digest() and again.spec == model.spec
    shown = model.normalise(images)
    torch.testing.assert_close(again.predict(shown), model.predict(shown))
    assert again.structure == checkpoint.load(files[0]).structure
    assert ensemble(files[::-1]).digest() != model.digest()


def test_an_ensemble_is_randomised_in_all_its_members(files):
    model = ensemble(files)
    names = blocks(model.network)
    assert names[-2:] == ["members.0.fc", "members.1.fc"]
    assert len(names) == 2 * len(blocks(model.members[0].network))
    first, *_, last = [stage for stage in randomised(model, 3, seed=0) if stage is not None]
    before, after = model.network.state_dict(), first.network.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    for number in (0, 1):
        assert f"members.{number}.fc.weight" in changed
        assert f"members.{number}.conv1.weight" not in changed
    drawn = last.network.state_dict()
    assert not torch.equal(drawn["members.0.fc.weight"], drawn["members.1.fc.weight"])


def test_members_of_different_kinds_are_refused(files, tmp_path):
    other = untrained(Model(network=NETWORK, weights="random"), CLASSES, SIZE, 3)
    spec = other.spec.model_copy(
        update={"presentation": other.spec.presentation.model_copy(update={"scale": (0.0, 2.0)})}
    )
    checkpoint.save(Classifier(other.network, spec), tmp_path / "other.pt", {})
    with pytest.raises(InputError, match=r"checkpoints: .*other\.pt differs in its presentation"):
        ensemble([files[0], str(tmp_path / "other.pt")])
    checkpoint.save(ensemble(files), tmp_path / "both.pt", {})
    with pytest.raises(InputError, match=r"both\.pt is an ensemble; list its members"):
        ensemble([str(tmp_path / "both.pt")] * 2)
    with pytest.raises(ValidationError, match="checkpoint and checkpoints are both given"):
        Model(checkpoint=files[0], checkpoints=tuple(files))
    with pytest.raises(ValidationError, match="at least 2"):
        Model(checkpoints=(files[0],))
    model = Model(network=NETWORK, checkpoints=tuple(files))
    assert [str(path) for path in given_files(model)] == files and model.trained == tuple(files)
