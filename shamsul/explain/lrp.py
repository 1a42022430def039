"""Layer-wise relevance propagation (Bach et al., PLOS ONE 2015).

A rule says how the relevance ``R`` of a linear layer's outputs ``z = W x + b`` is handed to its
inputs. Written as ``R = x G``, every rule is a gradient whose layer has been altered, and
everything between linear layers (ReLU, pooling, addition, concatenation) hands on ``G`` as it hands
on a gradient. For example epsilon:

    ``R_i = sum_j x_i w_ij R_j / (z_j + eps sign z_j)``  becomes
    ``G_i = sum_j w_ij G_j |z_j| / (|z_j| + eps)``.

So a forward pass in which each linear layer keeps its value and gets the rule's gradient is all
there is to do: denominators are computed once for all classes, each class is one ordinary
backward pass, and epsilon damps where in the textbook form it divides and may overflow. Additions
and average pooling then split relevance in proportion to their inputs, max pooling gives it to
the largest.

Networks are canonised first (see `canonise.py`). Relevance that reaches a bias, or the threshold of
a clamp, is absorbed there; without biases a map sums to its seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import lazy_loader as lazy
from pydantic import Field

from shamsul.explain.base import Cost, Explainer
from shamsul.explain.canonise import canonised, unsuited

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

STABILISER = 1e-6
"""Added to denominators that sum contributions of one sign, so that none is zero."""
IMAGES_AT_ONCE = 4
"""Images whose activations are kept at a time, for the backward passes of all classes."""

Seed = Literal["logit", "probability"]


class LayerwiseRelevance(Explainer):
    """What all LRP methods share; subclasses write `rule`."""

    cost: ClassVar[Cost] = "backward"
    signed: ClassVar[bool] = True

    seed_with: Seed = "logit"
    """Relevance of the class at the output: its logit or its probability."""

    @classmethod
    def unsuited(cls, backbone: str) -> str | None:
        """Networks that cannot be canonised have layers without rules."""
        return unsuited(backbone)

    def rule(self, layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor) -> Tensor:
        """A tensor of any value, whose gradient with respect to `x` is the rule's.

        Parameters
        ----------
        layer : the linear layer.
        x : its inputs.
        z : its outputs, bias included.
        """
        raise NotImplementedError

    def prepared(self, model: Classifier) -> nn.Module:
        """The network whose gradient times input is relevance."""

        def hook(layer: Any, inputs: tuple[Tensor], z: Tensor) -> Tensor:
            altered = self.rule(layer, inputs[0], z)
            return z.detach() + (altered - altered.detach())

        network = canonised(model.network)
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                layer.register_forward_hook(hook)
        return network

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Relevance of pixels, summed over the three input channels: (N, C, H, W)."""
        network = self.prepared(model)
        parts = images.split(IMAGES_AT_ONCE)
        return torch.cat([self._relevance(network, part, classes) for part in parts])

    def _relevance(self, network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
        with torch.enable_grad():
            images = images.detach().requires_grad_()
            logits = network(images)
            outputs = logits.unbind(1)
        seed = torch.ones_like(logits)  # G = R / z: one where the relevance is the logit itself.
        if self.seed_with == "probability":
            value = logits.detach()
            seed = value.sigmoid() / (value + STABILISER * _sign(value))
        maps = []
        for index in classes.tolist():
            (gradient,) = torch.autograd.grad(
                outputs[index], images, seed[:, index], retain_graph=True
            )
            maps.append((gradient * images.detach()).sum(1))
        return torch.stack(maps, 1)


class LrpZ(LayerwiseRelevance):
    """LRP-0, also called LRP-z: inputs share relevance as they contribute to ``z``.

    On networks of ReLU, pooling and linear layers this is input times gradient (Shrikumar et al.,
    2016, arXiv 1605.01713), whatever becomes of batch norms, and is computed as such.
    """

    method: ClassVar[str] = "lrp_z"
    title: ClassVar[str] = "LRP-z"
    citation: ClassVar[str] = "Bach et al., PLOS ONE 2015, Eq. 56"

    def prepared(self, model: Classifier) -> nn.Module:
        """The network itself."""
        return model.network


class LrpEpsilon(LayerwiseRelevance):
    """LRP-epsilon: as LRP-z, with outputs near zero handing on less (Bach et al., 2015, Eq. 58)."""

    method: ClassVar[str] = "lrp_epsilon"
    title: ClassVar[str] = "LRP-ε"
    citation: ClassVar[str] = "Bach et al., PLOS ONE 2015, Eq. 58"

    epsilon: Annotated[float, Field(gt=0)] = 1.0
    """Added to the size of every output that relevance is divided by; 1 in the study."""

    def rule(self, layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor) -> Tensor:
        """``G_i = sum_j w_ij G_j |z_j| / (|z_j| + epsilon)``."""
        size = z.detach().abs()
        return z * (size / (size + self.epsilon))


class LrpAlpha2Beta1(LayerwiseRelevance):
    """LRP-alpha-beta: positive contributions count twice, negative ones once, against them.

    Both kinds are normalised by themselves, positive (negative) part of the bias included, as
    zennit's ``AlphaBeta`` does it. The rule hands on the sign of what it receives: seeded by a
    negative logit, evidence for the class would come out negative, hence the default seed.
    """

    method: ClassVar[str] = "lrp_alpha2beta1"
    title: ClassVar[str] = "LRP-α2β1"
    citation: ClassVar[str] = "Bach et al., PLOS ONE 2015, Eq. 60"

    seed_with: Seed = "probability"
    """Relevance of the class at the output: its logit or its probability."""

    def rule(self, layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor) -> Tensor:
        """``R_i = sum_j (2 (x_i w_ij)+ / z_j+ - (x_i w_ij)- / z_j-) R_j``."""
        return 2 * _share(layer, x, z, 1) - _share(layer, x, z, -1)


class DeepTaylor(LayerwiseRelevance):
    """Deep Taylor decomposition by the z+ rule (alpha 1, beta 0) at every layer.

    Only positive contributions receive relevance, in the first layer also those of negative pixels
    through negative weights: the pixels' bounds (the paper's z-B rule) are not used. The study's
    iNNvestigate 1.0 did the same. Seeded by the probability, for the reason given at
    `LrpAlpha2Beta1`; relevance is then negative only where an addition or a pooling has inputs of
    both signs.
    """

    method: ClassVar[str] = "deep_taylor"
    title: ClassVar[str] = "Deep Taylor"
    citation: ClassVar[str] = "Montavon et al., Pattern Recognition 2017"
    signed: ClassVar[bool] = False

    seed_with: Seed = "probability"
    """Relevance of the class at the output: its logit or its probability."""

    def rule(self, layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor) -> Tensor:
        """``R_i = sum_j (x_i w_ij)+ / z_j+ R_j``."""
        return _share(layer, x, z, 1)


def _share(layer: nn.Conv2d | nn.Linear, x: Tensor, z: Tensor, sign: int) -> Tensor:
    """Relevance in proportion to the contributions ``x_i w_ij`` of one sign."""
    weight = layer.weight.detach()
    contributions = _linear(layer, x.clamp(min=0), (sign * weight).clamp(min=0) * sign)
    if (x < 0).any():  # Behind a ReLU there are none, and half of the work is saved.
        contributions = contributions + _linear(
            layer, x.clamp(max=0), (sign * weight).clamp(max=0) * sign
        )
    total = sign * contributions.detach() + STABILISER
    if layer.bias is not None:
        bias = (sign * layer.bias.detach()).clamp(min=0)
        total = total + (bias if z.dim() == 2 else bias[:, None, None])
    return contributions * (sign * z.detach() / total)


def _linear(layer: nn.Conv2d | nn.Linear, x: Tensor, weight: Tensor) -> Tensor:
    """The layer with other weights and no bias."""
    function = torch.nn.functional
    if isinstance(layer, torch.nn.Linear):
        return function.linear(x, weight)
    return function.conv2d(
        x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups
    )


def _sign(x: Tensor) -> Tensor:
    """The sign, with that of zero positive."""
    return torch.where(x < 0, -1.0, 1.0)
