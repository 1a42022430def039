"""The rules of layer-wise relevance propagation, each as a linear layer with another gradient.

A rule says how relevance ``R_j`` of outputs ``z_j = sum_i x_i w_ij + b_j`` is handed to inputs.
With ``R = x G`` at every tensor it is a gradient. All rules but those for the first layer have the
form

    ``G_i = sum_j w_ij s_ij G_j``,

that is, relevance ``R_i = x_i G_i = sum_j x_i w_ij s_ij R_j / z_j``, where ``s_ij`` depends on `j`
and on the sign of the contribution ``x_i w_ij`` alone. So a rule is two numbers per output, for
positive and for negative contributions; both one is the gradient itself, LRP-0 (Bach et al.,
2015, Eq. 56). Below, ``z+`` and ``z-`` are the sums of an output's positive and negative
contributions, each with that part of the bias, so that ``z = z+ + z-``.

Rules for the first layer may hand relevance to something else than `x`, a `leaf`; a pixel's
relevance is then the sum of ``leaf * G`` over the leaf's channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shamsul import lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
else:
    torch = lazy.load("torch")

STABILISER = 1e-6
"""Term added to the size of sums that relevance is divided by, so that none is zero."""


class Rule:
    """A rule of LRP. Subclasses write `altered`, rules for the first layer also `leaf`."""

    def leaf(self, images: Tensor) -> Tensor:
        """Return the tensor that the first layer hands relevance to: (N, K', H, W) for images
        (N, K, H, W).
        """
        return images

    def altered(self, layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor) -> Tensor:
        """Return a tensor like `z`, of any value, whose gradient with respect to `x` is the rule's.

        Parameters
        ----------
        layer : the linear layer.
        x : inputs of the layer, (N, K, H, W) or (N, K), or the leaf.
        z : outputs of the layer, (N, J, h, w) or (N, J), bias included; `layer(x)` also for
        autograd.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Epsilon(Rule):
    """The epsilon rule, ``R_i = sum_j x_i w_ij R_j / (z_j + epsilon sign z_j)``:
    ``s = |z| / (|z| + epsilon)``.

    Outputs near zero hand on less, the rest is absorbed (Bach et al., 2015, Eq. 58). Valid for
    inputs of either sign. With a small epsilon it is LRP-0, as noisy as the gradient of a deep
    network is; so it is best in the last layers (Montavon et al., 2019).
    """

    epsilon: float

    def altered(self, layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor) -> Tensor:
        """Return `z` with epsilon's gradient, as `Rule.altered` says."""
        size = z.detach().abs()
        return z * (size / (size + self.epsilon))


class SignRule(Rule):
    """A rule that tells positive from negative contributions; subclasses write `shares`."""

    def shares(self, z: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares ``s`` of positive and negative contributions, like `z` each.

        Parameters
        ----------
        z, positive, negative : ``z``, ``z+ > 0`` and the size of ``z-``, ``> 0``.
        """
        raise NotImplementedError

    def altered(self, layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor) -> Tensor:
        """Return `z` with the gradient of both shares, as `Rule.altered` says."""
        positive, positive_total = _positive(layer, x, 1)
        negative, negative_total = _positive(layer, x, -1)
        share, other = self.shares(z.detach(), positive_total, negative_total)
        return positive * share - negative * other


@dataclass(frozen=True)
class AlphaBeta(SignRule):
    """The alpha-beta rule,
    ``R_i = sum_j (alpha (x_i w_ij)+ / z_j+ - beta (x_i w_ij)- / z_j-) R_j``.

    So ``s = alpha z / z+`` for positive and ``-beta z / z-`` for negative contributions (Bach et
    al., 2015, Eq. 60, where ``alpha - beta = 1``). Valid for inputs of either sign. It hands on
    the sign of what arrives, whatever the contributions: only of relevance that is positive is
    the part of positive contributions evidence for the class. An output whose contributions are
    all positive hands on `alpha` times its relevance, so depthwise convolutions do not conserve.
    """

    alpha: float
    beta: float

    def shares(self, z: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares of alpha and beta, as `SignRule.shares` says."""
        return self.alpha * z / positive, self.beta * z / negative


class ZPlus(Rule):
    """The z+ rule, ``R_i = sum_j (x_i w_ij)+ / z_j+ R_j``: alpha 1, beta 0, with half of the work.

    For ``x >= 0`` it is the z+ rule of deep Taylor decomposition (Montavon et al., 2017); inputs
    below zero contribute through negative weights.
    """

    def altered(self, layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor) -> Tensor:
        """Return `z` with the gradient of z+, as `Rule.altered` says."""
        positive, total = _positive(layer, x, 1)
        return positive * (z.detach() / total)


@dataclass(frozen=True)
class Gamma(SignRule):
    """The gamma rule, ``R_i = sum_j x_i (w_ij + gamma w_ij+) / sum_i x_i (w_ij + gamma w_ij+) R_j``
    for ``x >= 0``.

    This is Montavon et al., 2019, Sect. 10.2. In general, contributions of the output's sign count
    ``1 + gamma`` times (Andéol et al., 2021, arXiv 2106.04427): where ``z > 0``, ``s`` is
    ``(1 + gamma) z / (z + gamma z+)`` for positive and ``z / (z + gamma z+)`` for negative
    contributions; where ``z < 0`` it is the other way round, with ``z-``. Between LRP-0 for gamma
    0 and z+ for a large gamma; in lower layers it keeps LRP-0's noise out.
    """

    gamma: float

    def shares(self, z: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Return the shares of gamma, as `SignRule.shares` says."""
        above, below = (z > 0).to(z.dtype), (z < 0).to(z.dtype)
        favoured = above * positive + below * negative
        share = z.abs() / (z.abs() + self.gamma * favoured + STABILISER)
        return share * (1 + self.gamma * above), share * (1 + self.gamma * below)


class Flat(Rule):
    """The flat rule, ``R_i = sum_j R_j / n_j``: all `n_j` inputs that an output sees get the same.

    For the first layer alone (Lapuschkin et al., 2019, "Unmasking Clever Hans predictors"): the
    map is smooth, and invariant to the scale and offset of pixels. The leaf is one, once for all
    channels of a pixel; padding gets nothing.
    """

    def leaf(self, images: Tensor) -> Tensor:
        """Return ones, one channel for all of a pixel's, as `Rule.leaf` says."""
        return torch.ones_like(images[:, :1])

    def altered(self, layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor) -> Tensor:
        """Return `z` with the gradient of equal shares, as `Rule.altered` says."""
        seen = _linear(layer, x, torch.ones_like(layer.weight[:1, :1]))
        return z.detach() * (seen / seen.detach())


@dataclass(frozen=True)
class Box(Rule):
    """The z-B rule, for a first layer whose inputs are between `low` and `high`.

    ``R_i = sum_j q_ij / sum_i q_ij R_j`` with ``q_ij = x_i w_ij - low_i w_ij+ - high_i w_ij-``
    (Montavon et al., 2017, Table 1), all of which are positive. The leaf is `x`, `low` and `high`,
    one behind the other.

    Attributes
    ----------
    low, high : (1, K, 1, 1), the least and greatest value that inputs can have.
    """

    low: Tensor
    high: Tensor

    def leaf(self, images: Tensor) -> Tensor:
        """Return `x`, `low` and `high`, one behind the other, as `Rule.leaf` says."""
        bounds = (bound.to(images).expand_as(images) for bound in (self.low, self.high))
        return torch.cat([images, *bounds], 1)

    def altered(self, layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor) -> Tensor:
        """Return `z` with the gradient of z-B, as `Rule.altered` says."""
        weight = layer.weight
        weights = torch.cat([weight, -weight.clamp(min=0), -weight.clamp(max=0)], 1)
        q = _linear(layer, x, weights)
        return q * (z.detach() / (q.detach() + STABILISER))


def _positive(layer: nn.Conv2d | nn.Linear, x: Tensor, sign: int) -> tuple[Tensor, Tensor]:
    """Sum the positive contributions to ``sign * z``, like `z`: without and with bias.

    The second is kept from zero and has no gradient.
    """
    # A positive product's factors are both positive or both negative.
    weight = sign * layer.weight
    if (x < 0).any():
        above = x * (x > 0).to(x.dtype)  # Unlike clamp's, a product's gradient is fast.
        positive = _linear(layer, above, weight.clamp(min=0))
        positive = positive + _linear(layer, x - above, weight.clamp(max=0))
    else:  # Behind a ReLU half of the work is saved.
        positive = _linear(layer, x, weight.clamp(min=0))
    total = positive.detach() + STABILISER
    if layer.bias is not None:
        bias = (sign * layer.bias).relu()
        total = total + bias.reshape(-1, *[1] * (total.dim() - 2))
    return positive, total


def _linear(layer: nn.Conv2d | nn.Linear, x: Tensor, weight: Tensor) -> Tensor:
    """Apply the layer with other weights and no bias."""
    function = torch.nn.functional
    if isinstance(layer, torch.nn.Linear):
        return function.linear(x, weight)
    return function.conv2d(
        x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups
    )
