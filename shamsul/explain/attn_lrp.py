"""AttnLRP: layer-wise relevance propagation through attention.

The rules are written from the paper, in `shamsul.model.inside.attention_rules`. The licence text of
the authors' package lxt says that LRP is patented, and free for personal and scientific purposes
alone. lxt is a reference of the tests and no part of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from shamsul import lazy
from shamsul.explain.base import Cost, Explainer
from shamsul.model.structure import Need

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
    from shamsul.model.inside import attention_rules
else:
    torch = lazy.load("torch")
    attention_rules = lazy.load("shamsul.model.inside.attention_rules")

IMAGES_AT_ONCE = 4
"""Number of images whose activations are kept at a time, for all classes' backward passes."""


class AttnLrp(Explainer):
    """AttnLRP, relevance of pixels for a class's logit through every layer of a transformer.

    Achtibat et al., ICML 2024, arXiv 2402.05602. Maps (N, C, H, W), signed: relevance summed over
    the channels of a pixel.

    Attention is no constant here: queries and keys, which decide where a token looks, get relevance
    too. All classes share the forward pass. It also explains networks that attend within windows
    (Swin). Biases, and the constant part of each softmax, absorb relevance, so that a map does not
    sum to its logit.

    The default gammas are of the grid that the authors' example for ViT-B/16 tries (0.1, 0.25, 100
    in the convolution; 0, 0.01, 0.05, 0.1, 1 in linear layers). They were not tuned on radiographs.
    """

    method: ClassVar[str] = "attn_lrp"
    title: ClassVar[str] = "AttnLRP"
    citation: ClassVar[str] = "Achtibat et al., ICML 2024"
    cost: ClassVar[Cost] = "backward"
    signed: ClassVar[bool] = True

    gamma_convolution: Annotated[float, Field(ge=0)] = 0.25
    """Additional weight of contributions of the output's own sign, in convolutions: the layer that
    makes tokens of patches. Zero is LRP-0."""
    gamma_linear: Annotated[float, Field(ge=0)] = 0.05
    """Additional weight of contributions of the output's own sign, in linear layers, also those of
    queries, keys and values. Zero is LRP-0, which is noisier, and takes half the time."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return that attention is needed, and a rule for every function."""
        return (*super().needs, "attention_rules")

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return the relevance of pixels, summed over the channels: (N, C, H, W).

        Raises
        ------
        InputError
            The network has no attention, or calls a function without a rule.
        """
        gammas = self.gamma_convolution, self.gamma_linear
        parts = images.split(IMAGES_AT_ONCE)
        return torch.cat(
            [attention_rules.relevance(model.network, p, classes, *gammas) for p in parts]
        )
