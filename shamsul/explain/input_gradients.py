"""Gradients of logits with respect to pixels, and the baselines that pixels are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.model.batching import in_parts
from shamsul.size import at_a_time

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier

    Network = Callable[[Tensor], Tensor]
else:
    torch = lazy.load("torch")

IMAGES_AT_ONCE = 8
"""Number of images of 224 x 224 whose activations are kept at a time; fewer where they are
larger."""
BLUR = 0.1
"""Standard deviation of the blur of `baseline: blur`, as a fraction of height and width."""

Baseline = Literal["black", "zero", "blur"]


def class_gradients(network: Network, images: Tensor, classes: Tensor) -> Tensor:
    """Return the gradients ``d f_c / d x`` of the asked classes' logits, from one forward pass.

    Parameters
    ----------
    network : (N, 3, H, W) -> logits (N, K), in evaluation mode: images do not mix.
    images : (N, 3, H, W).
    classes : (C,) int64, indices of logits.

    Returns
    -------
    (N, C, 3, H, W). Parameters receive no gradients.
    """

    def part(rows: NDArray[np.intp], step: int) -> Tensor:
        return _class_gradients(network, images[rows[0] : rows[-1] + 1], classes)

    return torch.cat(list(in_parts(part, len(images), at_once(images))))


def _class_gradients(network: Network, images: Tensor, classes: Tensor) -> Tensor:
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        # An image's logits depend on no other image, so that the gradient of the sum has each
        # image's own.
        sums = network(images).sum(0).unbind()
    gradients = [
        torch.autograd.grad(sums[index], images, retain_graph=True)[0] for index in classes.tolist()
    ]
    # One memory layout for any number of classes: it decides how sums over channels are rounded.
    return torch.stack(gradients, 1).contiguous()


def strength(gradients: Tensor) -> Tensor:
    """Return the size of a gradient without its sign: (N, C, 3, H, W) -> (N, C, H, W), not
    negative.

    The largest absolute value of the three channels (Simonyan et al., 2014, section 3.1).
    """
    return gradients.abs().amax(2)


def baseline_images(model: Classifier, images: Tensor, kind: Baseline) -> Tensor:
    """Make the baseline images, which show no finding: (N, 3, H, W).

    `black` is a black radiograph. `zero` is model input zero, ImageNet's mean grey. `blur` is the
    blurred image, without small structures (Fong and Vedaldi, ICCV 2017).
    """
    if kind == "zero":
        return torch.zeros_like(images)
    if kind == "black":
        black = model.normalise(torch.zeros(1, 1, 1, dtype=torch.uint8))
        return black.expand_as(images).contiguous()
    from scipy.ndimage import gaussian_filter

    down, across = (BLUR * side for side in images.shape[-2:])
    blurred = gaussian_filter(images.detach().cpu().numpy(), (0, 0, down, across))
    return torch.from_numpy(blurred).to(images)


def rise(model: Classifier, images: Tensor, references: Tensor, classes: Tensor) -> Tensor:
    """Return ``f_c(x) - f_c(r)``, (N, C), for images and references (N, 3, H, W)."""
    with torch.no_grad():
        return (model(images) - model(references))[:, classes]


def at_once(images: Tensor) -> int:
    """Return the number of images (N, 3, H, W) whose activations are kept at a time."""
    return at_a_time(IMAGES_AT_ONCE, (images.shape[-2], images.shape[-1]))
