"""Class activation maps: which of the last feature maps' cells speak for a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import lazy_loader as lazy

from shamsul.explain.base import Cost, Explainer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class GradCam(Explainer):
    """Grad-CAM (Selvaraju et al., ICCV 2017), Eqs. 1 and 2.

    ``map_c = ReLU(sum_k w_ck A_k)`` with ``w_ck`` the mean over cells of the gradient of class c's
    logit with respect to the feature map ``A_k``. The backbone runs forward once for all classes;
    gradients go through the head only.
    """

    method: ClassVar[str] = "grad_cam"
    title: ClassVar[str] = "Grad-CAM"
    citation: ClassVar[str] = "Selvaraju et al., ICCV 2017"
    cost: ClassVar[Cost] = "forward"
    signed: ClassVar[bool] = False

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Maps of the resolution of the last feature maps: (N, C, h, w), not negative."""
        with torch.no_grad():
            activations, head = model.split(images)
        with torch.enable_grad():
            activations = activations.detach().requires_grad_()
            logits = head(activations.clone())  # A head may start with an in-place ReLU.
            # Images do not mix in the head, so one backward pass of a sum serves them all.
            sums = logits.sum(0).unbind()
        maps = []
        for index in classes.tolist():
            (gradient,) = torch.autograd.grad(sums[index], activations, retain_graph=True)
            weights = gradient.mean((2, 3), keepdim=True)
            maps.append((weights * activations.detach()).sum(1).relu())
        return torch.stack(maps, 1)
