"""Grad-CAM against captum's LayerGradCam, one class at a time."""

from __future__ import annotations

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from shamsul.explain.cam import GradCam
from tests.networks import classifier


def densenet(net):
    """A DenseNet whose last ReLU is a module, so that captum can be pointed at it."""
    relu = nn.ReLU()
    tail = nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.classifier
    return nn.Sequential(net.features, relu, *tail), relu


LAYERS = {
    "densenet_small": densenet,
    "densenet121": densenet,
    "resnet18": lambda net: (net, net.layer4),
    "vgg16": lambda net: (net, net.features[29]),
    "efficientnet_b0": lambda net: (net, net.features),
    "convnext_tiny": lambda net: (net, net.features),
}


@pytest.mark.parametrize("name", LAYERS)
def test_grad_cam_is_captums(name):
    model = classifier(name)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    maps = GradCam().explain(model, images, torch.tensor([3, 0, 1]), [0, 0])

    peer = LayerGradCam(*LAYERS[name](model.network))
    expected = [
        peer.attribute(images, target=index, relu_attributions=True)[:, 0] for index in (3, 0, 1)
    ]
    torch.testing.assert_close(maps, torch.stack(expected, 1).detach(), rtol=1e-4, atol=1e-6)
    assert maps.max() > 0
