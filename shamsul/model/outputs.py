"""Layer between a network's outputs and the logits of the run's classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shamsul.model.spec import Outputs

CLOSEST = 1e-6
"""Smallest distance of a probability from 0 and 1, so that its logit is finite: within 13.9."""


class Chosen(nn.Module):
    """A layer that chooses, from M outputs, the logits of C classes."""

    def __init__(self, outputs: Outputs) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the classes' logits: (N, M) -> (N, C)."""
        if self.outputs.kind == "probabilities":
            x = torch.logit(x, CLOSEST)
        if all(len(columns) == 1 for columns in self.outputs.columns):
            return x[:, [column for (column,) in self.outputs.columns]]
        joined = []
        for columns in self.outputs.columns:
            parts = x[:, list(columns)]
            joined.append(parts.amax(1) if self.outputs.join == "max" else parts.mean(1))
        return torch.stack(joined, 1)


class Mapped(nn.Module):
    """A network with its outputs mapped to classes: (N, K, H, W) -> (N, C).

    Attributes
    ----------
    network : network of M outputs.
    chosen : layer that chooses among them.
    """

    def __init__(self, network: nn.Module, outputs: Outputs) -> None:
        super().__init__()
        self.network = network
        self.chosen = Chosen(outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return the classes' logits (N, C)."""
        return self.chosen(self.network(images))


def mapped(network: nn.Module, outputs: Outputs) -> nn.Module:
    """Return the network with its outputs mapped to classes: itself where there is nothing to map.

    A sigmoid that ends the network is replaced by nothing, rather than undone, where it is a module
    of its own: the logits of probabilities near 0 and 1 would be lost to rounding.
    """
    if outputs.kind == "probabilities" and isinstance(network, nn.Sequential):
        *_, last = network.named_children()
        if isinstance(last[1], nn.Sigmoid):
            setattr(network, last[0], nn.Identity())
            outputs = outputs.model_copy(update={"kind": "logits"})
    return network if outputs.plain else Mapped(network, outputs)
