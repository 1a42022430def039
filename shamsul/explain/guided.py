"""Guided backpropagation: gradients that never pass a ReLU against the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.input_gradients import class_gradients, strength
from shamsul.model.inside.canonise import modular
from shamsul.model.structure import Need

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class GuidedBackprop(Explainer):
    """Guided backpropagation: gradients that are positive at every ReLU they pass.

    ``G_i = 1[x_i > 0] max(G_j, 0)`` at each ReLU ``x_j = max(x_i, 0)`` (Springenberg et al., ICLR
    workshop 2015, arXiv 1412.6806). Maps (N, C, H, W), not negative.

    Gradients pass where the ReLU's input is positive, as always, and only where they are positive
    themselves. The gradients of pixels have both signs, which tell brighter from darker as for
    `gradient`; the map is ``max over channels of |G|``.

    The maps are sharp, in part independently of what was learned: they follow the image's edges
    also where the weights are random (Adebayo et al., NeurIPS 2018; Nie et al., ICML 2018).
    """

    method: ClassVar[str] = "guided_backprop"
    title: ClassVar[str] = "Guided backpropagation"
    citation: ClassVar[str] = "Springenberg et al., ICLR workshop 2015"
    cost: ClassVar[Cost] = "backward"
    signed: ClassVar[bool] = False

    @property
    def needs(self) -> tuple[Need, ...]:
        """Return that all activations must be ReLU."""
        return (*super().needs, "relu")

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return the strength of guided gradients: (N, C, H, W), not negative."""
        return strength(class_gradients(self.guided(model, images), images, classes))

    def guided(self, model: Classifier, images: Tensor) -> nn.Module:
        """Return a network of the same outputs whose gradients are the guided ones.

        Raises
        ------
        InputError
            The network has another activation than ReLU.
        """
        # Here, because it imports torch.
        from shamsul.model.inside.rectifiers import unsuited_to_relu

        if reason := unsuited_to_relu(model.network, images):
            raise InputError(f"{self.method}: {reason}")

        def hook(layer: nn.Module, inputs: Any, z: Tensor) -> None:
            z.register_hook(lambda gradient: gradient.relu())

        network = modular(model.network, images)
        for layer in network.modules():
            if isinstance(layer, torch.nn.ReLU | torch.nn.ReLU6):
                layer.register_forward_hook(hook)
        return network
