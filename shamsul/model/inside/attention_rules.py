"""The rules of AttnLRP as gradients, for every function of torch that a transformer calls.

Written from the paper (Achtibat et al., "AttnLRP: Attention-Aware Layer-Wise Relevance Propagation
for Transformers", ICML 2024, arXiv 2402.05602). The licence text of the authors' package lxt claims
a patent on LRP; nothing of that package is used here. Written as ``R = x G``, a relevance is a
tensor times a gradient that the rules alter, as in `shamsul.explain.lrp_propagation`:

softmax
    Taylor's expansion, ``R_i = x_i (R_i' - s_i sum_j R_j')``: the gradient itself (Eq. 13).
product of two tensors, ``A V``, ``Q K^T``, or elementwise
    uniform, each factor gets half: half the gradient (Eq. 14).
function of one number, ``y = f(x)`` with ``f(0) = 0`` (GELU, SiLU, ReLU, tanh)
    identity, ``R = R'``: ``G = G' y / x`` (Eq. 9).
layer norm
    identity, as the standard deviation is a constant (Proposition 3.4); the mean is linear.
linear layer and convolution
    gamma, ``R_i = sum_j (x_i w_ij + gamma (x_i w_ij)^s) / (z_j + gamma z_j^s) R_j`` where ``^s``
    keeps contributions of the sign of ``z_j``; gamma 0 is LRP-0, the gradient itself.

What is linear, or only moves numbers, hands on its gradient. Any other function is refused.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shamsul.errors import InputError
from shamsul.model.inside import relevance_gradients as steps
from shamsul.model.inside.attention_record import NO_ATTENTION, PRODUCTS
from shamsul.model.inside.functions import Functions, frozen, running

IDENTITY = {
    "elu", "gelu", "hardswish", "hardtanh", "leaky_relu", "mish", "relu", "relu6", "relu_", "silu",
    "tanh",
}  # fmt: skip
"""Functions of one number that are zero at zero."""
MULTIPLICATIONS = {"mul", "multiply", "__mul__", "__rmul__", "mul_", "__imul__"}
LINEAR = {
    "__add__", "__getitem__", "__iadd__", "__neg__", "__radd__", "__rsub__", "__sub__",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "add", "add_", "avg_pool2d", "batch_norm", "cat",
    "chunk", "clone", "concat", "contiguous", "double", "dropout", "expand", "expand_as", "flatten",
    "flip", "float", "index_select", "interpolate", "max_pool2d", "mean", "movedim", "narrow",
    "neg", "pad", "permute", "repeat", "reshape", "roll", "rsub", "select", "softmax", "split",
    "squeeze", "stack", "sub", "sub_", "sum", "t", "to", "transpose", "type_as", "unbind",
    "unflatten", "unfold", "unsqueeze", "view", "view_as",
}  # fmt: skip
"""Functions whose gradient is their rule: linear ones, softmax, and the largest of a window."""
QUOTIENTS = {"div", "divide", "true_divide", "__truediv__", "div_", "__itruediv__"}


class Rules(Functions):
    """A mode that gives every function the gradient of its rule.

    Attributes
    ----------
    convolution, linear : gamma of convolutions, and of linear layers.
    attentions : number of softmaxes and fused attentions that depend on the image.
    """

    def __init__(self, inside: list[str], convolution: float, linear: float) -> None:
        super().__init__(inside)
        self.convolution = convolution
        self.linear = linear
        self.attentions = 0

    def call(self, function: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Return the result of a function, with the gradient of its rule.

        Raises
        ------
        InputError
            The function depends on the image, and there is no rule for it.
        """
        followed = [x for x in _tensors((args, kwargs)) if x.requires_grad]
        if not followed or name in ("__get__", "__set__"):
            return function(*args, **kwargs)
        if function is functional.scaled_dot_product_attention:
            self.attentions += 1
            return steps.fused(*args, **kwargs)
        if name == "layer_norm":
            return steps.layer_norm(*args, **kwargs)
        if name == "rms_norm":
            return steps.rms_norm(*args, **kwargs)
        if name == "linear":
            return steps.linear(self.linear, *args, **kwargs)
        if name == "conv2d":
            return steps.convolution(self.convolution, *args, **kwargs)
        if name in IDENTITY:
            # A copy, as the function may work in place.
            value = function(args[0].detach().clone(), *args[1:], **kwargs)
            return steps.identity(args[0], value)
        if name in PRODUCTS or name in MULTIPLICATIONS:
            args, kwargs = steps.shared((args, kwargs), 1 / len(followed))
            return function(*args, **kwargs)
        result = function(*args, **kwargs)
        divided = name in QUOTIENTS and len(followed) == 1 and followed[0] is args[0]
        if not (name in LINEAR or divided or _without_gradient(result)):
            raise InputError(f"{self.place}: there is no rule of relevance for {name}")
        # Over pairs of tokens, and not over classes or branches.
        self.attentions += name == "softmax" and result.shape[-1:] == result.shape[-2:-1]
        return result


def relevance(
    network: nn.Module, images: Tensor, classes: Tensor, convolution: float, linear: float
) -> Tensor:
    """Return the relevance of pixels for the logits of some classes.

    Parameters
    ----------
    network : (N, K, H, W) -> (N, C), in evaluation mode.
    images : (N, K, H, W).
    classes : (c,) int64, indices of logits.
    convolution, linear : gamma of convolutions, and of linear layers, 0 or more.

    Returns
    -------
    (N, c, H, W), signed, summed over the images' channels.

    Raises
    ------
    InputError
        The network calls a function without a rule, or has no attention.
    """
    with torch.enable_grad(), running(network) as inside:
        images = images.detach().requires_grad_()
        mode = Rules(inside, convolution, linear)
        with mode:
            logits = frozen(network, images)
        sums = logits.sum(0).unbind()
    if not mode.attentions:
        raise InputError(NO_ATTENTION)
    maps = []
    for index in classes.tolist():
        (gradient,) = torch.autograd.grad(sums[index], images, retain_graph=True)
        maps.append((gradient * images.detach()).sum(1))
    return torch.stack(maps, 1)


def unsuited(network: nn.Module, images: Tensor) -> str | None:
    """Return why AttnLRP cannot explain a network, or None where it can.

    Parameters
    ----------
    network : (N, K, H, W) -> (N, C), in evaluation mode.
    images : (N, K, H, W), an example; one image is enough.
    """
    try:
        relevance(network, images[:1], torch.tensor([0]), 0.25, 0.05)
    except InputError as error:
        return str(error)
    return None


def _tensors(arguments: Any) -> list[Tensor]:
    """Return all tensors in nested arguments."""
    if isinstance(arguments, Tensor):
        return [arguments]
    if isinstance(arguments, dict):
        arguments = list(arguments.values())
    if isinstance(arguments, list | tuple):
        return [x for a in arguments for x in _tensors(a)]
    return []


def _without_gradient(result: Any) -> bool:
    return not any(x.requires_grad for x in _tensors(result))
