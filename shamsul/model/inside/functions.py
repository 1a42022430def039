"""Calls of torch's functions while a network runs, seen and changed: what attention is made of.

A mode of torch is asked about every function that a network calls, whatever library the network is
of. The modes here take `torch.nn.MultiheadAttention` apart, know the module that is running, and
run a network so that gradients go to what depends on its images and not to its weights.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from shamsul.errors import InputError


class Functions(TorchFunctionMode):
    """A mode that takes apart `torch.nn.MultiheadAttention`, so that its steps are seen too.

    Subclasses write `call`. Attributes: `inside`, the names of the modules that are running.
    """

    def __init__(self, inside: list[str]) -> None:
        super().__init__()
        self.inside = inside

    @property
    def place(self) -> str:
        """Return the name of the module that is running."""
        return next((name for name in reversed(self.inside) if name), "the network")

    def call(self, function: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Return the result of one of torch's functions; no call within it is seen."""
        raise NotImplementedError

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Handle a call of one of torch's functions."""
        kwargs = kwargs or {}
        if func is functional.multi_head_attention_forward:
            given = inspect.signature(func).bind(*args, **kwargs)
            given.apply_defaults()
            with self:
                return _multi_head(given.arguments, self.place)
        return self.call(func, getattr(func, "__name__", ""), args, kwargs)


def frozen(network: nn.Module, images: Tensor) -> Tensor:
    """Return the logits (N, C), differentiable by what depends on the images and not by weights."""
    weights = {name: tensor.detach() for name, tensor in network.named_parameters()}
    logits: Tensor = torch.func.functional_call(network, weights, (images,))
    return logits


@contextlib.contextmanager
def running(network: nn.Module) -> Iterator[list[str]]:
    """Keep the names of the modules that are running, the innermost last, in the list given."""
    inside: list[str] = []

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: inside.append(name)

    def leave(*_: Any) -> None:
        inside.pop()

    with contextlib.ExitStack() as hooks:
        for name, module in network.named_modules():
            hooks.enter_context(module.register_forward_pre_hook(enter(name), prepend=True))
            hooks.enter_context(module.register_forward_hook(leave, always_call=True))
        yield inside


def probabilities(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return the probabilities that torch's `scaled_dot_product_attention` multiplies `value` with.

    Parameters
    ----------
    query, key, value : (..., heads, T, d). The others as torch's function has them.

    Returns
    -------
    (..., heads, T, T).
    """
    scores = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones_like(scores, dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1)


def fused(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments of a fused attention by name, with as many keys as queries."""
    given = inspect.signature(probabilities).bind(*args, **kwargs)
    given.apply_defaults()
    found = given.arguments
    if found["enable_gqa"]:
        groups = found["query"].shape[-3] // found["key"].shape[-3]
        for name in ("key", "value"):
            found[name] = found[name].repeat_interleave(groups, -3)
    return found


def _multi_head(given: dict[str, Any], place: str) -> tuple[Tensor, Tensor | None]:
    """Compute torch's `multi_head_attention_forward`, (T, N, D), in steps that a mode sees."""
    extra = ("bias_k", "bias_v", "static_k", "static_v", "key_padding_mask", "attn_mask")
    if any(given[name] is not None for name in extra) or given["add_zero_attn"]:
        raise InputError(f"{place}: masks and added keys of MultiheadAttention are not supported")
    inputs = [given["query"], given["key"], given["value"]]
    if given["use_separate_proj_weight"]:
        weights = [given[f"{name}_proj_weight"] for name in "qkv"]
    else:
        weights = list(given["in_proj_weight"].chunk(3))
    bias = given["in_proj_bias"]
    biases = [None] * 3 if bias is None else list(bias.chunk(3))
    if inputs[0] is inputs[1] is inputs[2] and not given["use_separate_proj_weight"]:
        projected = list(functional.linear(inputs[0], given["in_proj_weight"], bias).chunk(3, -1))
    else:
        projected = [functional.linear(*step) for step in zip(inputs, weights, biases, strict=True)]
    # (T, N, D) -> (N, heads, T, d)
    heads = [x.unflatten(-1, (given["num_heads"], -1)).permute(1, 2, 0, 3) for x in projected]
    mixed = functional.scaled_dot_product_attention(*heads)
    mixed = mixed.permute(2, 0, 1, 3).flatten(2)
    out = functional.linear(mixed, given["out_proj_weight"], given["out_proj_bias"])
    if not given["need_weights"]:
        return out, None
    weights_ = probabilities(*heads)
    return out, weights_.mean(1) if given["average_attn_weights"] else weights_


class Linear(torch.autograd.Function):
    """A linear layer without gradients of its weights, whose backward pass skips tokens without
    gradient: in the last block all but those that the output is computed from.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return ``x W^T + b``: (..., I) -> (..., J)."""
        ctx.save_for_backward(weight)
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return ``G W``: (..., J) -> (..., I)."""
        (weight,) = ctx.saved_tensors
        return by_tokens(gradient, lambda part, rows: part @ weight), None, None


def by_tokens(gradient: Tensor, product: Callable[[Tensor, Any], Tensor]) -> Tensor:
    """Return a product for each token with a gradient, and zeros for the others.

    Parameters
    ----------
    gradient : (..., J).
    product : function of the gradients (n, J) of n tokens, and of an index of these tokens among
        all, to (n, I).

    Returns
    -------
    (..., I).
    """
    flat = gradient.reshape(-1, gradient.shape[-1])
    rows = flat.any(1).nonzero()[:, 0]
    if 2 * len(rows) > len(flat):
        return product(flat, slice(None)).unflatten(0, gradient.shape[:-1])
    part = product(flat[rows], rows)
    out = part.new_zeros(len(flat), part.shape[1])
    out[rows] = part
    return out.unflatten(0, gradient.shape[:-1])
