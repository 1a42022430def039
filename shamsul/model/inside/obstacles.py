"""Operations that stand in the way of a method, in a network that was taken apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import fx, nn

from shamsul.model.inside import operations


def module(node: Any) -> Any:
    """Return the module that a node of a graph calls, or None."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    owner = node.graph.owning_module
    assert owner is not None
    return owner.get_submodule(str(node.target))


def inputs(node: fx.Node) -> list[fx.Node]:
    """Return the values that a node reads and that depend on the image, each as often as read."""
    found: list[fx.Node] = []
    fx.node.map_arg((node.args, node.kwargs), found.append)
    return [value for value in found if not is_constant(value)]


def is_constant(node: fx.Node) -> bool:
    """Return whether a node's value is the same for all images."""
    return node.op == "get_attr" or node.meta.get("name") == "expanded"


def concatenated(node: fx.Node) -> tuple[fx.Node, ...] | None:
    """Return the values whose channels a node concatenates, or None of other nodes."""
    if node.meta.get("name") not in ("cat", "concat", "concatenate") or not node.args:
        return None
    axis = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
    parts = node.args[0]
    if axis not in (1, 1 - len(node.meta["shape"])) or not isinstance(parts, tuple | list):
        return None
    return tuple(parts)


def is_linear(node: fx.Node, others: tuple[type[nn.Module], ...] = ()) -> bool:
    """Return whether a node's value is linear, but for a constant, in all that it reads.

    Parameters
    ----------
    others : classes of modules that count as linear beside `LINEAR` of
        `shamsul.model.inside.operations`.
    """
    if node.op == "call_module":
        return isinstance(module(node), (*operations.LINEAR, *others))
    name, read = node.meta.get("name"), inputs(node)
    if name in ("mul", "div"):
        return len(read) == 1 and (name == "mul" or node.args[0] is read[0])
    return name in operations.LINEAR_FUNCTIONS


def obstacle(nodes: Iterable[fx.Node], suited: tuple[type[nn.Module], ...]) -> str | None:
    """Return the first operation that is not linear nor suited, in words, or None.

    Parameters
    ----------
    nodes : nodes of a graph.
    suited : classes of modules that do not stand in the way.
    """
    for node in nodes:
        passed = node.op in ("placeholder", "output") or is_constant(node)
        if not passed and not is_linear(node, suited):
            return str(node.meta.get("said", node.name))
    return None
