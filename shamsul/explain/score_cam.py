"""Score-CAM: feature maps weighted by the network's outputs for the image seen through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from shamsul import lazy
from shamsul.explain.base import Cost
from shamsul.explain.cam import Cam
from shamsul.explain.perturbation import quick

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class ScoreCam(Cam):
    """Score-CAM (Wang et al., CVPR Workshops 2020), Algorithm 1.

    ``map = ReLU(sum_k w_k A_k)`` with ``w = softmax_k(f_c(X * M_k))``. The weight of channel k is
    the network's output for class c on the image multiplied by the mask ``M_k``: the channel,
    resized to the image and scaled to 0..1. ``f`` is the logit, as in pytorch-grad-cam; the
    authors' code takes the probability, without a softmax over channels. The paper subtracts
    ``f_c(X_b)``, the score of a baseline image, before the softmax; that cancels, and is left out.
    Hidden pixels have the model input zero, ImageNet's mean grey. Maps (N, C, h, w), not negative
    (arXiv 1910.01279).

    All classes share K forward passes for each image, 1024 on densenet121.
    """

    method: ClassVar[str] = "score_cam"
    title: ClassVar[str] = "Score-CAM"
    citation: ClassVar[str] = "Wang et al., CVPR Workshops 2020"
    cost: ClassVar[Cost] = "sampling"

    def layer_maps(self, model: Classifier, images: Tensor, classes: Tensor) -> list[Tensor]:
        """Make maps (N, C, h, w) of each layer, from its own masks."""
        maps = []
        for layer in self.activations(model, images):
            pairs = zip(images, layer, strict=True)
            maps.append(
                torch.stack([self.combine(a, scores(model, i, a)[classes]) for i, a in pairs])
            )
        return maps

    def combine(self, activations: Tensor, scores: Tensor) -> Tensor:
        """Return ``sum_k w_k A_k`` of one image's feature maps (K, h, w) and scores (C, K):
        (C, h, w).
        """
        weights = scores.softmax(1)[..., None, None]
        return torch.stack([(w * activations).sum(0) for w in weights])


def scores(model: Classifier, image: Tensor, activations: Tensor) -> Tensor:
    """Compute the logits of the image under each channel's mask.

    Parameters
    ----------
    model : the classifier, of C classes.
    image : (3, H, W), normalised.
    activations : (K, h, w).

    Returns
    -------
    (C, K). Masked images exist a batch at a time.
    """
    model = quick(model)
    parts = activations.split(model.tile)
    logits = [model.predict(image * masks(part, image.shape[-2:])) for part in parts]
    return torch.cat(logits).T.contiguous()


def masks(activations: Tensor, size: Sequence[int]) -> Tensor:
    """Resize channels (K, h, w) bilinearly and scale each to 0..1: (K, 1, H, W), by `size`.

    Corners of the image are corners of cells, as in the authors' code; pytorch-grad-cam has them
    in the centres of cells. A channel of one value hides everything.
    """
    # Subtract the minimum first: rounding must not make a pattern of a constant channel.
    above = activations - activations.amin((1, 2), keepdim=True)
    resized = torch.nn.functional.interpolate(above[:, None], tuple(size), mode="bilinear")
    low, high = resized.amin((2, 3), keepdim=True), resized.amax((2, 3), keepdim=True)
    return (resized - low) / torch.where(high > low, high - low, 1.0)
