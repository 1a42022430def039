"""Logits of a transformer's inner layers, as its own last norm and head give them.

A block is the module around one attention that the network's layers are: the tokens that it puts
out, (N, T, D), go into the next block, and from the last one into what follows, the head. The head
is asked by running the network with blocks that put out the tokens given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from shamsul.errors import InputError
from shamsul.model.inside.attention_record import Recorded, record
from shamsul.model.inside.functions import frozen


def layer_logits(network: nn.Module, images: Tensor) -> tuple[Recorded, list[Tensor]]:
    """Return the logits that the head gives for each block's tokens, averaged.

    The logits of a block are differentiable by the probabilities of its own attention alone.

    Parameters
    ----------
    network : (N, K, H, W) -> (N, C), in evaluation mode.
    images : (N, K, H, W).

    Returns
    -------
    The forward pass, each of its probabilities a leaf, and the logits (N, C) of each block.

    Raises
    ------
    InputError
        The attentions are not each in a block of its own, or what follows the last block needs more
        than its tokens.
    """
    names = _blocks(network, images[:1])
    found: list[Any] = []
    blocks = [network.get_submodule(name) for name in names]
    with contextlib.ExitStack() as hooks:
        for block in blocks:
            hooks.enter_context(block.register_forward_hook(_cut(found)))
        recorded = record(network, images, leaves="each")
    tokens = [_tokens(output, name) for name, output in zip(names, found, strict=True)]
    with torch.enable_grad():
        again = _head(network, images, blocks, found[-1], tokens[-1])
        if not torch.allclose(again, recorded.logits, rtol=1e-3, atol=1e-4):
            raise InputError(f"{names[-1]}: the outputs are computed from more than its tokens")
        means = [t.mean(1, keepdim=True).expand_as(t) for t in tokens]
        return recorded, [
            _head(network, images, blocks, output, mean)
            for output, mean in zip(found, means, strict=True)
        ]


def unsuited(network: nn.Module, images: Tensor) -> str | None:
    """Return why a network's inner layers have no logits, or None where they have.

    Parameters
    ----------
    network : (N, K, H, W) -> (N, C), in evaluation mode.
    images : (N, K, H, W), an example; one image is enough.
    """
    try:
        layer_logits(network, images[:1])
    except InputError as error:
        return str(error)
    return None


def _blocks(network: nn.Module, images: Tensor) -> list[str]:
    """Return the names of the blocks, in the order in which they run.

    They are the branches of the tree of modules below the deepest module with all attentions in it.
    A single attention's block is the outermost module around it that stands in a list of modules.
    """
    modules = record(network, images).modules
    paths = [name.split(".") for name in modules]
    depth = 0
    while len({tuple(path[: depth + 1]) for path in paths}) == 1 and depth < len(paths[0]) - 1:
        depth += 1
        parent = network.get_submodule(".".join(paths[0][:depth]))
        if len(paths) == 1 and isinstance(parent, nn.ModuleList | nn.Sequential) and depth > 1:
            break
    names = [".".join(path[: depth + 1]) for path in paths]
    if len(set(names)) < len(names):
        raise InputError(f"{names[0]}: has several attentions, which are in no blocks of their own")
    return names


def _cut(found: list[Any]) -> Any:
    """Return a hook that keeps a block's output, and hands it on without its graph."""

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        found.append(output)
        if isinstance(output, Tensor):
            return output.detach()
        return _filled(output, output[0].detach()) if isinstance(output, tuple | list) else output

    return hook


def _tokens(output: Any, name: str) -> Tensor:
    first = output[0] if isinstance(output, tuple | list) else output
    if not isinstance(first, Tensor) or first.dim() != 3:
        raise InputError(f"{name}: puts out no tokens, (N, T, D)")
    return first


def _filled(output: Any, tokens: Tensor) -> Any:
    """Return tokens in the form of a block's output."""
    return tokens if isinstance(output, Tensor) else type(output)((tokens, *output[1:]))


def _head(
    network: nn.Module, images: Tensor, blocks: list[nn.Module], output: Any, tokens: Tensor
) -> Tensor:
    """Return the logits (N, C) of the tokens (N, T, D) that the last block is to put out."""
    with _replaced(blocks, _filled(output, tokens)):
        return frozen(network, images)


@contextlib.contextmanager
def _replaced(blocks: list[nn.Module], output: Any) -> Iterator[None]:
    """Make blocks put out what is given, whatever comes in."""
    try:
        for block in blocks:
            block.forward = lambda *_, **__: output
        yield
    finally:
        for block in blocks:
            vars(block).pop("forward", None)
