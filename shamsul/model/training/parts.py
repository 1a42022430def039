"""Parts of a network, from its input to its output: how fast each learns, and which do at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from shamsul.errors import InputError
from shamsul.model.ensemble import Ensemble
from shamsul.model.networks.layers import head_name


def blocks(network: nn.Module) -> list[str]:
    """Return the names of the parts that a network is made of, from the input to the output.

    They are the children that hold weights. A child with more than half of the network's tensors is
    divided into its own children. Of an ensemble they are each part of all members in turn.
    """
    half = len(network.state_dict()) / 2

    def parts(module: nn.Module, name: str) -> Iterator[str]:
        if isinstance(module, Ensemble):
            for own in blocks(module.members[0]):
                for number in range(len(module.members)):
                    yield f"{name}.members.{number}.{own}".lstrip(".")
            return
        for key, child in module.named_children():
            place, size = f"{name}.{key}".lstrip("."), len(child.state_dict())
            if size > half and any(child.children()):
                yield from parts(child, place)
            elif size:
                yield place

    return list(parts(network, ""))


def has_depthwise(network: nn.Module) -> bool:
    """Return whether a convolution of the network sees each channel by itself."""
    return any(
        isinstance(m, nn.Conv2d) and 1 < m.groups == m.in_channels for m in network.modules()
    )


def parameter_groups(network: nn.Module, rate: float, decay: float) -> list[dict[str, Any]]:
    """Return the parameters by learning rate, as torch's optimisers take them.

    Part k of n (`blocks`) learns at ``rate * decay ** (n - k)``, the last at `rate` itself (Howard
    and Ruder, ACL 2018; Clark et al., ICLR 2020). Parameters that lie in none, such as embeddings
    of positions, learn as the first does. `peak` holds the rate, since a schedule changes `lr`.

    Parameters
    ----------
    network : network to train.
    rate : learning rate of its last part.
    decay : factor from each part to the one before it, in (0, 1].
    """
    if decay == 1:
        return [{"params": list(network.parameters()), "lr": rate, "peak": rate}]
    names = blocks(network)
    members: list[list[nn.Parameter]] = [[] for _ in names or [""]]
    for name, parameter in network.named_parameters():
        inside = [n for n, block in enumerate(names) if name.startswith(f"{block}.")]
        members[inside[0] if inside else 0].append(parameter)
    rates = [rate * decay**depth for depth in range(len(members))][::-1]
    return [
        {"params": found, "lr": own, "peak": own}
        for found, own in zip(members, rates, strict=True)
        if found
    ]


@contextmanager
def body_frozen(network: nn.Module) -> Iterator[None]:
    """Keep all but the last linear layer of a network in training as it is.

    Its other modules are in evaluation mode meanwhile, so that batch norms take no statistics and
    dropout drops nothing.

    Raises
    ------
    InputError
        The network has no linear layer.
    """
    name = head_name(network)
    if name is None:
        raise InputError(
            f"train.freeze_epochs: {type(network).__name__} ends in no linear layer that could "
            "learn alone; set it to 0"
        )
    head = network.get_submodule(name)
    kept = set(head.parameters())
    body = [p for p in network.parameters() if p.requires_grad and p not in kept]
    for parameter in body:
        parameter.requires_grad_(False)
    network.eval()
    head.train()
    try:
        yield
    finally:
        for parameter in body:
            parameter.requires_grad_(True)
