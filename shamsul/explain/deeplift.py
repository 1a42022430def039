"""DeepLIFT: contributions of each pixel's difference from a baseline to the logit's difference.

A multiplier ``m`` is a gradient with finite differences in place of derivatives. ``Delta y = sum_i
m_i Delta x_i`` holds at every layer, and multipliers follow the chain rule as gradients do. Linear
layers, batch norms in evaluation mode among them, have their gradient for a multiplier; only
activation functions and max pooling need to be given another. So this is a forward pass of the
baseline, one of the image whose nonlinear layers keep their values and get multipliers for
gradients, and one ordinary backward pass for each class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.input_gradients import (
    Baseline,
    baseline_images,
    class_gradients,
    rise,
)
from shamsul.model.inside.canonise import modular
from shamsul.model.structure import Need

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

SMALLEST_DIFFERENCE = 1e-10
"""Smallest difference of inputs that is divided by. Inputs that differ by less have the gradient
for a multiplier, as in captum."""


class DeepLift(Explainer):
    """DeepLIFT by the Rescale rule: ``m = Delta y / Delta x`` at every nonlinearity.

    Shrikumar et al., ICML 2017, arXiv 1704.02685. Maps (N, C, H, W), signed.

    ``map_c = sum over channels of (x - r) m_c``, which sums to ``f_c(x) - f_c(r)`` on networks of
    linear layers, activation functions such as ReLU, and pooling; rounding is all the conservation
    error there is. Logits are explained, as the paper's section 3.6 advises. Batch norms stay:
    merged into a convolution or not, a constant has no difference.
    """

    method: ClassVar[str] = "deep_lift"
    title: ClassVar[str] = "DeepLIFT"
    citation: ClassVar[str] = "Shrikumar et al., ICML 2017"
    cost: ClassVar[Cost] = "backward"
    signed: ClassVar[bool] = True

    baseline: Baseline = "black"
    """Baseline image: a black radiograph, model input zero (mean grey), or the blurred
    radiograph."""

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return that the Rescale rule must have a share for every operation."""
        return (*super().needs, "rescale")

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return contributions of pixels to the logit's difference from the baseline's:
        (N, C, H, W).
        """
        from shamsul.model.inside.operations import ELEMENTWISE

        # Here, because it imports torch.
        from shamsul.model.inside.rectifiers import unsuited_to_rescale

        if reason := unsuited_to_rescale(model.network, images):
            raise InputError(f"{self.method}: {reason}")
        network = modular(model.network, images)
        at_baseline: dict[nn.Module, Tensor] = {}

        def hook(layer: nn.Module, inputs: tuple[Tensor], z: Tensor) -> Tensor:
            if not torch.is_grad_enabled():
                at_baseline[layer] = inputs[0]
                return z
            x, r = inputs[0], at_baseline.pop(layer)
            rule = _max_pool if isinstance(layer, torch.nn.MaxPool2d) else _elementwise
            altered = rule(layer, x, r)
            return z.detach() + (altered - altered.detach())

        for layer in network.modules():
            if isinstance(layer, (*ELEMENTWISE, torch.nn.MaxPool2d)):
                layer.register_forward_hook(hook)

        def rescaled(images: Tensor) -> Tensor:
            with torch.no_grad():
                network(baseline_images(model, images, self.baseline))
            return network(images)

        difference = images - baseline_images(model, images, self.baseline)
        return (difference[:, None] * class_gradients(rescaled, images, classes)).sum(2)

    def expected_sum(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
        """Return ``f_c(x) - f_c(r)``, (N, C)."""
        return rise(model, images, baseline_images(model, images, self.baseline), classes)


def _elementwise(layer: nn.Module, x: Tensor, r: Tensor) -> Tensor:
    """Return a tensor of any value whose gradient with respect to `x` is ``Delta y / Delta x``."""
    with torch.no_grad():
        difference = x - r
        multiplier = (layer.forward(x) - layer.forward(r)) / difference
        small = difference.abs() < SMALLEST_DIFFERENCE
    if isinstance(layer, torch.nn.ReLU):
        slope = (x.detach() > 0).to(x.dtype)
    else:
        point = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(layer.forward(point).sum(), point)
    return x * torch.where(small, slope, multiplier)


def _max_pool(layer: nn.Module, x: Tensor, r: Tensor) -> Tensor:
    """Return a tensor as `_elementwise` does, for a window ``y = max_i x_i``.

    A rise of the maximum is owed to the largest input of the image, a fall to the largest of the
    baseline, which has shrunk: that input's multiplier is ``Delta y / Delta x_i``, between 0 and 1.
    So captum has it too, except that an input that is the source of several overlapping windows
    (the 3 x 3 pooling of ResNet and DenseNet) here gets what it is owed by all of them, and the
    sum rule holds.
    """
    assert isinstance(layer, torch.nn.MaxPool2d)

    def at(tensor: Tensor, places: Tensor) -> Tensor:
        return tensor.flatten(2).gather(2, places.flatten(2)).view(places.shape)

    with torch.no_grad():
        y, largest = _pooled(layer, x)
        y_r, largest_r = _pooled(layer, r)
        source = torch.where(y > y_r, largest, largest_r)
        difference = x - r
        moved = at(difference, source)
        small = moved.abs() < SMALLEST_DIFFERENCE
        multiplier = torch.where(small, 0.0, (y - y_r) / moved)
        still = at(difference, largest).abs() < SMALLEST_DIFFERENCE  # The gradient's share.
    return at(x, source) * multiplier + at(x, largest) * still


def _pooled(layer: nn.MaxPool2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maxima and their positions, each (N, K, h, w); positions number the pixels of a
    plane.
    """
    return torch.nn.functional.max_pool2d(
        x,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.ceil_mode,
        return_indices=True,
    )
