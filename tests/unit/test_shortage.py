"""Whatever asks the network goes on with fewer images at a time where a GPU's memory is short."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shamsul.explain import settings, shared_perturbations
from shamsul.explain.cam import LayerCam
from shamsul.explain.shard import Shard
from shamsul.geometry import Frame
from shamsul.model import predict
from shamsul.model.classifier import Classifier
from shamsul.model.spec import Spec
from shamsul.probe.settings import Probe
from shamsul.storage.heatmaps import Heatmaps
from shamsul.storage.images import Images
from tests.frames import probe
from tests.methods import ALONE, quick
from tests.networks import network

METHODS = [quick(name) for name in ALONE if quick(name).cost != "no_model"]
METHODS.append(LayerCam(layers=("features.denseblock1", "features.denseblock2")))
FRAME = Frame.fit(32, 32, 32, "stretch")


class OnGpu(Classifier):
    tile = property(lambda self: self.batch_size)


@pytest.fixture
def model():
    spec = Spec.plain("densenet_small", tuple("abcd"), 32)
    return OnGpu(network("densenet_small"), spec, batch_size=16)


@pytest.fixture
def images(rng):
    grey = rng.integers(0, 256, (3, 4, 4), np.uint8).repeat(8, 1).repeat(8, 2)
    return Images(grey, list("xyz"), [FRAME] * 3)


@pytest.fixture
def shortage(monkeypatch):
    """Until it ends, no layer has the memory for more than one image."""

    def one_at_a_time(module, inputs):
        if isinstance(module, torch.nn.Conv2d) and len(inputs[0]) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    hooks = []

    def start():
        hooks.append(torch.nn.modules.module.register_module_forward_pre_hook(one_at_a_time))

    yield start
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.method)
def test_explain(model, images, shortage, method):
    shard = Shard(lambda: model, images, ("c", "a"), 5)
    expected = method.heatmaps(shard).heatmap
    shortage()
    found = method.heatmaps(shard).heatmap
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_predict(model, images, shortage, caplog):
    expected = predict.logits(model, images.image, 3)
    shortage()
    np.testing.assert_allclose(
        predict.logits(model, images.image, 3), expected, rtol=1e-5, atol=1e-6
    )
    assert model.batch_size == 1 and "batches of 1" in caplog.text


def test_perturb(model, images, shortage):
    chosen = settings.Perturbations(samples=40, segments=8)
    expected = shared_perturbations.ask(chosen, model, images, 5)
    shortage()
    found = shared_perturbations.ask(chosen, model, images, 5)
    for one, other in zip(found.logits, expected.logits, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_probe(model, images, shortage):
    method = quick("grad_cam")
    maps = method.heatmaps(Shard(lambda: model, images, tuple("abcd"), 5)).heatmap
    heatmaps = Heatmaps(
        maps, images.image_id, np.ones((3, 4), bool), list("abcd"), "grad_cam", {}, ""
    )
    few = Probe(images=2, reexplained_images=1, classes=2, fills=("blur",), steps=4, squares=8)
    expected = probe(model, images, heatmaps, method, few, 5)
    shortage()
    found = probe(model, images, heatmaps, method, few, 5)
    assert found.drop(columns="value").equals(expected.drop(columns="value"))
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-3, atol=1e-4)
