"""The way of relevance through a network: gates are constants, and every step has a rule."""

from __future__ import annotations

from typing import Any

from torch import fx, nn

from shamsul.errors import InputError
from shamsul.model.inside import operations
from shamsul.model.inside.layers import Affine, ChannelPad, Clamp, Gated, Ratio, Reshape, SelfGated
from shamsul.model.inside.obstacles import inputs, is_linear, module, obstacle
from shamsul.model.inside.tracing import tidy

STEPS = (
    *(nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.MaxPool2d, nn.Dropout),
    *(Affine, ChannelPad, Clamp, Gated, SelfGated),
)
"""Modules beside the linear ones that hand on relevance."""


def make_gates_constant(steps: fx.GraphModule) -> None:
    """Replace products with gates by products with constants, activations that have one too.

    What a gate alone is computed with gets no gradient.
    """
    for node in list(steps.graph.nodes):
        gate = _gate(node)
        if gate is not None:
            _put_gate(steps, node, gate)
    path = relevance_path(steps)
    for node in path:
        if (gated := _self_gated(module(node))) is not None:
            steps.set_submodule(str(node.target), gated)
    _cut_off(steps, path)
    tidy(steps)


def relevance_path(steps: fx.GraphModule) -> list[fx.Node]:
    """Return the nodes of a graph that relevance passes, in order, the image first."""
    reached: set[fx.Node] = set()
    for node in reversed(steps.graph.nodes):
        if node.op == "output" or node in reached:
            reached.add(node)
            reached.update(_given(node))
    return [node for node in steps.graph.nodes if node in reached]


def check(steps: fx.GraphModule) -> None:
    """Refuse a network with a step that has no rule, and find its layers.

    Parameters
    ----------
    steps : a network without batch norms whose gates are constants; its `meta` gets `first` and
        `others`, as `shamsul.model.inside.canonise.canonised` says.

    Raises
    ------
    InputError
        A step has no rule, or the image reaches something else than a convolution.
    """
    path = relevance_path(steps)
    found = obstacle(path, STEPS)
    flat = (node for node in path if isinstance(module(node), nn.Linear))
    found = found or next((_said(n) for n in flat if len(n.meta["shape"]) != 2), None)
    if found:
        raise InputError(f"LRP has no rule for {found}")
    first = _first(path)
    steps.meta["first"] = {str(node.target): _before(steps, node) for node in first}
    steps.meta["others"] = [
        str(node.target)
        for node in path
        if isinstance(module(node), nn.Conv2d | nn.Linear) and node not in first
    ]


def _said(node: fx.Node) -> str:
    return str(node.meta.get("said", node.name))


def _given(node: fx.Node) -> list[fx.Node]:
    """Return what a node hands relevance to."""
    read = inputs(node)
    return read[:1] if isinstance(module(node), Gated) else read


def _gate(node: fx.Node) -> fx.Node | None:
    """Return the factor of a product that is its gate, or None."""
    read = inputs(node)
    if node.meta.get("name") != "mul" or node.op == "call_module" or len(read) != 2:
        return None
    made = [_made_by_sigmoid(factor) for factor in read]
    if made[0] != made[1]:
        return read[made.index(True)]
    sizes = [factor.meta["shape"][2:] for factor in read]
    if sizes.count((1, 1)) == 1:
        return read[sizes.index((1, 1))]
    return None


def _made_by_sigmoid(node: fx.Node) -> bool:
    while len(read := inputs(node)) == 1 and not isinstance(module(node), operations.GATES):
        if not isinstance(module(node), Reshape | nn.Flatten) and (
            node.op == "call_module" or not is_linear(node)
        ):
            return False
        node = read[0]
    return isinstance(module(node), operations.GATES)


def _put_gate(steps: fx.GraphModule, node: fx.Node, gate: fx.Node) -> None:
    x = next(value for value in inputs(node) if value is not gate)
    target = f"{gate.target if gate.op == 'call_module' else node.name}_gated".strip(".")
    while target in dict(steps.named_modules()):
        target += "_"
    steps.add_submodule(target, Gated())
    with steps.graph.inserting_before(node):
        new = steps.graph.call_module(target, (x, gate))
    new.meta = dict(node.meta)
    node.replace_all_uses_with(new)
    steps.graph.erase_node(node)


def _self_gated(activation: Any) -> nn.Module | None:
    """Return an activation as a product with a gate, or None of those that are none."""
    if isinstance(activation, nn.SiLU):
        return SelfGated(nn.Sigmoid())
    if isinstance(activation, nn.Hardswish):
        return SelfGated(nn.Hardsigmoid())
    if isinstance(activation, nn.Hardtanh) and activation.min_val <= 0 <= activation.max_val:
        return SelfGated(Ratio(activation))
    return None


def _cut_off(steps: fx.GraphModule, path: list[fx.Node]) -> None:
    """Detach what gates read of values that relevance passes."""
    passed, cut = set(path), dict[fx.Node, fx.Node]()
    for node in list(steps.graph.nodes):
        if node in passed:
            continue
        for value in set(inputs(node)) & passed:
            if value not in cut:
                with steps.graph.inserting_after(value):
                    cut[value] = steps.graph.call_method("detach", (value,))
                cut[value].meta = {"name": "detach", "shape": value.meta["shape"]}
            node.replace_input_with(value, cut[value])


def _first(path: list[fx.Node]) -> list[fx.Node]:
    """Return the convolutions that see the image."""
    seen, first = {path[0]}, []
    for node in path[1:]:
        read = _given(node)
        if not seen.intersection(read):
            continue
        if isinstance(module(node), nn.Conv2d):
            first.append(node)
        elif isinstance(module(node), nn.Linear) or not seen.issuperset(read):
            raise InputError(f"LRP needs a convolution before {_said(node)}, which sees the image")
        elif is_linear(node, (Affine, ChannelPad)):
            seen.add(node)
        else:
            raise InputError(f"LRP needs a convolution before {_said(node)}, which sees the image")
    if not first:
        raise InputError("LRP needs a convolution that sees the image")
    return first


def _before(steps: fx.GraphModule, layer: fx.Node) -> nn.Module | None:
    """Return what the image passes before a layer, as a network."""
    last, needed = inputs(layer)[0], set[fx.Node]()
    if last.op == "placeholder":
        return None
    for node in reversed(steps.graph.nodes):
        if node is last or node in needed:
            needed.update((node, *node.all_input_nodes))
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in steps.graph.nodes:
        if node in needed:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(copies[last])
    return fx.GraphModule(steps, graph).eval()
