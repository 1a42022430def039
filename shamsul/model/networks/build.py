"""Networks built from a specification, whatever their source."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from shamsul.errors import InputError, first_line
from shamsul.model.ensemble import Ensemble
from shamsul.model.networks.layers import build_head
from shamsul.model.networks.names import SOURCES, parted
from shamsul.model.networks.source import Source, Wanted
from shamsul.model.outputs import mapped
from shamsul.model.spec import Spec
from shamsul.size import told


def source_of(network: str) -> tuple[Source, str]:
    """Return the source of a network, and the network's name there.

    Raises
    ------
    InputError
        There is no such source.
    """
    source, name = parted(network)
    module, kind = SOURCES[source]
    found: type[Source] = getattr(importlib.import_module(module), kind)
    return found(), name


def build(spec: Spec, seed: int) -> nn.Module:
    """Build the network of a specification with random weights: (N, K, H, W) -> (N, M).

    Parameters
    ----------
    spec : specification.
    seed : seed of the weights, of the first where several are averaged; torch's own random state is
        left as it is.

    Raises
    ------
    InputError
        There is no such network, or it cannot be built for this size, channels or outputs.
    """
    source, name = source_of(spec.network)
    wanted = Wanted(
        name, len(spec.outputs.names), spec.presentation.channels, spec.size, spec.options
    )
    members = []
    for number in range(spec.members):
        with seeded(seed + number):
            network = source.build(wanted)
            if spec.head is not None:
                build_head(network, spec.head)
        members.append(network.eval())
    if spec.members == 1:
        return members[0]
    return Ensemble(members, spec.average, spec.outputs.kind).eval()


def complete(network: nn.Module, spec: Spec) -> nn.Module:
    """Return a network with its outputs mapped to the classes: (N, K, H, W) -> (N, C).

    Raises
    ------
    InputError
        The network cannot see such images, or its outputs are not those of the specification.
    """
    _check_outputs(network, spec)
    return mapped(network, spec.outputs)


@torch.no_grad()
def _check_outputs(network: nn.Module, spec: Spec) -> None:
    channels, size = spec.presentation.channels, spec.size
    example = next(network.parameters(), torch.zeros(()))
    images = torch.zeros(3, channels, *size, device=example.device)
    try:
        # Of two numbers, since some networks are made for one.
        network(images)
        found = network(images[:2])
    except Exception as error:  # it may be the user's code
        raise InputError(
            f"model.network: {spec.network} cannot see images of {channels} channels and "
            f"{told(size)} pixels ({first_line(error)}); set model.input and data.size to what it "
            "was made for"
        ) from None
    shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
    if shape != (2, len(spec.outputs.names)):
        raise InputError(
            f"model.network: {spec.network} gives {shape} for 2 images, not "
            f"(2, {len(spec.outputs.names)}); name its outputs, in their order, in "
            "model.outputs.names"
        )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from `seed` what torch draws at random, and leave its random state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
