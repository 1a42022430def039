"""The layer that a method looks at, by its name or found by the network's structure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shamsul.errors import InputError
from shamsul.explain.layer_outputs import forward, full_name, layout_of
from shamsul.model.structure import FeatureLayer

if TYPE_CHECKING:
    from torch import Tensor

    from shamsul.model.classifier import Classifier


def chosen_layer(model: Classifier, images: Tensor, layer: str | None) -> FeatureLayer:
    """Return the layer that is named, or that of the network's last feature maps.

    Raises
    ------
    InputError
        There is no such layer, or its output is not spatial.
    """
    return last_layer(model) if layer is None else read_layer(model, images, layer)


def last_layer(model: Classifier) -> FeatureLayer:
    """Return the layer of the network's last feature maps.

    Raises
    ------
    InputError
        There is none.
    """
    found = model.structure.feature_layer
    if found is None:
        raise InputError(str(model.structure.refusal(["feature_maps"])))
    return found


def read_layer(model: Classifier, images: Tensor, layer: str) -> FeatureLayer:
    """Return how feature maps are read from a layer that a configuration names."""
    from shamsul.model.inside.feature_layer import tensor_of

    modules = {name: module for name, module in model.network.named_modules() if name}
    name = full_name(layer, modules)
    outputs: list[Any] = []
    with modules[name].register_forward_hook(
        lambda module, inputs, output: outputs.append(tensor_of(output))
    ):
        # It says so if the layer is not spatial.
        forward(model.network, images[:1], [name], gradients=False)
    return layout_of(name, outputs[0], images.shape[2:])
