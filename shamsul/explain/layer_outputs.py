"""Feature maps of named layers, kept during a forward pass."""

from __future__ import annotations

import contextlib
import difflib
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.model.structure import FeatureLayer

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
else:
    torch = lazy.load("torch")


def forward(
    network: nn.Module, images: Tensor, layers: Sequence[str | FeatureLayer], gradients: bool
) -> tuple[list[Tensor], Tensor]:
    """Run a forward pass and keep the feature maps of the named layers.

    Nothing is recorded for gradients before the first of the layers, and after it only where
    `gradients` is set. Hooks are removed and the mode is restored, also after an exception.

    Parameters
    ----------
    network : (N, K, H, W) -> (N, C), in evaluation mode.
    images : (N, K, H, W).
    layers : names of the network's modules, or the ends of their names; or a layer that
        `shamsul.model.inside.feature_layer.find` has found.
    gradients : True where the logits are to be differentiable by the feature maps.

    Returns
    -------
    activations : the feature maps of each layer, (N, K, h, w).
    logits : (N, C).

    Raises
    ------
    InputError
        A layer is unknown, not called exactly once, or its output is not spatial.
    """
    modules = {name: module for name, module in network.named_modules() if name}
    found: dict[str, Tensor] = {}
    names = [full_name(layer, modules) for layer in layers]
    # A hook's handle is a context that removes it.
    with torch.no_grad(), contextlib.ExitStack() as hooks:
        for name, layer in dict(zip(names, layers, strict=True)).items():
            known = layer if isinstance(layer, FeatureLayer) else None
            hook = functools.partial(_record, name, known, images.shape[2:], found, gradients)
            hooks.enter_context(modules[name].register_forward_hook(hook))
        logits = network(images)
    for name in names:
        if name not in found:
            raise InputError(f"layers: {name} is not called as a module; name the one around it")
    return [found[name] for name in names], logits


def full_name(layer: str | FeatureLayer, modules: dict[str, Any]) -> str:
    """Return the name of a layer in the network, given that or the end of it.

    Raises
    ------
    InputError
        There is no such layer, or several.
    """
    name = layer if isinstance(layer, str) else layer.name
    if name in modules:
        return name
    ends = [full for full in modules if full.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    close = ends or difflib.get_close_matches(name, modules, 3, cutoff=0)
    raise InputError(f"layers: unknown layer {name!r}; closest are {', '.join(close[:3])}")


def _record(
    name: str,
    layer: FeatureLayer | None,
    size: Sequence[int],
    found: dict[str, Tensor],
    gradients: bool,
    module: Any,
    inputs: Any,
    output: Any,
) -> Any:
    """Record the feature maps of one layer in `found`, as its hook, and hand on a copy."""
    # Here, because it imports torch.
    from shamsul.model.inside.feature_layer import handed_on, taken, tensor_of

    if name in found:
        raise InputError(
            f"layers: {name} is called more than once in a forward pass; name the module around it"
        )
    layer = layer or layout_of(name, tensor_of(output), size)
    maps = taken(output, layer)
    if gradients and not maps.requires_grad:
        maps = maps.detach().requires_grad_()
        torch.set_grad_enabled(True)  # Until the end of `no_grad` in `forward`.
    found[name] = maps
    return handed_on(maps, output, layer)


def layout_of(name: str, tensor: Any, size: Sequence[int]) -> FeatureLayer:
    """Return how a layer that the user has named is read, by the form of its output."""
    from shamsul.model.inside.feature_layer import layout

    is_tensor = isinstance(tensor, torch.Tensor)
    if is_tensor and (found := layout(name, tensor, size)) is not None:
        return found
    shape = tuple(tensor.shape) if is_tensor else ()
    what = ", ".join(["N", *map(str, shape[1:])]) if shape else type(tensor).__name__
    raise InputError(
        f"layers: {name} puts out ({what}), neither feature maps (N, K, h, w) of the "
        "image's proportion nor tokens of a grid of patches"
    )
