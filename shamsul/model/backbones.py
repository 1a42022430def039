"""Backbones by name: a small network and torchvision's, with a head of one logit per class."""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shamsul.errors import InputError
from shamsul.model.small_densenet import SmallDenseNet
from shamsul.model.weights import StateDict, load, state_dict

PATCH = 16
"""Side in pixels of a patch of vit_b_16."""


@dataclass(frozen=True)
class Backbone:
    """A network: the name of its last linear layer, and what makes it.

    Attributes
    ----------
    head : name of the last linear layer.
    weights : name of its ImageNet weights in `torchvision.models`; empty where there are none.
    make : function that makes it; None where torchvision does, under its name.
    """

    head: str
    weights: str = ""
    make: Callable[[], nn.Module] | None = None


def _densenet_small() -> nn.Module:
    """Make a DenseNet-BC of three blocks, 0.2 million weights: it trains on a CPU in minutes."""
    return SmallDenseNet((2, 4, 6))


BACKBONES = {
    "densenet_small": Backbone("classifier", make=_densenet_small),
    "densenet121": Backbone("classifier", "DenseNet121_Weights.IMAGENET1K_V1"),
    "resnet18": Backbone("fc", "ResNet18_Weights.IMAGENET1K_V1"),
    "resnet50": Backbone("fc", "ResNet50_Weights.IMAGENET1K_V1"),
    "vgg16": Backbone("classifier.6", "VGG16_Weights.IMAGENET1K_V1"),
    "efficientnet_b0": Backbone("classifier.1", "EfficientNet_B0_Weights.IMAGENET1K_V1"),
    "convnext_tiny": Backbone("classifier.2", "ConvNeXt_Tiny_Weights.IMAGENET1K_V1"),
    "vit_b_16": Backbone("heads.head", "ViT_B_16_Weights.IMAGENET1K_V1"),
}


def build(backbone: str, classes: int, size: int, weights: str, seed: int) -> nn.Module:
    """Build a network with a fresh head.

    Parameters
    ----------
    backbone : a name in `BACKBONES`.
    classes : number of logits.
    size : side in pixels of the images.
    weights : `imagenet`, `random`, or a file of torchvision weights, whose head is not used.
    seed : seed of the random weights; torch's own random state is left as it is.

    Returns
    -------
    A network (N, 3, size, size) -> (N, classes), in training mode.

    Raises
    ------
    InputError
        There are no such weights, they do not fit, or the backbone cannot see images of `size`.
    """
    kind = BACKBONES[backbone]
    network = untrained(backbone, classes, size, seed)
    if weights == "random":
        return network
    if weights == "imagenet":
        found, source = _imagenet(backbone), "ImageNet weights"
    elif Path(weights).is_file():
        found, source = state_dict(weights, backbone), weights
    else:
        raise InputError(f"model.weights: {weights} is neither imagenet, random nor a file")
    load(network, resized(found, backbone, size), source, without=kind.head)
    return network


def untrained(backbone: str, classes: int, size: int, seed: int) -> nn.Module:
    """Build a network with random weights drawn from `seed`; see `build`."""
    kind = BACKBONES[backbone]
    arguments: dict[str, Any] = {}
    if backbone == "vit_b_16":
        if size % PATCH:
            raise InputError(f"data.size: {backbone} needs a multiple of {PATCH}, not {size}")
        arguments["image_size"] = size
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = kind.make() if kind.make else _torchvision(backbone, **arguments)
        parent, _, name = kind.head.rpartition(".")
        old: Any = network.get_submodule(kind.head)
        setattr(network.get_submodule(parent), name, nn.Linear(old.in_features, classes))
    return network


def _torchvision(backbone: str, **arguments: Any) -> nn.Module:
    """Make a network of torchvision's, which is imported here: it is slow to import."""
    from torchvision import models

    network: nn.Module = models.get_model(backbone, **arguments)
    return network


def resized(weights: StateDict, backbone: str, size: int) -> StateDict:
    """Return the weights for images of another size, a transformer's positions interpolated."""
    positions = weights.get("encoder.pos_embedding")
    if backbone != "vit_b_16" or positions is None or positions.ndim != 3:
        return weights
    grid = round((positions.shape[1] - 1) ** 0.5)
    if grid < 1 or grid**2 + 1 != positions.shape[1] or positions.shape[0] != 1:
        return weights  # `load` reports the shape.
    from torchvision.models.vision_transformer import interpolate_embeddings

    return dict(interpolate_embeddings(size, PATCH, OrderedDict(weights)))


def _imagenet(backbone: str) -> StateDict:
    name = BACKBONES[backbone].weights
    if not name:
        raise InputError(
            f"model.weights: there are no ImageNet weights of {backbone}; set `weights: random`"
        )
    from torchvision import models

    enum = models.get_weight(name)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # torch sets none, and would wait forever on a dead network.
    try:
        enum.get_state_dict(check_hash=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"model.weights: cannot fetch the ImageNet weights of {backbone} ({error}); on a "
            f"machine with network save {enum.url}, copy it here and set `weights: PATH`"
        ) from None
    finally:
        socket.setdefaulttimeout(patience)
    # Read again from torch's cache, in the same way as a user's file.
    cached = Path(torch.hub.get_dir(), "checkpoints", Path(enum.url).name)
    return state_dict(cached, backbone)
