"""A network whose feature maps pass a module of their own, for libraries that hook modules.

Such libraries take a layer's output for feature maps (N, K, h, w). Here it may also be tokens or
have its channels last, and a ReLU behind it may be no module.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from shamsul.model.inside.feature_layer import handed_on, taken
from shamsul.model.structure import FeatureLayer


class Copy(nn.Identity):
    """An identity whose output is another tensor than its input, each with hooks of its own."""

    def forward(self, input: Tensor) -> Tensor:
        """Return a copy."""
        return input.clone()


class Watched(nn.Module):
    """A network with modules `feature_maps`, whose inputs and outputs are (N, K, h, w).

    Attributes
    ----------
    network : the network, (N, K, H, W) -> (N, C).
    layers : layers of the network.
    feature_maps : an identity for each layer, which its feature maps pass, behind a ReLU if there
        is one.
    """

    def __init__(self, network: nn.Module, layers: Sequence[FeatureLayer]) -> None:
        super().__init__()
        self.network = network
        self.layers = layers
        self.feature_maps = nn.ModuleList(Copy() for _ in layers)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, C)."""
        # Hooks are there in a forward pass alone: the network is the classifier's own.
        with contextlib.ExitStack() as hooks:
            for place, layer in enumerate(self.layers):
                module = self.network.get_submodule(layer.name)
                hook = functools.partial(self._pass_on, place)
                hooks.enter_context(module.register_forward_hook(hook))
            logits: Tensor = self.network(images)
        return logits

    def _pass_on(self, place: int, module: nn.Module, inputs: Any, output: Any) -> Any:
        layer = self.layers[place]
        return handed_on(self.feature_maps[place](taken(output, layer)), output, layer)


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Make no gradients of the weights within, which libraries would otherwise store in them."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    try:
        for weight in trained:
            weight.requires_grad_(False)
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)
