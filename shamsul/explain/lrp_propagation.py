"""Layer-wise relevance propagation (Bach et al., PLOS ONE 2015).

Written as ``R = x G``, every rule (see `lrp_rules.py`) is a gradient whose linear layer has been
altered, and everything between linear layers (ReLU, pooling, addition, concatenation) hands on
``G`` as it hands on a gradient. For example epsilon:

    ``R_i = sum_j x_i w_ij R_j / (z_j + eps sign z_j)``  becomes
    ``G_i = sum_j w_ij G_j |z_j| / (|z_j| + eps)``.

So one forward pass suffices, in which each linear layer keeps its value and gets the rule's
gradient. Denominators are computed once for all classes, and each class is one ordinary backward
pass. Epsilon damps here, where in the textbook form it divides and may overflow. Additions and
average pooling split relevance in proportion to their inputs; max pooling gives it to the largest.

Networks are canonised first (see `canonise.py`). Relevance that reaches a bias, or the threshold of
a clamp, is absorbed there; without biases a map sums to its seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from shamsul import lazy
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.lrp_rules import STABILISER, Rule
from shamsul.model.inside.canonise import canonised
from shamsul.model.structure import Need

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

IMAGES_AT_ONCE = 4
"""Number of images whose activations are kept at a time, for all classes' backward passes."""

Seed = Literal["logit", "probability"]


@dataclass(frozen=True)
class Composite:
    """The assignment of rules to layers.

    Attributes
    ----------
    first : rule of the first convolution, which sees the image.
    convolutions : rule of the other convolutions.
    linear : rule of the fully connected layers.
    """

    first: Rule
    convolutions: Rule
    linear: Rule

    @classmethod
    def everywhere(cls, rule: Rule) -> Composite:
        """Return the composite of one rule for all layers."""
        return cls(first=rule, convolutions=rule, linear=rule)


class LayerwiseRelevance(Explainer):
    """The base of all LRP methods; subclasses write `composite`."""

    cost: ClassVar[Cost] = "backward"
    signed: ClassVar[bool] = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {"shamsul-2023": {"seed_with": "probability"}}

    seed_with: Seed = "logit"
    """Relevance of the class at the output: its logit or its probability. iNNvestigate takes what
    the model returns, which in the studies is the probability, although the last layer's outputs
    are logits. Where a logit is negative, the choice turns all signs."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return that every layer must have a rule."""
        return (*super().needs, "lrp")

    def composite(self, model: Classifier) -> Composite:
        """Return the rule of each kind of layer."""
        raise NotImplementedError

    def prepared(self, model: Classifier, images: Tensor) -> tuple[nn.Module, Tensor]:
        """Return a network of the same outputs, and a leaf tensor such that ``leaf * G`` is
        relevance.

        Parameters
        ----------
        images : (N, K, H, W), the only ones that the network is for.

        Returns
        -------
        The network, and the leaf (N, K', H, W) of its first layer's rule.
        """
        network = canonised(model.network, images)
        composite = self.composite(model)
        leaf = composite.first.leaf(images).requires_grad_()
        for name, before in network.meta["first"].items():
            # What the image passes on its way, a leaf that is none passes too.
            seen = None if leaf is images else _seen(leaf, before, images)
            layer = network.get_submodule(name)
            layer.register_forward_hook(_altered(composite.first, seen))
        for name in network.meta["others"]:
            layer = network.get_submodule(name)
            is_linear = isinstance(layer, torch.nn.Linear)
            rule = composite.linear if is_linear else composite.convolutions
            layer.register_forward_hook(_altered(rule))
        return network, leaf

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return the relevance of pixels, summed over the input's channels: (N, C, H, W)."""
        parts = images.split(IMAGES_AT_ONCE)
        return torch.cat([self._relevance(model, part, classes) for part in parts])

    def expected_sum(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
        """Return the seeds (N, C). A map lacks what biases and epsilon absorb."""
        with torch.no_grad():
            logits = model(images)[:, classes]
        return logits.sigmoid() if self.seed_with == "probability" else logits

    def _relevance(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
        images = images.detach().contiguous(memory_format=torch.channels_last)
        with torch.enable_grad():
            network, leaf = self.prepared(model, images)
            logits = network(images)
            outputs = logits.unbind(1)
        seed = torch.ones_like(logits)  # G = R / z: one where the relevance is the logit itself.
        if self.seed_with == "probability":
            value = logits.detach()
            seed = value.sigmoid() / (value + STABILISER * _sign(value))
        maps = []
        for index in classes.tolist():
            (gradient,) = torch.autograd.grad(
                outputs[index], leaf, seed[:, index], retain_graph=True
            )
            maps.append((gradient * leaf.detach()).sum(1))
        return torch.stack(maps, 1)


def _seen(leaf: Tensor, before: nn.Module | None, images: Tensor) -> Tensor:
    """Return what a first layer sees of a leaf, after what the image passes before that layer.

    That is linear but for a constant, which has no relevance. A leaf of one channel stands for all
    of a pixel's, and stays one.
    """
    if before is None:
        return leaf
    channels = images.shape[1]
    if leaf.shape[1] == 1:
        wide = leaf.expand(-1, channels, -1, -1)
        return (before(wide) - before(torch.zeros_like(wide)))[:, :1]
    parts = leaf.split(channels, 1)
    return torch.cat([before(part) - before(torch.zeros_like(part)) for part in parts], 1)


def _altered(rule: Rule, leaf: Tensor | None = None) -> Callable[..., Tensor]:
    """Return a hook that gives a layer the rule's gradient, for its inputs or for a leaf
    instead.
    """

    def hook(layer: Any, inputs: tuple[Tensor], z: Tensor) -> Tensor:
        altered = rule.altered(layer, inputs[0] if leaf is None else leaf, z)
        return z.detach() + (altered - altered.detach())

    return hook


def _sign(x: Tensor) -> Tensor:
    """Return the sign, with that of zero positive."""
    return torch.where(x < 0, -1.0, 1.0)
