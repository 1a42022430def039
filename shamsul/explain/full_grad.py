"""FullGrad: gradients of the input and of every bias of the network."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from shamsul import lazy
from shamsul.explain.base import Cost, Explainer
from shamsul.model.structure import Need

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class FullGrad(Explainer):
    """FullGrad (Srinivas and Fleuret, NeurIPS 2019), Eq. 6.

    ``map = psi(grad_x f * x) + sum over layers and channels of psi(grad_b f * b)``. A network of
    ReLU is linear in its input and all its biases at once, so that the terms without ``psi`` sum to
    the logit (Proposition 4). ``psi`` takes absolute values, scales those of one layer to 0..1, and
    enlarges them to the image, as in the authors' code. Biases are those of convolutions and, in
    evaluation mode, of batch norms; those of linear layers have no place and are left out. Maps
    (N, C, H, W), not negative (arXiv 1905.00780).
    """

    method: ClassVar[str] = "full_grad"
    title: ClassVar[str] = "FullGrad"
    citation: ClassVar[str] = "Srinivas and Fleuret, NeurIPS 2019"
    cost: ClassVar[Cost] = "backward"
    signed: ClassVar[bool] = False

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return that all nonlinearities must be piecewise linear."""
        return (*super().needs, "relu")

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return the processed full gradients, summed: (N, C, H, W), not negative."""
        pieces = full_gradient(model.network, images)
        maps = []
        for index in classes.tolist():
            terms = [term for term in pieces(index) if term.ndim == 4]
            maps.append(torch.stack([processed(term, images.shape[2:]) for term in terms]).sum(0))
        return torch.stack(maps, 1)


def full_gradient(network: nn.Module, images: Tensor) -> Callable[[int], list[Tensor]]:
    """Return a function that gives the full gradient of a logit, from one forward pass.

    Its values are ``grad_x f * x``, (N, K, H, W), and ``grad_b f * b`` for each convolution, linear
    layer and batch norm with a bias, of the shape of the layer's output. All sum to the logit.

    Parameters
    ----------
    network : (N, K, H, W) -> (N, C), in evaluation mode.
    images : (N, K, H, W).
    """
    outputs: list[Tensor] = []
    biases: list[Tensor] = []

    def keep(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        bias = bias_of(layer)
        if bias is None:
            return None
        outputs.append(output)
        # Channels come second, but last behind a linear layer.
        linear = isinstance(layer, torch.nn.Linear)
        biases.append(bias if linear else bias.view(-1, *[1] * (output.ndim - 2)))
        return output.clone()  # What follows may work in place.

    with torch.enable_grad(), contextlib.ExitStack() as hooks:
        for layer in network.modules():
            hooks.enter_context(layer.register_forward_hook(keep))
        leaf = images.detach().requires_grad_()
        sums = network(leaf).sum(0).unbind()

    def of(index: int) -> list[Tensor]:
        found = torch.autograd.grad(
            sums[index], [leaf, *outputs], retain_graph=True, materialize_grads=True
        )
        values = [images, *biases]
        return [gradient * value for gradient, value in zip(found, values, strict=True)]

    return of


def bias_of(layer: nn.Module) -> Tensor | None:
    """Return what a layer adds, a value for each channel: None where it adds nothing."""
    if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
        return None if layer.bias is None else layer.bias.detach()
    if not isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
        return None
    if layer.running_mean is None or layer.running_var is None:
        return None
    scale = (layer.running_var + layer.eps).rsqrt()
    added = -layer.running_mean * scale
    if layer.affine:
        added = layer.bias.detach() + layer.weight.detach() * added
    return added


def processed(term: Tensor, size: Any) -> Tensor:
    """Return ``psi`` of one layer's term, summed over channels: (N, K, h, w) -> (N, H, W)."""
    strength = term.abs()
    strength = strength - strength.amin((1, 2, 3), keepdim=True)
    highest = strength.amax((1, 2, 3), keepdim=True)
    scaled = (strength / torch.where(highest > 0, highest, 1.0)).sum(1, keepdim=True)
    return torch.nn.functional.interpolate(scaled, tuple(size), mode="bilinear")[:, 0]
