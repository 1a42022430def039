"""Brings a network to the form that LRP's rules are defined for: linear layers, ReLU and pooling.

Batch normalisation is linear in evaluation mode, yet no rule fits it: written as a layer of its own
it has a bias of any size that swallows relevance (Pahde et al., 2023, arXiv 2211.17174). So it is
merged into a neighbouring layer:

to the left (conv, BN)
    ``BN(W x + d) = (s W) x + (s d + b)`` with ``s = gamma / sqrt(variance + eps)`` and
    ``b = beta - s mean``;
to the right (BN, ReLU, conv), as DenseNet has it
    ``ReLU(s x + b) = s (c(x) - t)`` with ``t = -b / s``, where ``c`` clamps ``x`` at ``t``, from
    below if ``s > 0`` and from above if ``s < 0``. The next layer takes ``s`` into its weights and
    ``-s t`` through them into its bias; average pooling between the two changes nothing.

Only layers without zero padding can follow a merge to the right, because a border of zeros is not
a border of `t`. In torchvision's DenseNet these are 1 x 1 convolutions and the classifier.
"""

from __future__ import annotations

import copy
import itertools
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import lazy_loader as lazy

from shamsul.errors import InputError

if TYPE_CHECKING:
    import torch
    import torchvision
    from torch import Tensor, nn
else:
    torch = lazy.load("torch")
    torchvision = lazy.load("torchvision")

SMALLEST_SCALE = 1e-12
"""A batch norm's scale is kept at least this far from zero, so that its threshold is finite."""


def canonised(network: nn.Module) -> nn.Module:
    """A network of the same outputs, in evaluation mode, without batch norms.

    Parameters
    ----------
    network : a torchvision DenseNet, ResNet or VGG, or a module made of convolutions, linear
        layers, ReLU and pooling. It is not changed: merged tensors are new, others are shared.

    Returns
    -------
    The network to run LRP on; only its `Conv2d` and `Linear` modules have parameters.

    Raises
    ------
    InputError
        A layer is left that no rule exists for.
    """
    # Tensors found in the memo are shared, not copied; below they are replaced, never written to.
    tensors = itertools.chain(network.parameters(), network.buffers())
    network = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors}).eval()
    with torch.no_grad():
        if isinstance(network, torchvision.models.DenseNet):
            network = _densenet(network)
        for parent, conv, norm in _conv_then_norm(network):
            _merge_left(getattr(parent, conv), getattr(parent, norm))
            setattr(parent, norm, torch.nn.Identity())
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False
        if not any(module.children()) and not isinstance(module, _understood()):
            raise InputError(
                f"LRP: no rule for {type(module).__name__} (layer {name}); "
                f"choose a DenseNet, ResNet or VGG, or another method"
            )
    return network


def _understood() -> tuple[type[nn.Module], ...]:
    nn = torch.nn
    linear = (nn.Conv2d, nn.Linear, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
    return (*linear, nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Dropout, nn.Identity)


def _densenet(network: torchvision.models.DenseNet) -> nn.Module:
    """Merge batch norms ahead of a layer into it; make the last steps modules."""
    for layer in network.modules():
        if isinstance(layer, torchvision.models.densenet._DenseLayer):
            layer.relu1 = _merge_right(layer.norm1, layer.conv1)
            layer.norm1 = torch.nn.Identity()
        if isinstance(layer, torchvision.models.densenet._Transition):
            layer.relu = _merge_right(layer.norm, layer.conv)
            layer.norm = torch.nn.Identity()
    network.features.norm5 = _merge_right(network.features.norm5, network.classifier)
    steps = OrderedDict(
        features=network.features,
        pool=torch.nn.AdaptiveAvgPool2d(1),
        flatten=torch.nn.Flatten(),
        classifier=network.classifier,
    )
    return torch.nn.Sequential(steps).eval()


def _conv_then_norm(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Where a convolution's output goes to one batch norm and nowhere else: parent and names."""
    for module in network.modules():
        children = dict(module.named_children())
        if isinstance(module, torch.nn.Sequential):
            pairs = list(itertools.pairwise(children))
        elif isinstance(module, torchvision.models.densenet._DenseLayer):
            pairs = [("conv1", "norm2")]
        else:  # A ResNet or one of its blocks.
            pairs = [(f"conv{number}", f"bn{number}") for number in (1, 2, 3)]
        for first, second in pairs:
            conv, norm = children.get(first), children.get(second)
            if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
                yield module, first, second


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift, both (K,), that a batch norm applies in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - scale * norm.running_mean


def _merge_left(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    scale, shift = _affine(norm)
    bias = 0 if conv.bias is None else conv.bias * scale
    conv.bias = torch.nn.Parameter(shift + bias)
    conv.weight = torch.nn.Parameter(conv.weight * scale[:, None, None, None])


def _merge_right(norm: nn.BatchNorm2d, linear: nn.Conv2d | nn.Linear) -> nn.Module:
    """Merge a batch norm into the layer behind the ReLU; returns what takes the ReLU's place."""
    scale, shift = _affine(norm)
    scale = torch.where(scale.abs() < SMALLEST_SCALE, SMALLEST_SCALE, scale)
    threshold = -shift / scale
    weight = linear.weight * scale.reshape(-1, *[1] * (linear.weight.dim() - 2))
    bias = weight.flatten(2).sum(2) if weight.dim() == 4 else weight
    bias = bias @ -threshold + (0 if linear.bias is None else linear.bias)
    linear.weight, linear.bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)
    return _clamp(threshold[:, None, None], scale[:, None, None] > 0)


def _clamp(threshold: Tensor, from_below: Tensor) -> nn.Module:
    """The function `c` above. Where it returns the threshold, its gradient is zero."""
    module = torch.nn.Identity()
    module.register_forward_hook(
        lambda _, __, x: torch.where((x > threshold) == from_below, x, threshold)
    )
    return module
