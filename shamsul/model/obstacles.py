"""What stands in the way of a method in a network that was taken apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import fx, nn

from shamsul.model import operations


def module(node: Any) -> Any:
    """Return the module that a node of a graph calls, or None."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    owner = node.graph.owning_module
    assert owner is not None
    return owner.get_submodule(str(node.target))


def inputs(node: fx.Node) -> list[fx.Node]:
    """Return the values of a node that depend on the image; one that it reads twice stands twice."""
    found: list[fx.Node] = []
    fx.node.map_arg((node.args, node.kwargs), lambda value: found.append(value))
    return [value for value in found if value.op != "get_attr"]


def is_linear(node: fx.Node, others: tuple[type[nn.Module], ...] = ()) -> bool:
    """Return whether a node's value is linear, but for a constant, in all that it reads.

    Parameters
    ----------
    others : classes of modules that count as linear beside `shamsul.model.operations.LINEAR`.
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
        if node.op not in ("placeholder", "output", "get_attr") and not is_linear(node, suited):
            return str(node.meta.get("said", node.name))
    return None
