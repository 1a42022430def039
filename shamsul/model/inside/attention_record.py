"""Attention of a transformer, found by what it computes and not by its name.

Whatever library a network is of, an attention is ``softmax(Q K^T) V``: a fused call of torch, the
function behind `torch.nn.MultiheadAttention`, or a softmax whose result multiplies values. All
three pass through torch's functions. A mode that sees these functions replaces the first two by an
explicit softmax of the same result, and so has the probabilities of each head, and their gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from shamsul.errors import InputError
from shamsul.model.inside.functions import Functions, Linear, frozen, fused, probabilities, running

Leaves = Literal["first", "each"]

PRODUCTS = ("matmul", "__matmul__", "bmm", "einsum")
"""Names of torch's functions that multiply probabilities and values."""
UNCHANGED = ("dropout", "to", "type_as", "contiguous", "clone")
"""Names of torch's functions that hand probabilities on, in evaluation mode."""

NO_ATTENTION = "no module computes an attention, a softmax that weighs values"


@dataclass
class Recorded:
    """A forward pass with its attentions.

    Attributes
    ----------
    probabilities : attention of each layer, from first to last, (N, heads, T, T).
    modules : names of the modules that compute them.
    logits : (N, C).
    """

    probabilities: list[Tensor] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    logits: Tensor = field(default_factory=lambda: torch.zeros(0))


class Recorder(Functions):
    """A mode that makes every attention explicit and records its probabilities.

    Attributes
    ----------
    recorded : attentions found so far.
    leaves : the attentions that begin a graph, as `record` has them.
    """

    def __init__(self, inside: list[str], recorded: Recorded, leaves: Leaves = "first") -> None:
        super().__init__(inside)
        self.recorded = recorded
        self.leaves = leaves
        self.open: dict[int, Tensor] = {}  # Softmaxes that nothing has been multiplied with yet.

    def call(self, function: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Return the result of a function, that of a fused attention from its explicit form."""
        if function is functional.scaled_dot_product_attention:
            given = fused(*args, **kwargs)
            return self.attended(probabilities(**given), given["value"]) @ given["value"]
        if name == "linear" and args[0].requires_grad and not kwargs:
            return Linear.apply(*args, *[None] * (3 - len(args)))
        if name in PRODUCTS:
            args = self._weighed(args)
        result = function(*args, **kwargs)
        if name == "softmax" and result.dim() > 2 and result.shape[-1] == result.shape[-2]:
            self.open[id(result)] = result
        elif name in UNCHANGED and args and id(args[0]) in self.open:
            del self.open[id(args[0])]
            self.open[id(result)] = result
        return result

    def _weighed(self, args: Any) -> Any:
        """Return the arguments of a product, its probabilities recorded where it has any."""
        operands = _operands(args)
        for found in operands:
            if id(found) in self.open:
                del self.open[id(found)]
                (values,) = (x for x in operands if x is not found)
                weights = self.attended(found, values)
                return _replaced(args, found, weights)
        return args

    def attended(self, found: Tensor, values: Tensor) -> Tensor:
        """Record the probabilities of one layer, and return those to multiply `values` with."""
        if self.leaves == "each" or not found.requires_grad:  # Such as the first.
            found = found.detach().requires_grad_()
        self.recorded.probabilities.append(found)
        self.recorded.modules.append(self.place)
        return found


def record(network: nn.Module, images: Tensor, leaves: Leaves = "first") -> Recorded:
    """Run a forward pass in which every attention is explicit, and record the attentions.

    Parameters
    ----------
    network : (N, K, H, W) -> (N, C), in evaluation mode.
    images : (N, K, H, W).
    leaves : `first` where logits are to be differentiable by all probabilities; `each` where each
        layer's probabilities are to be a leaf of their own.

    Raises
    ------
    InputError
        There is no attention, or one that is not from all tokens of an image to all of them.
    """
    recorded = Recorded()
    with torch.enable_grad(), running(network) as inside:
        with Recorder(inside, recorded, leaves) as mode:
            recorded.logits = frozen(network, images.detach())
        _check(recorded, len(images), mode.open)
    return recorded


def _check(recorded: Recorded, images: int, left: dict[int, Tensor]) -> None:
    if left:
        raise InputError("a softmax over pairs of tokens is changed before it weighs values")
    if not recorded.probabilities:
        raise InputError(NO_ATTENTION)
    tokens = recorded.probabilities[0].shape[-1]
    for name, found in zip(recorded.modules, recorded.probabilities, strict=True):
        shape = tuple(found.shape)
        check_heads(name, found)
        if shape[0] != images:
            raise InputError(f"{name}: attends within windows, not from all tokens to all")
        if shape[2] != shape[3]:
            raise InputError(
                f"{name}: attends from {shape[2]} to {shape[3]} tokens, which is no self-attention"
            )
        if shape[3] != tokens:
            raise InputError(
                f"{name}: has {shape[3]} tokens and the first attention {tokens}, so that they are "
                "not the same patches"
            )


def check_heads(name: str, found: Tensor) -> None:
    """Raise an InputError where probabilities are not (N, heads, T, T)."""
    if found.dim() != 4:
        raise InputError(f"{name}: its heads are not a dimension of their own")


def _operands(args: Any) -> list[Any]:
    """Return the tensors among the arguments of a product, also of einsum's, in a list or not."""
    flat = [x for a in args for x in (a if isinstance(a, list | tuple) else (a,))]
    return [x for x in flat if isinstance(x, Tensor)]


def _replaced(args: Any, old: Tensor, new: Tensor) -> list[Any]:
    """Return the arguments of a product, one operand replaced."""

    def change(x: Any) -> Any:
        return new if x is old else x

    return [
        type(a)(change(x) for x in a) if isinstance(a, list | tuple) else change(a) for a in args
    ]
