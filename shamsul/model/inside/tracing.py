"""A network taken apart: a graph of modules, each used once, that computes what the network does.

The network is run once on images while every function of torch that it calls is written down. So
it may be written in any way: with modules or functions, in place or not, with flow that depends on
shapes. Flow that depends on the values of an image cannot be followed and is refused; the last
step holds the graph to the network on other images, in another number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from shamsul.errors import InputError
from shamsul.model.inside import operations
from shamsul.model.inside.obstacles import obstacle
from shamsul.model.inside.recorder import Recorder, node_of


def traced(network: nn.Module, images: Tensor) -> fx.GraphModule:
    """Take a network apart.

    Parameters
    ----------
    network : any, (N, K, H, W) -> (N, C); it is left as it is.
    images : (N, K, H, W), at least one; they show shapes and types, and a flow that depends on
        them is that of images like these.

    Returns
    -------
    A graph in evaluation mode whose modules are those of `shamsul.model.inside.operations`, named
    by their places in the network. Parameters and buffers *are* the network's. Each node of the
    graph tells in `meta` the `name` of its operation, the `shape` of its value and, as `said`,
    where in the network it is, in words.

    Raises
    ------
    InputError
        The network's flow depends on the values of images, or it computes with something else than
        torch's functions.
    """
    one = images[:1].detach()
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(one.shape, generator=generator).to(one)
    with _evaluated(network), torch.no_grad():
        other = one * (0.5 + noise / 2)
        expected = network(other.clone())  # First: some networks check the first images they see.
        steps = _recorded(network, one.repeat(2, 1, 1, 1))
        _hold_to(expected, steps, other)
    return steps


def _hold_to(expected: Any, steps: fx.GraphModule, images: Tensor) -> None:
    try:
        found = steps.forward(images)  # A call of the graph itself would print its errors.
    except (RuntimeError, TypeError, ValueError) as error:
        raise _not_followed(steps) from error
    tolerance = torch.finfo(expected.dtype).eps ** 0.5
    limit = tolerance * max(1e-6, float(expected.abs().max()))
    if found.shape != expected.shape or not bool((found - expected).abs().max() <= limit):
        raise _not_followed(steps)


def _not_followed(steps: fx.GraphModule | None = None) -> InputError:
    known = (*operations.ELEMENTWISE, *operations.NORMS, nn.MaxPool2d)
    if steps is not None and (found := obstacle(steps.graph.nodes, known)):
        return InputError(f"its computation cannot be followed; the first step unknown is {found}")
    return InputError(
        "its computation cannot be followed: with TorchScript, numpy, random numbers or a fixed "
        "number of images, what it does with other images is not told"
    )


@contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and back."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def _recorded(network: nn.Module, images: Tensor) -> fx.GraphModule:
    recorder = Recorder(network)
    handles: list[Any] = []
    try:
        for name, module in network.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                handles.append(module.register_forward_pre_hook(recorder.entering(name)))
                handles.append(module.register_forward_hook(recorder.leaving))
        recorder.track(images, recorder.graph.placeholder("images"))
        with recorder:
            output = network(images)
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(output, Tensor):
        kind = type(output).__name__
        raise InputError(f"its output is a {kind} and no tensor of logits (images, classes)")
    if (node := node_of(output)) is None:
        raise _not_followed()
    recorder.graph.output(node)
    steps = fx.GraphModule(_tree(recorder.parts), recorder.graph)
    tidy(steps)
    return steps.eval()


def _tree(parts: dict[str, Any]) -> nn.Module:
    """Return a tree of modules and tensors, in the order in which the network uses them."""
    root = nn.Module()
    for target, part in parts.items():
        *path, name = target.split(".")
        place = root
        for step in path:
            if step not in place._modules:
                place.add_module(step, nn.Module())
            place = place.get_submodule(step)
        if isinstance(part, nn.Module | nn.Parameter):
            setattr(place, name, part)
        else:
            place.register_buffer(name, part)
    return root


def tidy(steps: fx.GraphModule) -> None:
    """Leave out what a graph does not use, and make its `forward` anew."""
    steps.graph.eliminate_dead_code()
    steps.delete_all_unused_submodules()
    steps.recompile()
