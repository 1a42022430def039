"""First and last layers of networks: where they are, and others in their place."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from shamsul.errors import InputError
from shamsul.model.spec import Head


def linear_names(network: nn.Module) -> list[str]:
    """Return the names of the linear layers."""
    return [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]


def head_name(network: nn.Module) -> str | None:
    """Return the name of the last linear layer, which makes the logits; None for none."""
    return next(reversed(linear_names(network)), None)


def first_name(network: nn.Module) -> str | None:
    """Return the name of the first convolution, which sees the image; None where there is none."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            return name
    return None


def put(network: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer in the place of the one of that name."""
    parent, _, key = name.rpartition(".")
    setattr(network.get_submodule(parent), key, layer)


def replace_head(network: nn.Module, outputs: int) -> None:
    """Replace the last linear layer by a fresh one of so many outputs.

    Raises
    ------
    InputError
        The network has no linear layer.
    """
    name = head_name(network)
    if name is None:
        raise InputError(
            f"model.network: {type(network).__name__} ends in no linear layer; write a function "
            "that builds it with your outputs, and name that: `network: own/FILE.py:FUNCTION`"
        )
    old: Any = network.get_submodule(name)
    put(network, name, nn.Linear(old.in_features, outputs))


def replace_first(network: nn.Module, channels: int) -> None:
    """Replace the first convolution by a fresh one that sees so many channels, if it does not."""
    name = first_name(network)
    old: Any = network.get_submodule(name) if name is not None else None
    if name is None or old.in_channels == channels:
        return
    bias = old.bias is not None
    put(
        network,
        name,
        nn.Conv2d(
            channels, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation,
            bias=bias, padding_mode=old.padding_mode,
        ),
    )  # fmt: skip


def build_head(network: nn.Module, head: Head) -> None:
    """Replace the last linear layer by those of `head`."""
    name = head_name(network)
    assert name is not None
    old: Any = network.get_submodule(name)
    width: int = old.in_features
    layers: list[nn.Module] = []
    for outputs, bias in zip(head.widths, head.biases, strict=True):
        if layers and head.activation:
            layers.append(_activation(head.activation))
        layers.append(nn.Linear(width, outputs, bias=bias))
        width = outputs
    put(network, name, layers[0] if len(layers) == 1 else nn.Sequential(*layers))


def _activation(name: str) -> nn.Module:
    made: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh,
        "leaky_relu": nn.LeakyReLU, "elu": nn.ELU,
    }  # fmt: skip
    return made[name]()


def summed(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """Return a first convolution's weights for equal channels of another number.

    The grey value stands in each channel, so weights of three channels are summed to one and one
    channel's are divided among three. Differences of normalisation between channels are not made
    up for.
    """
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight.mean(1, keepdim=True).repeat(1, channels, 1, 1) * weight.shape[1] / channels
