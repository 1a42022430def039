"""Layers of rewritten networks, beside torch's own (`shamsul.model.canonise`).

They are here because classes of modules need torch, which the modules of methods load late.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """A block of a ResNet or EfficientNet: ``last(branch(x) + shortcut(x))``."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output: (N, K, H, W) -> (N, K', H', W')."""
        return self.last(self.branch(x) + self.shortcut(x))


class DenseBlock(nn.Module):
    """A dense block for forward passes alone: layers write side by side and nothing is copied.

    Attributes
    ----------
    layers : each (N, k, H, W) -> (N, growth, H, W), of all channels before it.
    growth : channels that each layer adds.
    """

    def __init__(self, layers: nn.ModuleList, growth: int) -> None:
        super().__init__()
        self.layers = layers
        self.growth = growth

    def forward(self, x: Tensor) -> Tensor:
        """Return the input and all layers' features: (N, K, H, W) -> (N, K + growth * layers, H,
        W).
        """
        count, channels = x.shape[:2]
        shape = (count, channels + self.growth * len(self.layers), *x.shape[2:])
        features = torch.empty(
            shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last
        )
        features[:, :channels] = x
        for layer in self.layers:
            features[:, channels : channels + self.growth] = layer(features[:, :channels])
            channels += self.growth
        return features


class Clamp(nn.Module):
    """A layer that clamps channels to bounds of their own; beyond them the gradient is zero.

    Attributes
    ----------
    lower, upper : (K, 1, 1); infinite where there is no bound.
    """

    lower: Tensor
    upper: Tensor

    def __init__(self, lower: Tensor, upper: Tensor) -> None:
        super().__init__()
        self.register_buffer("lower", lower)
        self.register_buffer("upper", upper)

    def forward(self, x: Tensor) -> Tensor:
        """Return the clamped input, (N, K, H, W)."""
        if not torch.is_grad_enabled():
            return x.clamp(self.lower, self.upper)
        clamped = x.detach().clamp(self.lower, self.upper)
        # Clamp's own gradient compares again in each backward pass; this one is a product.
        kept = (clamped == x).to(x.dtype)
        return x * kept + clamped * (1 - kept)


class SelfGated(nn.Module):
    """A SiLU activation, ``x sigmoid(x)``, whose gate is a constant for the gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x sigmoid(x)``, of the shape of `x`."""
        return x * x.detach().sigmoid()


class Gated(nn.Module):
    """A squeeze-and-excitation block, ``x gate(x)``, whose gate is a constant for the gradient.

    Attributes
    ----------
    gate : (N, K, H, W) -> (N, K, 1, 1).
    """

    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x gate(x)``, (N, K, H, W)."""
        with torch.no_grad():
            gate = self.gate(x)
        return x * gate
