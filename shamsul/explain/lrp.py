"""Methods of layer-wise relevance propagation, each a choice of rules for the layers.

How relevance is propagated is told in `lrp_propagation.py`, the rules are in `lrp_rules.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from shamsul import lazy
from shamsul.explain.lrp_propagation import Composite, LayerwiseRelevance
from shamsul.explain.lrp_rules import (
    AlphaBeta,
    Box,
    Epsilon,
    Flat,
    Gamma,
    ZPlus,
)
from shamsul.model.inside.canonise import canonised

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class LrpZ(LayerwiseRelevance):
    """LRP-0, also called LRP-z: ``R_i = sum_j x_i w_ij R_j / z_j``.

    Inputs share relevance as they contribute to ``z`` (Bach et al., PLOS ONE 2015, Eq. 56). Maps
    (N, C, H, W), signed.

    On networks of ReLU, pooling and linear layers the map is input times gradient (Shrikumar et
    al., 2016, arXiv 1605.01713), however batch norms are canonised, and is computed as such. It is
    noisy in deep networks, as the gradient is.
    """

    method: ClassVar[str] = "lrp_z"
    title: ClassVar[str] = "LRP-z"
    citation: ClassVar[str] = "Bach et al., PLOS ONE 2015, Eq. 56"

    def prepared(self, model: Classifier, images: Tensor) -> tuple[nn.Module, Tensor]:
        """Return the network itself, or its canonised form where gates must be constants, and the
        images.
        """
        from shamsul.model.inside.layers import Gated, SelfGated

        network = canonised(model.network, images)
        gated = any(isinstance(module, Gated | SelfGated) for module in network.modules())
        return network if gated else model.network, images.requires_grad_()


class LrpEpsilon(LayerwiseRelevance):
    """LRP-epsilon: LRP-z, with less relevance handed on by outputs near zero.

    ``R_i = sum_j x_i w_ij R_j / (z_j + epsilon sign z_j)`` (Bach et al., PLOS ONE 2015, Eq. 58,
    DOI 10.1371/journal.pone.0130140). Maps (N, C, H, W), signed.

    Examples
    --------
    >>> import torch
    >>> from torchvision.models import resnet18
    >>> from shamsul.model.classifier import Classifier
    >>> model = Classifier.of(resnet18(num_classes=3), ("Edema", "Mass", "Nodule"), "resnet18", 64)
    >>> images = model.normalise(torch.full((1, 64, 64), 128, dtype=torch.uint8))
    >>> maps = LrpEpsilon(epsilon=0.1).explain(model, images, torch.tensor([0, 2]), seeds=[0])
    >>> maps.shape  # Images, classes, height and width of the images.
    torch.Size([1, 2, 64, 64])
    """

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

    Positive and negative contributions are normalised separately, each with its part of the bias;
    iNNvestigate puts the whole bias in both. The rule hands on the sign of what it receives: where
    the logit is negative, evidence for the class comes out negative, and the smaller the
    probability the stronger. The studies seeded with the probability (``seed_with: probability``),
    which keeps evidence for the class positive.
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

    Only positive contributions receive relevance. In the first layer these include negative pixels
    through negative weights: the pixels' bounds (the paper's z-B rule) are not used, as in the
    study's iNNvestigate 1.0. A map has the sign of its seed: where the logit is negative, the whole
    map is. The studies seeded with the probability (``seed_with: probability``); maps are then
    negative only where an addition or a pooling has inputs of both signs.
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

    Deep convolutional networks are commonly explained with this composite. Evidence against the
    class enters at the classifier, where the sign of relevance is decided.
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
