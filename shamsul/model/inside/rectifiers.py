"""Suitability of a network for methods that treat its nonlinear operations, such as ReLU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shamsul.errors import InputError
from shamsul.model.inside.canonise import modular
from shamsul.model.inside.obstacles import obstacle
from shamsul.model.inside.operations import ELEMENTWISE, NORMS


def unsuited_to_relu(network: nn.Module, images: Tensor) -> str | None:
    """Return why gradients cannot be guided at a network's ReLU, or None where they can.

    Every operation that is not linear is to be ReLU, ReLU6 or max pooling. The reason names the
    first that is not.

    Parameters
    ----------
    network : any, (N, K, H, W) -> (N, C).
    images : (N, K, H, W), images like those that it is for.
    """
    suited = (torch.nn.ReLU, torch.nn.ReLU6, torch.nn.MaxPool2d)
    return _obstacle(network, images, suited, "it needs ReLU for all activations, and there is {}")


def unsuited_to_rescale(network: nn.Module, images: Tensor) -> str | None:
    """Return why DeepLIFT's Rescale rule cannot explain a network, or None where it can.

    Every operation that is not linear is to be a function of one number, such as ReLU, or max
    pooling. The reason names the first that is not; products of activations are none.

    Parameters
    ----------
    network : any, (N, K, H, W) -> (N, C).
    images : (N, K, H, W), images like those that it is for.
    """
    suited = (*ELEMENTWISE, torch.nn.MaxPool2d)
    return _obstacle(network, images, suited, "the Rescale rule has no share for {}")


def _obstacle(
    network: nn.Module, images: Tensor, suited: tuple[type[nn.Module], ...], said: str
) -> str | None:
    try:
        steps = modular(network, images)
    except InputError as error:
        return str(error)
    found = obstacle(steps.graph.nodes, (*NORMS, *suited))
    return found and said.format(found)
