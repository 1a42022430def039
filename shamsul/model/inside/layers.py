"""Layers of rewritten networks, beside torch's own (`shamsul.model.inside.canonise`).

They are here because classes of modules need torch, which the modules of methods load late.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Mean(nn.Module):
    """The mean over space.

    Attributes
    ----------
    keepdim : True where the result has two axes of length one for it.
    """

    def __init__(self, keepdim: bool) -> None:
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of each channel: (N, K, H, W) -> (N, K) or (N, K, 1, 1)."""
        return x.mean((2, 3), self.keepdim)


class Reshape(nn.Module):
    """The same numbers of each image, in the same order, in another shape.

    Attributes
    ----------
    shape : shape of one image's numbers.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Return the numbers in the other shape: (N, ...) -> (N, *shape)."""
        return x.reshape(len(x), *self.shape)


class Affine(nn.Module):
    """A batch norm in evaluation mode that no neighbour can take in: ``scale x + shift``.

    Attributes
    ----------
    scale, shift : (K, 1, 1), or (K,) for inputs without space.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled and shifted input, of the shape of `x`."""
        return x * self.scale + self.shift


class ChannelPad(nn.Module):
    """Padding by a constant of each channel.

    Attributes
    ----------
    padding : numbers of columns at the left and right and of rows at the top and bottom.
    value : (K, 1, 1).
    """

    value: Tensor

    def __init__(self, padding: tuple[int, ...], value: Tensor) -> None:
        super().__init__()
        self.padding = padding
        self.register_buffer("value", value)

    def forward(self, x: Tensor) -> Tensor:
        """Return the padded input: (N, K, H, W) -> (N, K, H', W')."""
        left, right, top, bottom = self.padding
        height, width = x.shape[2:]
        inside = x.new_zeros(1, 1, height + top + bottom, width + left + right)
        inside[:, :, top : top + height, left : left + width] = 1
        return nn.functional.pad(x, self.padding) + (1 - inside) * self.value


class Buffer(nn.Module):
    """The concatenation of a dense block that its later layers write into; no gradients.

    Attributes
    ----------
    channels : channels of the block's last concatenation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, *maps: Tensor) -> Tensor:
        """Return (N, channels, H, W), of which feature maps (N, K, H, W) are the first."""
        count, _, *size = maps[0].shape
        features = torch.empty(
            (count, self.channels, *size),
            dtype=maps[0].dtype,
            device=maps[0].device,
            memory_format=torch.channels_last,
        )
        return _written(features, 0, maps)


class Write(nn.Module):
    """A step of a dense block that adds feature maps to its `Buffer`.

    Attributes
    ----------
    start : first channel to write.
    """

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start

    def forward(self, features: Tensor, *maps: Tensor) -> Tensor:
        """Return the buffer (N, channels, H, W) itself, with new maps (N, K, H, W) in it."""
        return _written(features, self.start, maps)


def _written(features: Tensor, start: int, maps: Sequence[Tensor]) -> Tensor:
    """Return the tensor itself, with maps written side by side from channel `start` on."""
    for part in maps:
        features[:, start : start + part.shape[1]] = part
        start += part.shape[1]
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
    """An activation ``x gate(x)`` whose gate is a constant for the gradient.

    Attributes
    ----------
    gate : module of the gate, such as the sigmoid of SiLU.
    """

    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x gate(x)``, of the shape of `x`."""
        return x * self.gate(x.detach())


class Ratio(nn.Module):
    """The gate of an activation that is zero at zero: ``f(x) / x``.

    Attributes
    ----------
    activation : module that computes ``f``.
    """

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Return the gate, of the shape of `x`; it is one at zero."""
        one = torch.ones((), dtype=x.dtype, device=x.device)
        return torch.where(x == 0, one, self.activation(x) / x)


class Gated(nn.Module):
    """A product with a gate that is a constant for the gradient, as in squeeze and excitation."""

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """Return ``x gate``, (N, K, H, W), for a gate such as (N, K, 1, 1)."""
        return x * gate.detach()
