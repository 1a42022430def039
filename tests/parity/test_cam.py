"""Class activation maps against captum's and pytorch-grad-cam's, one class at a time."""

from __future__ import annotations

import functools

import pytest
import pytorch_grad_cam
import torch
import torchvision
from captum.attr import LayerGradCam
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from shamsul.explain import cam
from shamsul.explain.cam import EigenCam, GradCam
from shamsul.explain.score_cam import ScoreCam
from shamsul.model.classifier import Classifier
from tests.networks import classifier

CLASSES = (3, 0, 1)


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
INNER = {"densenet121": "features.denseblock2", "resnet18": "layer3", "vgg16": "features.16"}
RECTIFIED = {"features.denseblock2": "features.transition2.relu"}
PLACES = [(name, layers) for name, inner in INNER.items() for layers in ((), (inner,))]
PEERS = {
    "GradCam": pytorch_grad_cam.GradCAM,
    "GradCamPlusPlus": pytorch_grad_cam.GradCAMPlusPlus,
    "HiResCam": pytorch_grad_cam.HiResCAM,
    "LayerCam": pytorch_grad_cam.LayerCAM,
}


@functools.cache
def network(name):
    """The classifier, shared; without gradients of weights, which peers would make."""
    return classifier(name).requires_grad_(False)


@functools.cache
def steep(name):
    """The peer adds 1e-6 to the denominators of Grad-CAM++, which is about g^2 of flat logits."""
    model = classifier(name).requires_grad_(False)
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    head.weight.data *= 1000
    return model


def pictures(size=64):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))


def place(model, layers):
    """The peer's network and layer for ours."""
    if layers:
        return model.network, model.network.get_submodule(layers[0])
    return LAYERS[model.spec.network](model.network)


def peer_maps(peer, model, layers, images, index):
    """pytorch-grad-cam's map before it is rectified, resized and normalised, of either sign."""
    net, layer = place(model, layers)
    with peer(net, [layer]) as method:
        logits = method.activations_and_grads(images.clone().requires_grad_())
        logits[:, index].sum().backward()
        activations, gradients = (
            part[0].numpy()
            for part in (
                method.activations_and_grads.activations,
                method.activations_and_grads.gradients,
            )
        )
        targets = [ClassifierOutputTarget(index)] * len(images)
        maps = method.get_cam_image(images, layer, targets, activations, gradients, False)
    return torch.as_tensor(maps)


def assert_same(maps, expected):
    """Equal up to rounding, measured by the largest of each map."""
    highest = expected.amax((2, 3), keepdim=True)
    assert highest.max() > 0
    scale = torch.where(highest > 0, highest, 1)
    torch.testing.assert_close(maps / scale, expected / scale, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "layers"), [*((name, ()) for name in LAYERS), *(p for p in PLACES if p[1])]
)
def test_grad_cam_is_captums(name, layers):
    model, images = network(name), pictures()
    maps = GradCam(layers=layers).explain(model, images, torch.tensor(CLASSES), [0, 0])

    peer = LayerGradCam(*place(model, layers))
    expected = [
        peer.attribute(images.clone().requires_grad_(), target=index, relu_attributions=True)[:, 0]
        for index in CLASSES
    ]
    torch.testing.assert_close(maps, torch.stack(expected, 1).detach(), rtol=1e-4, atol=1e-6)
    assert maps.max() > 0


@pytest.mark.parametrize(("name", "layers"), PLACES)
@pytest.mark.parametrize("method", PEERS)
def test_maps_of_gradients_are_pytorch_grad_cams(method, name, layers):
    model, images = network(name), pictures()
    if method == "GradCamPlusPlus":
        model = steep(name)
        # The peer's alpha has poles where feature maps are not rectified.
        layers = tuple(RECTIFIED.get(layer, layer) for layer in layers)
    maps = getattr(cam, method)(layers=layers).explain(model, images, torch.tensor(CLASSES), [0, 0])
    expected = [peer_maps(PEERS[method], model, layers, images, index) for index in CLASSES]
    assert_same(maps, torch.stack(expected, 1).relu())


@pytest.mark.parametrize(("name", "layers"), PLACES)
def test_eigen_cam_is_pytorch_grad_cams_with_the_sign_of_the_summed_activations(name, layers):
    model, images = network(name), pictures()
    explainer = EigenCam(layers=layers)
    maps = explainer.explain(model, images, torch.tensor(CLASSES), [0, 0])
    expected = peer_maps(pytorch_grad_cam.EigenCAM, model, layers, images, 0)
    (activations,) = explainer.activations(model, images)
    for n, (projection, total) in enumerate(zip(expected, activations.sum(1), strict=True)):
        correlation = torch.corrcoef(torch.stack([projection.flatten(), total.flatten()]))[0, 1]
        signed = projection * correlation.sign()
        assert_same(maps[n : n + 1], signed.relu().expand(1, 3, -1, -1))


@pytest.mark.parametrize("layers", [(), ("features.denseblock2",)])
def test_score_cam_is_pytorch_grad_cams(layers, monkeypatch):
    # The peer's masks have the image's corners in the centres of cells; the authors' have not.
    upsample = functools.partial(nn.Upsample, mode="bilinear", align_corners=False)
    monkeypatch.setattr(nn, "UpsamplingBilinear2d", upsample)
    model, images = network("densenet_small"), pictures(48)
    maps = ScoreCam(layers=layers).explain(model, images, torch.tensor(CLASSES[:2]), [0, 0])
    expected = [
        peer_maps(pytorch_grad_cam.ScoreCAM, model, layers, images, index) for index in CLASSES[:2]
    ]
    assert_same(maps, torch.stack(expected, 1).relu())


def test_grad_cam_of_a_vision_transformer_is_that_of_the_tokens_before_its_last_block():
    torch.manual_seed(4)
    net = torchvision.models.vit_b_16(image_size=64, num_classes=4).eval()
    nn.init.normal_(net.heads.head.weight)  # torchvision's are zero.
    images = pictures()
    model = Classifier.of(net, tuple("abcd"), "vit_b_16", 64)
    maps = GradCam().explain(model, images, torch.tensor(CLASSES), [0, 0])

    kept = []
    handle = net.encoder.layers[-2].register_forward_hook(lambda *call: kept.append(call[2]))
    logits = net(images)
    handle.remove()
    (tokens,) = kept
    for place, index in enumerate(CLASSES):
        for n in range(2):
            (gradient,) = torch.autograd.grad(logits[n, index], tokens, retain_graph=True)
            weights = gradient[n, 1:].mean(0)  # The class token is no cell.
            expected = (tokens[n, 1:] @ weights).relu().reshape(4, 4).detach()
            torch.testing.assert_close(maps[n, place], expected, rtol=1e-4, atol=1e-6)
    assert maps.max() > 0
