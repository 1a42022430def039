"""Steps of a transformer with the gradients of AttnLRP's rules.

The rules are in `shamsul.model.inside.attention_rules`. Each has the value of torch's own function.
The weights get no gradients.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from shamsul.model.inside.functions import Linear, by_tokens

STABILISER = 1e-6
"""Term added to the size of sums that relevance is divided by, so that none is zero."""


class _WithFactor(torch.autograd.Function):
    """A value whose gradient by `x` is a factor: ``G = G' factor``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return value.clone()  # What follows may work in place.

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.saved_tensors[0], None, None


class _InPlaceOf(torch.autograd.Function):
    """A value that hands its gradient to another tensor."""

    @staticmethod
    def forward(ctx: Any, altered: Tensor, value: Tensor) -> Tensor:
        return value.clone()  # What follows may work in place.

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class _LayerNorm(torch.autograd.Function):
    """A layer norm whose gradient takes the standard deviation for a constant."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, shape: Any, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        value, _, inverse = torch.native_layer_norm(x, shape, weight, bias, eps)
        ctx.save_for_backward(inverse if weight is None else inverse * weight)
        ctx.axes = tuple(range(-len(shape), 0))
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        scaled = gradient * ctx.saved_tensors[0]
        return scaled - scaled.mean(ctx.axes, keepdim=True), None, None, None, None


def layer_norm(
    x: Tensor, shape: Any, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Compute a layer norm with a constant standard deviation: the identity rule."""
    found: Tensor = _LayerNorm.apply(x, list(shape), weight, bias, eps)
    return found


def rms_norm(
    x: Tensor, shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Compute a root-mean-square norm with a constant root: the identity rule."""
    value = functional.rms_norm(x.detach(), list(shape), weight, eps)
    return identity(x, value)


def identity(x: Tensor, value: Tensor) -> Tensor:
    """Return ``f(x)`` with the gradient of the identity rule."""
    detached = x.detach()
    factor = value / torch.where(detached == 0, 1.0, detached)
    found: Tensor = _WithFactor.apply(x, value, factor)
    return found


def shared(arguments: Any, share: float) -> Any:
    """Return nested arguments whose tensors hand on a share of their gradient."""
    if isinstance(arguments, dict):
        return {name: shared(value, share) for name, value in arguments.items()}
    if isinstance(arguments, list | tuple):
        return type(arguments)(shared(value, share) for value in arguments)
    return _part(arguments, share)


def _part(x: Any, share: float) -> Any:
    """Return the same tensor, which hands on a share of its gradient; all else as it is."""
    if share == 1 or not isinstance(x, Tensor) or not x.requires_grad:
        return x
    return _WithFactor.apply(x, x.detach(), torch.tensor(share, dtype=x.dtype))


def fused(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Compute a fused attention with the gradient of two uniform products and a softmax.

    Values get half of an output's relevance; queries and keys half of the other half each.
    """
    found: Tensor = functional.scaled_dot_product_attention(
        _part(query, 0.25), _part(key, 0.25), _part(value, 0.5), *args, **kwargs
    )
    return found


def linear(gamma: float, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute a linear layer with the gradient of the gamma rule, as `_alike` has it."""
    step = _LinearGamma.apply(x, weight, bias, gamma) if gamma else Linear.apply(x, weight, bias)
    found: Tensor = step
    return found


class _LinearGamma(torch.autograd.Function):
    """A linear layer with the gradient of the gamma rule."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, gamma: float) -> Tensor:
        value = functional.linear(x, weight, bias)
        sizes = weight.abs()
        absolute = None if bias is None else bias.abs()
        each, signed = _alike(value, functional.linear(x.abs(), sizes, absolute), gamma)
        ctx.save_for_backward(weight, sizes, each, signed, x.sign())
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        weight, sizes, *more = ctx.saved_tensors
        each, signed, sign = (x.reshape(-1, x.shape[-1]) for x in more)

        def product(part: Tensor, rows: Any) -> Tensor:
            found = (part * each[rows]) @ weight
            return found.addcmul_((part * signed[rows]) @ sizes, sign[rows])

        return by_tokens(gradient, product), None, None, None


def convolution(
    gamma: float, x: Tensor, weight: Tensor, bias: Tensor | None = None, *more: Any, **kwargs: Any
) -> Tensor:
    """Compute a convolution with the gradient of the gamma rule, as `_alike` has it."""
    z = functional.conv2d(x, weight, bias, *more, **kwargs)
    if not gamma:
        return z
    size = functional.conv2d(x.abs(), weight.abs(), None, *more, **kwargs)
    total = size.detach() if bias is None else size.detach() + bias.abs()[:, None, None]
    each, signed = _alike(z.detach(), total, gamma)
    found: Tensor = _InPlaceOf.apply(z * each + size * signed, z.detach())
    return found


def _alike(value: Tensor, size: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Return the factors of an output's contributions and of their sizes under the gamma rule.

    With ``z_j = sum_i x_i w_ij + b_j``, ``Z_j = sum_i |x_i w_ij| + |b_j|`` and
    ``r_j = |z_j| / (|z_j| + gamma (|z_j| + Z_j) / 2)``, the rule is the gradient of
    ``sum_j r_j ((1 + gamma / 2) x_i w_ij + gamma / 2 sign z_j |x_i| |w_ij|)``: contributions of
    the sign of ``z_j`` count ``1 + gamma`` times, the others once, and all are divided by their
    sum. So it takes two products where sums of either sign take four.

    Parameters
    ----------
    value, size : ``z`` and ``Z``, of one shape.
    """
    length = value.abs()
    ratio = length / (length + gamma * (length + size) / 2 + STABILISER)
    return ratio * (1 + gamma / 2), ratio * value.sign() * (gamma / 2)
