"""Outputs of named layers, kept during a forward pass."""

from __future__ import annotations

import contextlib
import difflib
import functools
from typing import TYPE_CHECKING, Any

from shamsul import lazy
from shamsul.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
else:
    torch = lazy.load("torch")


def forward(
    network: nn.Module, images: Tensor, layers: tuple[str, ...], gradients: bool
) -> tuple[list[Tensor], Tensor]:
    """Run a forward pass and keep the outputs of the named layers.

    Nothing is recorded for gradients before the first of the layers, and after it only where
    `gradients` is set. Hooks are removed and the mode is restored, also after an exception.

    Parameters
    ----------
    network : (N, 3, S, S) -> (N, C), in evaluation mode.
    images : (N, 3, S, S).
    layers : names of the network's modules.
    gradients : True where the logits are to be differentiable by the activations.

    Returns
    -------
    activations : the output of each layer, (N, K, h, w).
    logits : (N, C).

    Raises
    ------
    InputError
        A layer is unknown, not called exactly once, or its output is not (N, K, h, w).
    """
    modules = {name: module for name, module in network.named_modules() if name}
    found: dict[str, Tensor] = {}
    # A hook's handle is a context that removes it.
    with torch.no_grad(), contextlib.ExitStack() as hooks:
        for name in dict.fromkeys(layers):
            if name not in modules:
                close = difflib.get_close_matches(name, modules, 3, cutoff=0)
                raise InputError(f"layers: unknown layer {name!r}; closest are {', '.join(close)}")
            hook = functools.partial(_record, name, found, gradients)
            hooks.enter_context(modules[name].register_forward_hook(hook))
        logits = network(images)
    for name in layers:
        if name not in found:
            raise InputError(f"layers: {name} is not called as a module; name the one around it")
    return [found[name] for name in layers], logits


def _record(
    name: str, found: dict[str, Tensor], gradients: bool, module: Any, inputs: Any, output: Any
) -> Tensor:
    """Record the output of one layer in `found`, as its hook, and hand on a copy."""
    if name in found:
        raise InputError(
            f"layers: {name} is called more than once in a forward pass; name the module around it"
        )
    # Images are square: maps that are not have their channels in the last dimension.
    shape = output.shape[1:] if isinstance(output, torch.Tensor) else ()
    if len(shape) != 3 or shape[1] != shape[2]:
        what = ", ".join(["N", *map(str, shape)]) if shape else type(output).__name__
        raise InputError(f"layers: {name} puts out ({what}), not square feature maps (N, K, h, w)")
    if gradients and not output.requires_grad:
        output = output.detach().requires_grad_()
        torch.set_grad_enabled(True)  # Until the end of `no_grad` in `forward`.
    found[name] = output
    return output.clone()  # What follows may work in place.
