"""Grad-CAM for all classes, against forward passes and captum; see `benchmarks.explain`."""

from __future__ import annotations

from typing import Any

import torch

import shamsul
from benchmarks.measure import alternate, line, peer
from benchmarks.subjects import CLASSES, FORWARD, SIZE, radiographs, ready, sizes
from shamsul.explain.cam import GradCam
from shamsul.model.classifier import Classifier
from shamsul.model.networks.build import build, complete
from shamsul.model.spec import Outputs, Presentation, Spec


def grad_cam_vs_forward() -> dict[str, Any]:
    """Grad-CAM for 14 classes against the forward pass alone, same network and images.

    Fails where a class takes a backward pass through the network.
    """
    model = ready()
    images, classes = radiographs(model, 4), torch.arange(14)

    def forward() -> None:
        with torch.no_grad():
            model(images)

    ours, theirs = alternate(
        lambda: GradCam().explain(model, images, classes, [0] * 4), forward, rounds=9
    )
    return line(ours / theirs, at_most=1.15, ours_s=ours, peer_s=theirs, **FORWARD, **sizes(4))


def _cam_vs_forward(model: Classifier, name: str, at_most: float) -> dict[str, Any]:
    """Grad-CAM for all classes against the forward pass alone, through a hook."""
    images = radiographs(model, 4)
    classes = torch.arange(len(model.classes))
    assert model.structure.feature_layer is not None  # It is found once, as a checkpoint has it.

    def forward() -> None:
        with torch.no_grad():
            model(images)

    ours, theirs = alternate(
        lambda: GradCam().explain(model, images, classes, [0] * 4), forward, rounds=9
    )
    told = {**sizes(4), "network": name, "layer": model.structure.feature_layer.name}
    return line(ours / theirs, at_most=at_most, ours_s=ours, peer_s=theirs, **FORWARD, **told)


def grad_cam_timm_vs_forward() -> dict[str, Any]:
    """Generic Grad-CAM for 14 classes on a network of timm against its forward pass.

    Fails where hooks take time, or a class takes a backward pass through the network.
    """
    name = "timm/resnet50"
    return _cam_vs_forward(shamsul.classifier(name, CLASSES, size=SIZE), name, 1.2)


def grad_cam_xrv_vs_forward() -> dict[str, Any]:
    """The same on TorchXRayVision's DenseNet, of 14 of its 18 outputs and one channel."""
    name = "torchxrayvision/densenet121-res224-chex"
    asked = Spec(
        network=name,
        classes=CLASSES,
        size=SIZE,
        presentation=Presentation(scale=(-1024, 1024), mean=(0,), std=(1,)),
        outputs=Outputs(
            names=tuple(f"output {number}" for number in range(18)),
            columns=tuple((number,) for number in range(14)),
        ),
    )
    model = Classifier(complete(build(asked, 0), asked), asked)
    return _cam_vs_forward(model.to(memory_format=torch.channels_last), name, 1.2)


def grad_cam_vs_captum() -> dict[str, Any]:
    """Grad-CAM for 14 classes against captum's LayerGradCam, one class after the other.

    Fails where classes do not share the forward pass. The peer's maps are not kept: each holds on
    to its graph, half a gigabyte.
    """
    from captum.attr import LayerGradCam

    model = ready()
    images, classes = radiographs(model, 4), torch.arange(14)
    relu = torch.nn.ReLU()
    net: Any = model.network
    steps = (net.features, relu, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), net.classifier)
    captum = LayerGradCam(torch.nn.Sequential(*steps).requires_grad_(True), relu)

    def one_by_one() -> None:
        for number in range(14):
            captum.attribute(images, target=number, relu_attributions=True)

    ours, theirs = alternate(
        lambda: GradCam().explain(model, images, classes, [0] * 4),
        one_by_one,
        rounds=3,
    )
    return line(
        theirs / ours, at_least=12, ours_s=ours, peer_s=theirs, **peer("captum"), **sizes(4)
    )
