"""Search for the layer whose feature maps class activation maps take.

The network is run once with all modules watched. A module is a candidate where its output is
spatial: feature maps (N, K, h, w), or tokens of which the last h w form a grid of patches; and
where the logits depend on these cells. The last candidate is taken.

- Feature maps: pooling, dropout and identities are no candidates, and maps of one cell only where
  there are no others.
- Tokens: blocks are candidates, modules that have siblings of their own class and parts of their
  own. Where the logits come from a class token, the last block hands nothing on from the patches,
  and so the one before it is the last candidate.
- A ReLU behind the layer that is no module (DenseNet has one) shows by what the network computes:
  the logits are the same, to the last bit, if the layer's output is rectified.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shamsul.model.structure import FeatureLayer

PASSIVE = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Softmax, nn.Sigmoid)
MOST_PREFIX = 16
"""Largest number of tokens before the grid's: class, distillation and register tokens."""


def find(network: nn.Module, images: Tensor) -> FeatureLayer | None:
    """Find the layer of the last feature maps; None where there is none.

    Parameters
    ----------
    network : (N, K, H, W) -> (N, C), in evaluation mode.
    images : (N, K, H, W), not all alike; one will do.
    """
    watched = _watch(network, images)
    if watched is None:
        return None
    outputs, followed = watched
    found = [
        (place, layer, tensor)
        for place, (name, module, tensor) in enumerate(outputs)
        if (layer := _layer(name, module, tensor, outputs, images, network)) is not None
    ]
    reached = _reached(followed, found)
    if not reached:
        return None
    big = [item for item in reached if item[1].layout != "maps" or min(item[2].shape[2:]) > 1]
    _, last, tensor = max(big or reached, key=lambda item: item[0])
    # Modules that hand the same tensor on: the outermost, and behind others that work in place.
    same = [(layer.name.count("."), -place, layer) for place, layer, t in reached if t is tensor]
    layer = min(same, key=lambda item: item[:2])[2]
    rectified = layer.layout == "maps" and _rectified(network, images, layer)
    shape = tuple(read_maps(tensor, layer).shape[1:])
    return layer.model_copy(update={"shape": shape, "rectified": rectified})


def tensor_of(output: Any) -> Any:
    """Return the first tensor of a module's output, which may be a tuple."""
    return output[0] if isinstance(output, tuple) and output else output


def _watch(
    network: nn.Module, images: Tensor
) -> tuple[list[tuple[str, nn.Module, Tensor]], list[Tensor]] | None:
    """Return names, modules and outputs of all modules that are called once, in the order in which
    they end, and what the logits are made of; None where they cannot be differentiated.

    That is the logits and the input of the last linear layer, whose weights may be zero before a
    training.
    """
    features: list[Tensor] = []
    outputs: list[tuple[str, nn.Module, Tensor]] = []
    with torch.enable_grad(), contextlib.ExitStack() as hooks:
        for name, module in network.named_modules():
            if name and not isinstance(module, torch.jit.ScriptModule):
                hooks.enter_context(module.register_forward_hook(_noting(outputs, name)))
                if isinstance(module, nn.Linear):
                    hooks.enter_context(
                        module.register_forward_hook(
                            lambda _, given, out: features.append(given[0])
                        )
                    )
        logits = network(images.detach().requires_grad_())
    if not logits.requires_grad:
        return None
    counts: dict[str, int] = {}
    for name, *_ in outputs:
        counts[name] = counts.get(name, 0) + 1
    return [item for item in outputs if counts[item[0]] == 1], [logits, *features[-1:]]


def _noting(outputs: list[tuple[str, nn.Module, Tensor]], name: str) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:
        tensor = tensor_of(output)
        if isinstance(tensor, Tensor):
            outputs.append((name, module, tensor))

    return hook


def _layer(
    name: str,
    module: nn.Module,
    tensor: Tensor,
    outputs: list[tuple[str, nn.Module, Tensor]],
    images: Tensor,
    network: nn.Module,
) -> FeatureLayer | None:
    """Return how feature maps are read from a module's output, None where they are not."""
    kind = type(module).__name__
    if isinstance(module, PASSIVE) or "Pool" in kind or "Drop" in kind:
        return None
    if not tensor.requires_grad or len(tensor) != len(images):
        return None
    patches = next((other.shape[2:] for _, _, other in outputs if other.ndim == 4), None)
    found = layout(name, tensor, images.shape[2:], patches)
    if found is not None and found.layout == "maps":
        passed = [m for _, m, other in outputs if other is tensor and m is not module]
        return None if any("Pool" in type(m).__name__ for m in passed) else found
    return found if _is_block(network, name, module) else None


def layout(
    name: str, tensor: Tensor, image: Sequence[int], patches: Sequence[int] | None = None
) -> FeatureLayer | None:
    """Return how feature maps are read from a module's output by its shape, None where they are
    not.

    Parameters
    ----------
    name : name of the module.
    tensor : output of the module, of any shape.
    image : height and width of the image.
    patches : height and width of the grid that the image was cut into, None where it is not known.
    """
    if tensor.ndim == 4 and alike(tensor.shape[2:], image):
        return FeatureLayer(name=name)
    if tensor.ndim == 4 and alike(tensor.shape[1:3], image):
        return FeatureLayer(name=name, layout="channels_last")
    if tensor.ndim != 3:
        return None
    known = None if patches is None else (patches[0], patches[1])
    grid = grid_of(tensor.shape[1], known, image)
    if grid is None:
        return None
    prefix = tensor.shape[1] - grid[0] * grid[1]
    return FeatureLayer(name=name, layout="tokens", grid=grid, prefix=prefix)


def grid_of(
    tokens: int, patches: tuple[int, int] | None, image: Sequence[int] = (1, 1)
) -> tuple[int, int] | None:
    """Return height and width of the grid that the last of some tokens form, None for no grid.

    Parameters
    ----------
    tokens : number T of tokens.
    patches : height and width of the grid that the image was cut into, None where it is not known.
        Networks that merge patches have a half, a quarter, ... of it.
    image : height and width of the image, whose proportion a grid that is not known has.
    """
    grids = _proportional(tokens, image) if patches is None else [patches]
    for height, width in grids:  # The list grows: sides are halved and rounded down or up.
        if patches is not None and height * width > 4:
            grids += [(height // 2, width // 2), (-(-height // 2), -(-width // 2))]
    fits = [g for g in grids if g[0] * g[1] > 1 and 0 <= tokens - g[0] * g[1] <= MOST_PREFIX]
    return max(fits, key=lambda grid: grid[0] * grid[1], default=None)


def _proportional(tokens: int, image: Sequence[int]) -> list[tuple[int, int]]:
    """Return the grids of at most so many cells in the image's proportion: exactly, where some
    grid is, and else but for rounding.
    """
    height, width = image
    grids = [
        (rows, columns)
        for rows in range(1, tokens + 1)
        for columns in sorted({rows * width // height, -(-rows * width // height)})
        if 0 < rows * columns <= tokens
    ]
    exact = [grid for grid in grids if grid[0] * width == grid[1] * height]
    large = [grid for grid in exact if tokens - grid[0] * grid[1] <= MOST_PREFIX]
    return large or grids


def _is_block(network: nn.Module, name: str, module: nn.Module) -> bool:
    """Return whether a module has parts, and siblings of its own class."""
    siblings = network.get_submodule(name.rpartition(".")[0]).children()
    alike = sum(type(sibling) is type(module) for sibling in siblings)
    return alike > 1 and any(True for _ in module.children())


def alike(shape: Any, image: Any) -> bool:
    """Return whether height and width are in the image's proportion, but for rounding."""
    height, width = shape
    return abs(height * image[1] - width * image[0]) <= max(image)


def _reached(
    followed: list[Tensor], found: list[tuple[int, FeatureLayer, Tensor]]
) -> list[tuple[int, FeatureLayer, Tensor]]:
    """Return the candidates on whose cells what is followed depends."""
    if not found:
        return []
    generator = torch.Generator().manual_seed(0)
    # Random weights, since sums of what is normalised do not depend on anything.
    weights = [torch.randn(tensor.shape, generator=generator).to(tensor) for tensor in followed]
    gradients = torch.autograd.grad(
        followed, [tensor for *_, tensor in found], weights, allow_unused=True
    )
    reached = []
    for item, gradient in zip(found, gradients, strict=True):
        if gradient is not None and bool(read_maps(gradient, item[1]).any()):
            reached.append(item)
    return reached


def read_maps(tensor: Tensor, layer: FeatureLayer) -> Tensor:
    """Return the feature maps (N, K, h, w) of a layer's output."""
    if layer.layout == "tokens":
        return tensor[:, layer.prefix :].transpose(1, 2).unflatten(2, layer.grid)
    if layer.layout == "channels_last":
        return tensor.permute(0, 3, 1, 2)
    return tensor


def written(maps: Tensor, tensor: Tensor, layer: FeatureLayer) -> Tensor:
    """Return a layer's output with other feature maps; the inverse of `read_maps`."""
    if layer.layout == "tokens":
        return torch.cat([tensor[:, : layer.prefix], maps.flatten(2).transpose(1, 2)], 1)
    if layer.layout == "channels_last":
        return maps.permute(0, 2, 3, 1)
    return maps


def taken(output: Any, layer: FeatureLayer) -> Tensor:
    """Return the feature maps (N, K, h, w) of what a layer puts out, behind its ReLU if there is
    one.
    """
    maps = read_maps(tensor_of(output), layer)
    return maps.relu() if layer.rectified else maps


def handed_on(maps: Tensor, output: Any, layer: FeatureLayer) -> Any:
    """Return what a layer is to put out for the network to go on with these feature maps.

    Parameters
    ----------
    maps : feature maps (M, K, h, w), as `taken` has them; they are copied.
    output : output of the layer for N images. Where M is another number, N is 1.
    layer : form of the output.
    """
    tensor = tensor_of(output)
    handed = maps.clone()  # What follows may work in place.
    if layer.rectified:
        # The network's own ReLU would keep the gradient from cells that are zero. The least number
        # above zero lets it through, and is lost in any sum.
        handed = handed + torch.finfo(maps.dtype).tiny
    if len(handed) != len(tensor):
        tensor = tensor.expand(len(handed), *tensor.shape[1:])
    handed = written(handed, tensor, layer)
    return (handed, *output[1:]) if isinstance(output, tuple) else handed


@torch.no_grad()
def _rectified(network: nn.Module, images: Tensor, layer: FeatureLayer) -> bool:
    """Return whether a network rectifies a layer's output: its logits are as if it was before.

    A network whose logits do not depend on the output at all tells nothing.
    """
    module = network.get_submodule(layer.name)

    def logits(change: Callable[[Tensor], Tensor]) -> Tensor:
        with module.register_forward_hook(lambda _, inputs, output: change(output)):
            found: Tensor = network(images)
        return found

    signs: list[bool] = []

    def noted(output: Tensor) -> Tensor:
        signs.append(bool((output < 0).any()))
        return output.clone()

    plain, rectified = logits(noted), logits(torch.relu)
    same = signs[0] and torch.equal(plain, rectified)
    return same and not torch.equal(plain, logits(torch.neg))
