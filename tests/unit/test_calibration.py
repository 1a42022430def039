"""Networks with random weights, whose batch norms are estimated so that they see the image."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from shamsul.errors import InputError
from shamsul.model.calibration import calibrate, calibration_images
from shamsul.model.classifier import Classifier
from shamsul.probe.randomisation import randomised
from tests.networks import classifier

SIZE = 64


def radiographs(model, count=4):
    """Images with a bright spot in another place each."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    places = np.random.default_rng(3).uniform(0.2, 0.8, (count, 2))
    greys = [90 + 120 * np.exp(-((y - v) ** 2 + (x - u) ** 2) / 0.01) for v, u in places]
    return model.normalise(np.array(greys).astype(np.uint8))


@pytest.mark.parametrize("backbone", ["efficientnet_b0", "densenet_small", "resnet18"])
def test_an_untrained_network_depends_on_its_image(backbone):
    model = classifier(backbone, SIZE)
    images = radiographs(model)
    if backbone == "efficientnet_b0":
        drawn = model.drawn(1).predict(images)
        assert torch.equal(drawn, drawn[:1].expand_as(drawn))  # What is mended here.
    logits = model.untrained(1).predict(images)
    assert (logits.std(0) > 0.01 * logits.abs().mean(0)).all()


def test_every_stage_of_randomisation_depends_on_its_image():
    model = classifier("efficientnet_b0", SIZE).untrained(3)  # In place of a trained one.
    before = copy.deepcopy(model.state_dict())
    images = radiographs(model)
    networks = list(randomised(model, 4, 1))
    assert len(networks) == 4
    for network in networks:
        logits = network.predict(images)
        assert (logits.std(0) > 1e-3 * logits.abs().mean(0)).all()
    after = model.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    # Blocks that are not random keep the statistics that they were trained with.
    first, kept = networks[0].network.features[0][1], model.network.features[0][1]
    assert torch.equal(first.running_mean, kept.running_mean)
    assert not torch.equal(networks[-1].network.features[0][1].running_var, kept.running_var)


def test_statistics_are_those_of_what_reaches_a_norm_after_the_norms_before_it():
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    model = Classifier.of(layers, ("a", "b"), "resnet18", 32)
    assert calibrate(model)
    images = model.normalise(calibration_images((32, 32), model.tile))
    for place in (1, 4):
        with torch.no_grad():
            given, made = layers[:place](images), layers[: place + 1](images)
        norm = layers[place]
        torch.testing.assert_close(norm.running_mean, given.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            norm.running_var, given.var((0, 2, 3), unbiased=False), rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(made.mean((0, 2, 3)), torch.zeros(len(norm.running_mean)),
                                   rtol=0, atol=1e-4)  # fmt: skip


class WithoutMemory(nn.Module):
    """Head of a network on a GPU with the memory for one image at a time."""

    def forward(self, images):
        if len(images) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return images


def test_statistics_are_the_same_one_image_at_a_time(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    model = classifier("resnet18", SIZE).drawn(2)  # Its shortcuts have batch norms of their own.
    short = copy.deepcopy(model)
    short.network.conv1 = nn.Sequential(WithoutMemory(), short.network.conv1)
    assert calibrate(model) and not caplog.text
    assert calibrate(short) and "one image of calibration at a time" in caplog.text
    found = dict(short.network.named_buffers())
    for name, expected in model.network.named_buffers():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-6)


def test_statistics_do_not_depend_on_the_batch_size(monkeypatch):
    monkeypatch.setattr(Classifier, "tile", property(lambda self: self.batch_size))
    model = classifier("densenet_small", SIZE)
    digests = set()
    for size in (1, 5, 32):
        model.batch_size = size
        digests.add(model.untrained(7).digest())
    assert len(digests) == 1


def test_the_same_seed_gives_the_same_network_on_any_number_of_threads():
    model = classifier("efficientnet_b0", SIZE)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(model.untrained(7).digest())
    torch.set_num_threads(1)
    assert found[0] == found[1] != model.untrained(8).digest()


def test_calibration_images_vary_and_are_the_same_each_time():
    images = calibration_images((48, 48), 5)
    assert images.shape == (5, 48, 48) and images.dtype == np.uint8
    assert (images.min((1, 2)) == 0).all() and (images.max((1, 2)) == 255).all()
    assert np.array_equal(images, calibration_images((48, 48), 5))
    assert len({image.tobytes() for image in images}) == 5


class Blind(nn.Module):
    """A network that gives every image the same logits."""

    def __init__(self, *_arguments, **_more):
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, images):
        return self.bias.expand(len(images), 2)


def test_a_network_that_sees_nothing_is_an_error_of_the_control(monkeypatch, caplog):
    model = Classifier.of(Blind(), ("a", "b"), "resnet18", 32)
    monkeypatch.setattr("shamsul.model.networks.build.build", Blind)
    with pytest.raises(InputError, match="resnet18 .*same logits.*leave out `network: untrained`"):
        model.untrained(1)
    # A probe of a finished run goes on, and says it.
    assert list(randomised(model, 2, 1)) == [None, None]
    assert caplog.text.count("do not depend on the image") >= 2
