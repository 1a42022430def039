"""The gradient family: methods that follow a class's logit under small changes of the pixels.

A gradient is local and a network is not linear, so each method but the first two averages gradients
over images around the radiograph or on the way to it from references that show nothing. All are
weighted sums of gradients ``d f_c / d x``, and take them from `class_gradients`: one forward pass
for all classes. The sign of a gradient says whether a pixel should be brighter or darker, not
whether it speaks for or against the class; a gradient multiplied by a difference of pixels does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from shamsul import lazy
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.input_gradients import (
    Baseline,
    at_once,
    baseline_images,
    class_gradients,
    rise,
    strength,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class Gradient(Explainer):
    """The absolute gradient: ``map_c = max over channels of |d f_c / d x|``.

    Simonyan et al., ICLR workshop 2014, arXiv 1312.6034. Maps (N, C, H, W), not negative.
    """

    method: ClassVar[str] = "gradient"
    title: ClassVar[str] = "Gradient"
    citation: ClassVar[str] = "Simonyan et al., ICLR workshop 2014"
    cost: ClassVar[Cost] = "backward"
    signed: ClassVar[bool] = False

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return the strength of gradients: (N, C, H, W), not negative."""
        return strength(class_gradients(model, images, classes))


class InputXGradient(Explainer):
    """Input times gradient: ``map_c = sum over channels of x d f_c / d x``.

    Shrikumar et al., 2016, arXiv 1605.01713. Maps (N, C, H, W), signed.

    ``x`` is the model's input, zero at ImageNet's mean grey. On networks of ReLU, pooling and
    linear layers the map equals that of `lrp_z` (Kindermans et al., 2016, arXiv 1611.07270): where
    both are listed, they are one method and not two that agree.
    """

    method: ClassVar[str] = "input_x_gradient"
    title: ClassVar[str] = "Input × gradient"
    citation: ClassVar[str] = "Shrikumar et al., 2016, arXiv 1605.01713"
    cost: ClassVar[Cost] = "backward"
    signed: ClassVar[bool] = True

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return contributions of pixels to a linear model of the logit: (N, C, H, W)."""
        return (images[:, None] * class_gradients(model, images, classes)).sum(2)


class GradientSum(Explainer):
    """The base of methods that sum gradients at many points; subclasses write `points`."""

    cost: ClassVar[Cost] = "sampling"

    def points(
        self, model: Classifier, image: Tensor, seed: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the points (3, H, W) where gradients are taken, and their weights, of the same
        shape.
        """
        raise NotImplementedError

    def gradient_sum(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return ``sum_k w_k d f_c / d x (x_k)`` over points ``x_k`` with weights ``w_k``.

        Shape (N, C, 3, H, W). No more points exist at a time than are differentiated at once.
        """
        sums = images.new_zeros(len(images), len(classes), *images.shape[1:])
        for total, image, seed in zip(sums, images, seeds, strict=True):
            points = self.points(model, image, seed)
            while part := list(itertools.islice(points, at_once(images))):
                gradients = class_gradients(model, torch.stack([x for x, _ in part]), classes)
                for gradient, (_, weight) in zip(gradients, part, strict=True):
                    total += weight * gradient
        return sums


class SmoothGrad(GradientSum):
    """SmoothGrad, the strength of the mean gradient of noisy copies.

    ``map_c = max over channels of |mean_k d f_c / d x (x + e_k)|`` (Smilkov et al., 2017, arXiv
    1706.03825). Maps (N, C, H, W), not negative.

    ``e_k ~ N(0, (noise (max x - min x))^2)``, independent between pixels and channels, the same
    for all classes of an image.
    """

    method: ClassVar[str] = "smooth_grad"
    title: ClassVar[str] = "SmoothGrad"
    citation: ClassVar[str] = "Smilkov et al., 2017, arXiv 1706.03825"
    signed: ClassVar[bool] = False

    samples: PositiveInt = 25
    """Number of noisy copies per radiograph."""
    noise: PositiveFloat = 0.15
    """Standard deviation of the noise, as a fraction of the image's range of values."""

    def points(
        self, model: Classifier, image: Tensor, seed: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield noisy copies (3, H, W), each of weight 1 / samples."""
        generator = torch.Generator().manual_seed(seed)
        deviation = self.noise * (image.max() - image.min())
        weight = torch.full_like(image, 1 / self.samples)
        for _ in range(self.samples):
            noise = torch.randn(image.shape, generator=generator).to(image)
            yield image + deviation * noise, weight

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return the strength of smoothed gradients: (N, C, H, W), not negative."""
        return strength(self.gradient_sum(model, images, classes, seeds))


class IntegratedGradients(GradientSum):
    """Integrated gradients (Sundararajan et al., ICML 2017, arXiv 1703.01365).

    ``map_c = sum over channels of (x - r) int_0^1 d f_c / d x (r + a (x - r)) da``

    The integral is a Gauss-Legendre sum. With enough steps a map sums to ``f_c(x) - f_c(r)``
    (completeness); what is missing is the conservation error. Pixels that equal the baseline `r`
    have no relevance, whatever the model sees in them. Maps (N, C, H, W), signed.

    Examples
    --------
    >>> import torch
    >>> from torchvision.models import resnet18
    >>> from shamsul.model.classifier import Classifier
    >>> model = Classifier.of(resnet18(num_classes=3), ("Edema", "Mass", "Nodule"), "resnet18", 64)
    >>> images = model.normalise(torch.full((1, 64, 64), 128, dtype=torch.uint8))
    >>> method = IntegratedGradients(steps=4)
    >>> maps = method.explain(model, images, torch.tensor([0, 2]), seeds=[0])
    >>> maps.shape  # Images, classes, height and width of the images.
    torch.Size([1, 2, 64, 64])
    >>> method.expected_sum(model, images, torch.tensor([0, 2])).shape
    torch.Size([1, 2])
    """

    method: ClassVar[str] = "integrated_gradients"
    title: ClassVar[str] = "Integrated gradients"
    citation: ClassVar[str] = "Sundararajan et al., ICML 2017"
    signed: ClassVar[bool] = True

    baseline: Baseline = "black"
    """Baseline image: a black radiograph, model input zero (mean grey), or the blurred
    radiograph."""
    steps: PositiveInt = 32
    """Number of points of the Gauss-Legendre sum."""

    def points(
        self, model: Classifier, image: Tensor, seed: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield points on the straight line from the baseline to the image."""
        reference = baseline_images(model, image[None], self.baseline)[0]
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)  # On [-1, 1].
        difference = image - reference
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            yield reference + (1 + node) / 2 * difference, weight / 2 * difference

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return contributions of pixels to the logit's difference from the baseline's:
        (N, C, H, W).
        """
        return self.gradient_sum(model, images, classes, seeds).sum(2)

    def expected_sum(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
        """Return ``f_c(x) - f_c(r)``, (N, C)."""
        return rise(model, images, baseline_images(model, images, self.baseline), classes)
