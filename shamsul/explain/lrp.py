"""Layer-wise relevance propagation (Bach et al., PLOS ONE 2015).

Written as ``R = x G``, every rule (see `rules.py`) is a gradient whose linear layer has been
altered, and everything between linear layers (ReLU, pooling, addition, concatenation) hands on
``G`` as it hands on a gradient. For example epsilon:

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

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from shamsul import lazy
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.lrp_rules import (
    STABILISER,
    AlphaBeta,
    Box,
    Epsilon,
    Flat,
    Gamma,
    Rule,
    ZPlus,
)
from shamsul.model.canonise import canonised, unsuited

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
    first : for the first convolution, which sees the image.
    convolutions : for the others.
    linear : for fully connected layers.
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

    @classmethod
    def unsuited(cls, backbone: str) -> str | None:
        """Return why the backbone cannot be canonised and so has layers without rules, or None
        where it can.
        """
        return unsuited(backbone)

    def composite(self, model: Classifier) -> Composite:
        """Return the rule of each kind of layer."""
        raise NotImplementedError

    def prepared(self, model: Classifier, images: Tensor) -> tuple[nn.Module, Tensor]:
        """Return a network of the same outputs, and a leaf tensor such that ``leaf * G`` is
        relevance.

        Parameters
        ----------
        images : (N, 3, H, W), the only ones that the network is for.

        Returns
        -------
        The network, and the leaf (N, K, H, W) of its first layer's rule.
        """
        network = canonised(model.network)
        composite = self.composite(model)
        linear = (torch.nn.Conv2d, torch.nn.Linear)
        first, *others = (module for module in network.modules() if isinstance(module, linear))
        leaf = composite.first.leaf(images).requires_grad_()
        first.register_forward_hook(_altered(composite.first, leaf))
        for layer in others:
            is_linear = isinstance(layer, torch.nn.Linear)
            rule = composite.linear if is_linear else composite.convolutions
            layer.register_forward_hook(_altered(rule))
        return network, leaf

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return the relevance of pixels, summed over the three input channels: (N, C, H, W)."""
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


class LrpZ(LayerwiseRelevance):
    """LRP-0, also called LRP-z: ``R_i = sum_j x_i w_ij R_j / z_j``.

    Inputs share relevance as they contribute to ``z`` (Bach et al., PLOS ONE 2015, Eq. 56). Maps
    (N, C, H, W), signed.

    On networks of ReLU, pooling and linear layers this is input times gradient (Shrikumar et al.,
    2016, arXiv 1605.01713), whatever becomes of batch norms, and is computed as such. Noisy in
    deep networks, as the gradient is.
    """

    method: ClassVar[str] = "lrp_z"
    title: ClassVar[str] = "LRP-z"
    citation: ClassVar[str] = "Bach et al., PLOS ONE 2015, Eq. 56"

    def prepared(self, model: Classifier, images: Tensor) -> tuple[nn.Module, Tensor]:
        """Return the network itself, or its canonised form where gates must be constants, and the
        images.
        """
        gated = any(isinstance(module, torch.nn.SiLU) for module in model.network.modules())
        return canonised(model.network) if gated else model.network, images.requires_grad_()


class LrpEpsilon(LayerwiseRelevance):
    """LRP-epsilon: as LRP-z, with outputs near zero handing on less."""

    method: ClassVar[str] = "lrp_epsilon"
    title: ClassVar[str] = "LRP-ε"
    citation: ClassVar[str] = "Bach et al., PLOS ONE 2015, Eq. 58"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "shamsul-2023": {"seed_with": "probability", "epsilon": 1.0}
    }

    epsilon: Annotated[float, Field(gt=0)] = 1.0
    """Stabiliser added to the size of every output that relevance is divided by; 1 in the study."""

    def composite(self, model: Classifier) -> Composite:
        """Return epsilon at every layer."""
        return Composite.everywhere(Epsilon(self.epsilon))


class LrpGamma(LayerwiseRelevance):
    """LRP-gamma, where contributions of an output's own sign count ``1 + gamma`` times.

    ``R_i = sum_j x_i (w_ij + gamma w_ij+) / sum_i x_i (w_ij + gamma w_ij+) R_j`` for ``x >= 0``
    (Montavon et al., Explainable AI 2019, Sect. 10.2); in general as Andéol et al. (2021, arXiv
    2106.04427) have it, see `lrp_rules.Gamma`. Maps (N, C, H, W), signed.
    """

    method: ClassVar[str] = "lrp_gamma"
    title: ClassVar[str] = "LRP-γ"
    citation: ClassVar[str] = (
        "Montavon et al., Explainable AI 2019, Sect. 10.2; Andéol et al., 2021"
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    gamma: Annotated[float, Field(ge=0)] = 0.25
    """Additional weight of contributions of the output's own sign; 0 is LRP-z."""

    def composite(self, model: Classifier) -> Composite:
        """Return gamma at every layer."""
        return Composite.everywhere(Gamma(self.gamma))


class LrpAlpha2Beta1(LayerwiseRelevance):
    """LRP-alpha-beta with alpha 2 and beta 1 (Bach et al., PLOS ONE 2015, Eq. 60).

    ``R_i = sum_j (2 (x_i w_ij)+ / z_j+ - (x_i w_ij)- / z_j-) R_j``: positive contributions count
    twice, negative ones once, against them. Maps (N, C, H, W), signed.

    Both kinds are normalised by themselves, positive (negative) part of the bias included;
    iNNvestigate puts the whole bias in both. Mind that the rule hands on the sign of what it
    receives: where the logit is negative, evidence for the class comes out negative, and the
    smaller the probability the stronger. The studies seeded with the probability
    (``seed_with: probability``), which keeps evidence for the class positive.
    """

    method: ClassVar[str] = "lrp_alpha2beta1"
    title: ClassVar[str] = "LRP-α2β1"
    citation: ClassVar[str] = "Bach et al., PLOS ONE 2015, Eq. 60"

    def composite(self, model: Classifier) -> Composite:
        """Return alpha 2, beta 1 at every layer."""
        return Composite.everywhere(AlphaBeta(2, 1))


class DeepTaylor(LayerwiseRelevance):
    """Deep Taylor decomposition by the z+ rule (alpha 1, beta 0) at every layer.

    ``R_i = sum_j (x_i w_ij)+ / z_j+ R_j`` (Montavon et al., Pattern Recognition 2017). Maps
    (N, C, H, W).

    Only positive contributions receive relevance, in the first layer also those of negative pixels
    through negative weights: the pixels' bounds (the paper's z-B rule) are not used. The study's
    iNNvestigate 1.0 did the same. Mind that a map has the sign of its seed: where the logit is
    negative, the whole map is. The studies seeded with the probability
    (``seed_with: probability``); maps are then negative only where an addition or a pooling has
    inputs of both signs.
    """

    method: ClassVar[str] = "deep_taylor"
    title: ClassVar[str] = "Deep Taylor"
    citation: ClassVar[str] = "Montavon et al., Pattern Recognition 2017"

    def composite(self, model: Classifier) -> Composite:
        """Return the z+ rule at every layer."""
        return Composite.everywhere(ZPlus())


class LrpEpsilonPlusFlat(LayerwiseRelevance):
    """Composite of epsilon in the classifier, z+ in the convolutions and flat in the first layer.

    Lapuschkin et al., Nat. Commun. 2019; Kohlbrenner et al., IJCNN 2020. The rules' formulas are in
    `lrp_rules`. Maps (N, C, H, W), signed.

    The composite that deep convolutional networks are commonly explained with. Evidence against
    the class enters at the classifier, where the sign of relevance is decided.
    """

    method: ClassVar[str] = "lrp_epsilon_plus_flat"
    title: ClassVar[str] = "LRP-ε+♭"
    citation: ClassVar[str] = "Lapuschkin et al., Nat. Commun. 2019; Kohlbrenner et al., IJCNN 2020"
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    epsilon: Annotated[float, Field(gt=0)] = 1e-6
    """Stabiliser added to the size of linear layers' outputs that relevance is divided by."""

    def composite(self, model: Classifier) -> Composite:
        """Return flat, z+ and epsilon, from the first layer to the classifier."""
        return Composite(first=Flat(), convolutions=ZPlus(), linear=Epsilon(self.epsilon))


class LrpEpsilonGammaBox(LayerwiseRelevance):
    """Composite of epsilon in the classifier, gamma in the convolutions and z-B in the first layer.

    Montavon et al., Explainable AI 2019; Montavon et al., Pattern Recognition 2017. The rules'
    formulas are in `lrp_rules`. Maps (N, C, H, W), signed.

    The box's bounds are black and white as the model sees them, channel by channel.
    """

    method: ClassVar[str] = "lrp_epsilon_gamma_box"
    title: ClassVar[str] = "LRP-εγ□"
    citation: ClassVar[str] = (
        "Montavon et al., Explainable AI 2019; Montavon et al., Pattern Recognition 2017"
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    epsilon: Annotated[float, Field(gt=0)] = 1e-6
    """Stabiliser added to the size of linear layers' outputs that relevance is divided by."""
    gamma: Annotated[float, Field(ge=0)] = 0.25
    """Additional weight of contributions of the output's own sign, in the convolutions."""

    def composite(self, model: Classifier) -> Composite:
        """Return z-B, gamma and epsilon, from the first layer to the classifier."""
        black, white = (
            model.normalise(torch.full((1, 1, 1), grey, dtype=torch.uint8)) for grey in (0, 255)
        )
        return Composite(
            first=Box(black, white),
            convolutions=Gamma(self.gamma),
            linear=Epsilon(self.epsilon),
        )


def _altered(rule: Rule, leaf: Tensor | None = None) -> Callable[..., Tensor]:
    """Return a hook that gives a layer the rule's gradient, for its inputs or for a leaf
    instead.
    """

    def hook(layer: Any, inputs: tuple[Tensor], z: Tensor) -> Tensor:
        if not torch.is_grad_enabled():  # Inside a gate that is a constant.
            return z
        altered = rule.altered(layer, inputs[0] if leaf is None else leaf, z)
        return z.detach() + (altered - altered.detach())

    return hook


def _sign(x: Tensor) -> Tensor:
    """Return the sign, with that of zero positive."""
    return torch.where(x < 0, -1.0, 1.0)
