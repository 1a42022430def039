"""Batch norms merged into the layers around them, in a network that was taken apart.

Batch normalisation is linear in evaluation mode, yet no rule of relevance fits it: written as a
layer of its own it has a bias of any size that swallows relevance (Pahde et al., 2023, arXiv
2211.17174). So it is merged into a neighbouring layer:

to the left (conv, BN)
    ``BN(W x + d) = (s W) x + (s d + b)`` with ``s = gamma / sqrt(variance + eps)`` and
    ``b = beta - s mean``;
to the right (BN, ReLU, conv), as DenseNet has it
    ``ReLU(s x + b) = s (c(x) - t)`` with ``t = -b / s``, where ``c`` clamps ``x`` at ``t``, from
    below if ``s > 0`` and from above if ``s < 0``. The next layer takes ``s`` into its weights and
    ``-s t`` through them into its bias; averages and flattening between the two change nothing.

A border of zeros before the next layer is a border of `t` after a merge to the right: padding
becomes a step of its own that pads each channel with its `t`, and the layer pads no more. Relevance
of the border is absorbed, as that of a bias is.

What no layer can take in (a batch norm after an addition that other layers read too, or before max
pooling) becomes an `Affine` step. It has no rule: it hands ``G`` on as a gradient, which is LRP-0,
and its shift absorbs as a bias does. A rule with denominators of its own would divide by sums of
one product and a shift that may cancel it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from shamsul.model.inside import operations
from shamsul.model.inside.layers import Affine, ChannelPad, Clamp, Mean
from shamsul.model.inside.obstacles import concatenated, module
from shamsul.model.inside.tracing import tidy

SMALLEST_SCALE = 1e-12
"""Smallest distance from zero of a batch norm's scale, so that its threshold is finite."""


def merge_norms(steps: fx.GraphModule) -> None:
    """Take the batch norms out of a graph, by the formulas of this module."""
    norms = [node for node in steps.graph.nodes if isinstance(module(node), operations.NORMS)]
    with torch.no_grad():
        left = [node for node in norms if not _merged_left(node)]
        for node in left:
            if not _merged_right(node):
                scale, shift = (_spread(part, node) for part in _affine(module(node)))
                _put(node, Affine(scale, shift))
    tidy(steps)


def _put(node: fx.Node, new: nn.Module) -> None:
    """Put another module in the place of the one that a node calls."""
    owner = node.graph.owning_module
    assert owner is not None
    parent, _, name = str(node.target).rpartition(".")
    setattr(owner.get_submodule(parent), name, new.eval())


def _insert(before: fx.Node, new: nn.Module, value: fx.Node) -> fx.Node:
    """Insert a call of a module before a node: the new node, whose input is `value`."""
    owner, target = before.graph.owning_module, f"{before.target}_{type(new).__name__.lower()}"
    assert owner is not None
    owner.add_submodule(target, new.eval())
    with before.graph.inserting_before(before):
        node = before.graph.call_module(target, (value,))
    node.meta = {**before.meta, "name": type(new).__name__.lower(), "shape": value.meta["shape"]}
    return node


def _skip(node: fx.Node) -> None:
    """Take a node out of a graph: its users read its input."""
    node.replace_all_uses_with(node.all_input_nodes[0])
    node.graph.erase_node(node)


def _spread(values: Tensor, node: fx.Node) -> Tensor:
    """Return one number for each channel, (K,), in the form that meets a node's value."""
    return values.reshape(-1, *[1] * (len(node.meta["shape"]) - 2))


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Return scale and shift, both (K,), that a batch norm applies in evaluation mode."""
    scale = 1 / (norm.running_var + norm.eps).sqrt()
    scale = scale if norm.weight is None else norm.weight * scale
    shift = -scale * norm.running_mean
    return scale, shift if norm.bias is None else norm.bias + shift


def _merged_left(node: fx.Node) -> bool:
    """Merge a batch norm into the layers before it; return whether that was possible.

    It is one layer, or several whose outputs are concatenated.
    """
    before = node.all_input_nodes[0]
    joined = concatenated(before)
    parts = [before] if joined is None else [*joined]
    layers = [module(part) for part in parts]
    alone = all(len(part.users) == 1 for part in {before, *parts}) and len({*parts}) == len(parts)
    if not alone or not all(isinstance(layer, nn.Conv2d | nn.Linear) for layer in layers):
        return False
    sizes = [len(layer.weight) for layer in layers]
    affine = (part.split(sizes) for part in _affine(module(node)))
    for layer, scale, shift in zip(layers, *affine, strict=True):
        bias = 0 if layer.bias is None else layer.bias * scale
        layer.bias = nn.Parameter(shift + bias)
        sized = scale.reshape(-1, *[1] * (layer.weight.dim() - 1))
        layer.weight = nn.Parameter(layer.weight * sized)
    _skip(node)
    return True


def _merged_right(node: fx.Node) -> bool:
    """Merge a batch norm into the layers behind it; return whether that was possible."""
    users = list(node.users)
    relu = users[0] if len(users) == 1 and isinstance(module(users[0]), nn.ReLU) else None
    readers = _readers(relu or node)
    if readers is None:
        return False
    scale, shift = _affine(module(node))
    scale = torch.where(scale.abs() < SMALLEST_SCALE, SMALLEST_SCALE, scale)
    threshold = -shift / scale
    for reader in readers:
        _take_in(reader, scale, threshold)
    if relu is not None:
        sides = ((scale > 0, -torch.inf), (scale < 0, torch.inf))
        bounds = (torch.where(side, threshold, unbounded) for side, unbounded in sides)
        _put(relu, Clamp(*(_spread(bound, node) for bound in bounds)))
    _skip(node)
    return True


def _readers(node: fx.Node) -> list[fx.Node] | None:
    """Return the linear layers, and paddings before them, that read a value; None if something
    else does for which a constant of a channel is not a constant.
    """
    found: list[fx.Node] = []
    for user in node.users:
        step = module(user)
        if isinstance(step, nn.Conv2d | nn.Linear):
            found.append(user)
            continue
        if isinstance(step, nn.ConstantPad2d) and step.value == 0:
            found.append(user)
        elif not _averages(step):
            return None
        behind = _readers(user)
        if behind is None:
            return None
        found += behind
    return found or None


def _averages(step: Any) -> bool:
    if isinstance(step, nn.AvgPool2d):
        inside = step.padding in (0, (0, 0)) or not step.count_include_pad
        return inside and step.divisor_override is None
    return isinstance(step, nn.AdaptiveAvgPool2d | nn.Flatten | Mean)


def _take_in(reader: fx.Node, scale: Tensor, threshold: Tensor) -> None:
    """Let a layer, or a padding, read ``x`` where it read ``scale (x - threshold)``."""
    layer, value = module(reader), reader.all_input_nodes[0]
    if isinstance(layer, nn.ConstantPad2d):
        _put(reader, ChannelPad(tuple(layer.padding), _spread(threshold, value)))
        return
    if isinstance(layer, nn.Linear):
        each = layer.in_features // len(scale)  # Of a channel that was flattened.
        scale, threshold = scale.repeat_interleave(each), threshold.repeat_interleave(each)
        weight = layer.weight * scale
        bias = weight @ -threshold
    else:
        grouped = scale.reshape(layer.groups, 1, -1)
        outputs = layer.weight.unflatten(0, (layer.groups, -1))
        weight = (outputs * grouped[..., None, None]).flatten(0, 1)
        sums = weight.flatten(2).sum(2).unflatten(0, (layer.groups, -1))
        bias = (sums * -threshold.reshape(grouped.shape)).sum(2).flatten()
        padding = tuple(layer._reversed_padding_repeated_twice)
        if any(padding):
            pad = _insert(reader, ChannelPad(padding, _spread(threshold, value)), value)
            reader.replace_input_with(value, pad)
            layer.padding = (0, 0)
            layer._reversed_padding_repeated_twice = [0, 0, 0, 0]
    layer.bias = nn.Parameter(bias + (0 if layer.bias is None else layer.bias))
    layer.weight = nn.Parameter(weight)
