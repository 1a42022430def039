"""The place of a transformer's patches among its tokens, found by running it.

Before the patches may stand tokens that show no patch: class, distillation, registers.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shamsul.errors import InputError
from shamsul.model.inside.attention_record import NO_ATTENTION, Recorded, Recorder, check_heads
from shamsul.model.inside.feature_layer import grid_of
from shamsul.model.inside.functions import frozen, running


@dataclass(frozen=True)
class Grid:
    """The place of patches among the tokens: `prefix` other tokens, then `rows` by `columns`
    patches, row by row.
    """

    prefix: int
    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        """Return the number T of all tokens."""
        return self.prefix + self.rows * self.columns

    def maps(self, values: Tensor) -> Tensor:
        """Return the values of the patches as maps: (..., T) -> (..., rows, columns)."""
        return values[..., self.prefix :].unflatten(-1, (self.rows, self.columns))


class _FirstError(Exception):
    """The end of a forward pass at its first attention, which is no fault."""


class _First(Recorder):
    """A mode that ends the forward pass at the first attention, and keeps the tokens there.

    Attributes
    ----------
    tokens : (N, T, D), the values that the first attention weighs.
    maps : heights and widths of the convolutions' outputs before.
    """

    tokens: Tensor

    def __init__(self, inside: list[str]) -> None:
        super().__init__(inside, Recorded())
        self.maps: list[tuple[int, int]] = []

    def call(self, function: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Return the result of a function; note the size of a convolution's."""
        result = super().call(function, name, args, kwargs)
        if name == "conv2d":
            self.maps.append((int(result.shape[-2]), int(result.shape[-1])))
        return result

    def attended(self, found: Tensor, values: Tensor) -> Tensor:
        """Keep the values, and end the forward pass."""
        super().attended(found, values)
        check_heads(self.place, found)
        self.tokens = values.transpose(1, 2).flatten(2)
        raise _FirstError


def token_grid(network: nn.Module, images: Tensor) -> Grid:
    """Find which tokens are which patches, by images that differ in known places.

    An image and its negative go through the network up to its first attention. Tokens that are
    equal for both show no patch. Then the image goes with its negative in the top right corner
    alone: the token that changes most is the last of the first row.

    Parameters
    ----------
    network : (N, K, H, W) -> (N, C), in evaluation mode.
    images : (N, K, H, W), whose size, type and device the test images have.

    Raises
    ------
    InputError
        There is no attention, or the tokens at the first are not a grid of patches, row by row,
        behind other tokens.
    """
    size = images.shape[1:]
    # Of a size and sign that change from pixel to pixel.
    waves = torch.arange(size.numel(), dtype=torch.float64).cos().reshape(size).to(images)
    first = _first_attention(network, torch.stack([waves, -waves]))
    grid = _grid(first, (size[1], size[2]))
    corner = waves.clone()
    corner[:, : size[1] // grid.rows, -(size[2] // grid.columns) :] *= -1
    change = _change(_first_attention(network, torch.stack([waves, corner])).tokens)
    if int(change.argmax()) != grid.prefix + grid.columns - 1:
        name = first.recorded.modules[0]
        raise InputError(f"{name}: its tokens are not patches, row by row")
    return grid


def _first_attention(network: nn.Module, images: Tensor) -> _First:
    with torch.no_grad(), running(network) as inside:
        mode = _First(inside)
        with contextlib.suppress(_FirstError), mode:
            frozen(network, images)
    if not mode.recorded.modules:
        raise InputError(NO_ATTENTION)
    return mode


def _grid(first: _First, image: tuple[int, int]) -> Grid:
    """Return the grid of the tokens of an image and its negative.

    Where no convolution has made it, its proportion is the image's.
    """
    name, tokens = first.recorded.modules[0], first.tokens
    if len(tokens) != 2:
        raise InputError(f"{name}: attends within windows, not from all tokens to all")
    change = _change(tokens)
    # Equal tokens may be rounded otherwise for the second image.
    patches = (change > 1e-4 * change.max()).nonzero().flatten().tolist()
    count = tokens.shape[1]
    prefix = count - len(patches)
    if not patches or patches != list(range(prefix, count)):
        raise InputError(f"{name}: patches are not the last of its {count} tokens")
    sizes = [size for size in reversed(first.maps) if math.prod(size) == len(patches)]
    guess = grid_of(len(patches), None, image)
    if not sizes and guess is not None and math.prod(guess) == len(patches):
        sizes = [guess]
    if not sizes:
        raise InputError(f"{name}: its {len(patches)} patches are no grid that a convolution makes")
    return Grid(prefix, *sizes[0])


def _change(tokens: Tensor) -> Tensor:
    """Return by how much each token differs between two images: (2, T, D) -> (T,)."""
    return (tokens[0] - tokens[1]).abs().amax(-1)
