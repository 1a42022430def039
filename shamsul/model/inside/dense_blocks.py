"""Dense blocks that do not copy what they have, in a network that was taken apart.

Each layer of a dense block reads the concatenation of all feature maps before it. Where one
concatenation begins with all of another, both can lie in one piece of memory, the longest one's.
"""

from __future__ import annotations

from torch import fx, nn

from shamsul.model.inside.layers import Buffer, Write
from shamsul.model.inside.obstacles import concatenated
from shamsul.model.inside.tracing import tidy


def share(steps: fx.GraphModule) -> None:
    """Let the concatenations of each dense block write side by side, for passes without gradients.

    Parameters
    ----------
    steps : a network that was taken apart; it is changed.
    """
    chains: list[list[fx.Node]] = []
    for node in steps.graph.nodes:
        if concatenated(node) is None or len(node.meta["shape"]) != 4:
            continue
        chain = next((chain for chain in chains if _added(chain[-1], node)), None)
        if chain is None:
            chains.append([node])
        else:
            chain.append(node)
    for number, chain in enumerate(chain for chain in chains if len(chain) > 2):
        _share(steps, chain, f"dense_block{number}")
    tidy(steps)


def _added(before: fx.Node, node: fx.Node) -> tuple[fx.Node, ...]:
    """Return what a concatenation adds to an earlier one that it begins with; else nothing."""
    old, new = concatenated(before), concatenated(node)
    assert old is not None and new is not None
    if new[0] is before:
        return new[1:]
    return new[len(old) :] if new[: len(old)] == old else ()


def _share(steps: fx.GraphModule, chain: list[fx.Node], name: str) -> None:
    buffer: fx.Node | None = None
    views: list[fx.Node] = []
    for number, node in enumerate(chain):
        step: nn.Module
        if buffer is None:
            step, read = Buffer(chain[-1].meta["shape"][1]), concatenated(node)
        else:
            before = chain[number - 1]
            step, read = Write(before.meta["shape"][1]), (buffer, *_added(before, node))
        steps.add_submodule(f"{name}_{number}", step)
        with steps.graph.inserting_before(node):
            buffer = steps.graph.call_module(f"{name}_{number}", read)
            view = steps.graph.call_method("narrow", (buffer, 1, 0, node.meta["shape"][1]))
        for new in (buffer, view):
            new.meta = dict(node.meta)
        views.append(view)
    for node, view in zip(chain, views, strict=True):
        node.replace_all_uses_with(view)
