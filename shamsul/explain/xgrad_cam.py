"""XGrad-CAM: gradients averaged where the activations are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from shamsul import lazy
from shamsul.explain.cam import GradientCam

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy.load("torch")


class XGradCam(GradientCam):
    """XGrad-CAM (Fu et al., BMVC 2020), Eq. 8: ``map = ReLU(sum_k w_k A_k)``.

    ``w_k = sum_ij g_kij A_kij / sum_ij A_kij``, the mean of the gradients weighted by the
    activations, so that ``sum_ij w_k A_kij = sum_ij g_kij A_kij`` for each channel: the map before
    the ReLU sums to the output where the layers behind are linear without biases. A channel whose
    activations sum to zero has the weight zero. Maps (N, C, h, w), not negative (arXiv 2008.02312).
    """

    method: ClassVar[str] = "xgrad_cam"
    title: ClassVar[str] = "XGrad-CAM"
    citation: ClassVar[str] = "Fu et al., BMVC 2020"

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """Return ``sum_k w_k A_k``, (N, h, w)."""
        total = activations.sum((2, 3), keepdim=True)
        shares = torch.where(total == 0, 0.0, activations / torch.where(total == 0, 1.0, total))
        weights = (gradients * shares).sum((2, 3), keepdim=True)
        return (weights * activations).sum(1)
