"""Modules that compute what torch's functions do: one for each call that a network makes.

A network calls ``relu`` as a module, a function, a tensor's method or in place, and it is one
operation. `made` finds the module of a call by the function's name. A call that does something
else, such as a convolution whose weights depend on the image, has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx, nn

from shamsul.model.inside.layers import Mean, Reshape

ELEMENTWISE = (
    *(nn.ReLU, nn.Hardtanh, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.SiLU, nn.Mish),
    *(nn.GELU, nn.Hardswish, nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.Softplus),
)
"""Modules of activation functions, which see one number at a time."""
GATES = (nn.Sigmoid, nn.Hardsigmoid)
"""Modules whose outputs are factors between 0 and 1."""
LINEAR = (
    *(nn.Conv2d, nn.Linear, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.ConstantPad2d),
    *(nn.Flatten, Mean, Reshape),
)
"""Modules that are linear but for a constant."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
"""Modules of batch normalisation, which are linear in evaluation mode but for a constant."""
LINEAR_FUNCTIONS = {
    "add", "sub", "rsub", "neg", "cat", "concat", "concatenate", "stack", "getitem", "narrow",
    "select", "chunk", "split", "unbind", "tensor_split", "transpose", "permute", "movedim",
    "swapaxes", "pad", "interpolate", "upsample", "sum", "mean", "expand", "expand_as", "repeat",
    "tile", "roll", "flip", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "to", "float",
    "double", "half", "bfloat16", "type_as",
}  # fmt: skip
"""Names of functions that are linear in all tensors they are given."""
SAME = {
    "contiguous", "clone", "to", "float", "double", "half", "bfloat16", "type", "type_as", "cpu",
    "cuda", "requires_grad", "positive", "expand",
}  # fmt: skip
"""Names of functions that return what they are given, unless they change its type or shape."""
RESHAPING = {
    "flatten", "view", "reshape", "squeeze", "unsqueeze", "unflatten", "view_as", "reshape_as",
}  # fmt: skip
"""Names of functions that may arrange the same numbers, in the same order, in another shape."""
FILLED = {
    "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor", "zeros_like", "ones_like",
    "full_like", "empty_like", "rand_like", "randn_like",
}  # fmt: skip
"""Names of functions that are given the shape and type of a tensor, and not its values."""
RANDOM = {
    "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout",
}  # fmt: skip
"""Names of functions that do nothing in evaluation mode."""
VALUES = {"item", "tolist", "numpy", "is_nonzero", "equal", "allclose"}
"""Names of functions that hand the values of a tensor to Python."""
TO_PYTHON = {
    "__bool__", "__int__", "__float__", "__complex__", "__index__", "__contains__", "__array__",
}  # fmt: skip
"""Names of methods of a tensor by which Python asks for its values."""
NAMES = {
    "iadd": "add", "radd": "add", "isub": "sub", "subtract": "sub", "imul": "mul", "rmul": "mul",
    "multiply": "mul", "idiv": "div", "truediv": "div", "itruediv": "div", "divide": "div",
    "true_divide": "div",
}  # fmt: skip
"""Names of functions that have several, with the one that is used here."""


def plain(function: Callable[..., Any]) -> str:
    """Return a function's name without signs that it works in place or is an operator's."""
    name = str(getattr(function, "__name__", function))
    if name == "__get__":  # The function of a property, such as `x.T`.
        return str(getattr(getattr(function, "__self__", None), "__name__", name))
    if name in TO_PYTHON:
        return "item"
    name = name.strip("_")
    return NAMES.get(name, name)


def made(name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> nn.Module | None:
    """Return the module of a call, or None where there is none.

    Parameters
    ----------
    name : the function's plain name.
    arguments, named : arguments of the call; the first is the input.

    Returns
    -------
    A module in evaluation mode whose parameters and buffers are those that were given.
    """
    maker = MAKERS.get(name)
    try:
        return maker(*arguments, **named).eval() if maker else None
    except (TypeError, AttributeError):  # Another signature, or no module of these arguments.
        return None


def self_gated(
    one: fx.Node, other: fx.Node, parts: dict[str, Any]
) -> tuple[fx.Node, nn.Module] | None:
    """Return `x` and the module of a product ``x sigmoid(x)``, or None of another product.

    Parameters
    ----------
    one, other : the factors.
    parts : modules by their names in the graph.
    """
    for x, gate in ((one, other), (other, one)):
        if gate.op == "call_module" and gate.args == (x,):
            kinds = {nn.Sigmoid: nn.SiLU, nn.Hardsigmoid: nn.Hardswish}
            if kind := kinds.get(type(parts[str(gate.target)])):
                return x, kind()
    return None


def _of(kind: type[nn.Module], *settings: str) -> Callable[..., nn.Module]:
    """Return a maker of activations, whose settings have the names that the function has too."""

    def maker(input: Tensor, *values: Any, **named: Any) -> nn.Module:
        named.pop("inplace", None)
        return kind(**dict(zip(settings, values, strict=False)), **named)

    return maker


def _clamp(input: Tensor, min: Any = None, max: Any = None) -> nn.Module:
    if min == 0 and max is None:
        return nn.ReLU()
    return _hardtanh(input, float(min), float(max))


def _hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> nn.Module:
    return nn.ReLU6() if (min_val, max_val) == (0, 6) else nn.Hardtanh(min_val, max_val)


def _prelu(input: Tensor, weight: Tensor) -> nn.Module:
    made = nn.PReLU(device="meta")
    made.weight = _parameter(weight)
    return made


def _conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> nn.Module:  # fmt: skip
    outputs, each, height, width = weight.shape
    made = nn.Conv2d(
        groups * each, outputs, (height, width), stride, padding, dilation, groups, bias=False,
        device="meta",
    )  # fmt: skip
    made.weight = _parameter(weight)
    made.bias = None if bias is None else _parameter(bias)
    return made


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> nn.Module:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    made.weight = _parameter(weight)
    made.bias = None if bias is None else _parameter(bias)  # type: ignore[assignment]
    return made


def _batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5, *rest: Any,
) -> nn.Module:  # fmt: skip
    if training or running_mean is None or running_var is None or input.dim() not in (2, 4):
        raise TypeError("this normalises by statistics of the batch")
    kind = nn.BatchNorm1d if input.dim() == 2 else nn.BatchNorm2d
    made = kind(len(running_mean), eps, affine=False, device="meta")
    made.running_mean, made.running_var, made.num_batches_tracked = running_mean, running_var, None
    made.weight = None if weight is None else _parameter(weight)  # type: ignore[assignment]
    made.bias = None if bias is None else _parameter(bias)  # type: ignore[assignment]
    return made


def _parameter(tensor: Tensor) -> nn.Parameter:
    if isinstance(tensor, nn.Parameter):
        return tensor
    return nn.Parameter(tensor, requires_grad=False)


def _max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> nn.Module:  # fmt: skip
    if return_indices:
        raise TypeError("this returns places too")
    return nn.MaxPool2d(kernel_size, stride or None, padding, dilation, ceil_mode=ceil_mode)


def _avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> nn.Module:  # fmt: skip
    return nn.AvgPool2d(
        kernel_size, stride or None, padding, ceil_mode, count_include_pad, divisor_override
    )


def _adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: Any = False) -> nn.Module:
    if return_indices or output_size not in (1, (1, 1), [1, 1]):
        raise TypeError("its windows differ in size")
    return nn.MaxPool2d(tuple(input.shape[2:]))


def _mean(input: Tensor, dim: Any, keepdim: bool = False) -> nn.Module:
    places = {place % input.dim() for place in ((dim,) if isinstance(dim, int) else dim)}
    if input.dim() != 4 or places != {2, 3}:
        raise TypeError("this is no mean over space")
    return Mean(keepdim)


def _pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> nn.Module:
    if mode != "constant" or len(pad) != 4 or input.dim() != 4:
        raise TypeError("this pads with more than a constant, or not planes alone")
    return nn.ConstantPad2d(tuple(pad), value or 0.0)


MAKERS: dict[str, Callable[..., nn.Module]] = {
    "relu": _of(nn.ReLU),
    "relu6": lambda input, inplace=False: nn.ReLU6(),
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp,
    "leaky_relu": _of(nn.LeakyReLU, "negative_slope"),
    "prelu": _prelu,
    "elu": _of(nn.ELU, "alpha"),
    "selu": _of(nn.SELU),
    "celu": _of(nn.CELU, "alpha"),
    "silu": _of(nn.SiLU),
    "mish": _of(nn.Mish),
    "gelu": _of(nn.GELU),
    "hardswish": _of(nn.Hardswish),
    "sigmoid": _of(nn.Sigmoid),
    "hardsigmoid": _of(nn.Hardsigmoid),
    "tanh": _of(nn.Tanh),
    "softplus": _of(nn.Softplus, "beta", "threshold"),
    "conv2d": _conv2d,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "max_pool2d": _max_pool2d,
    "adaptive_max_pool2d": _adaptive_max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "adaptive_avg_pool2d": lambda input, output_size: nn.AdaptiveAvgPool2d(output_size),
    "mean": _mean,
    "pad": _pad,
}
"""Makers of modules by the plain name of a function; each has the function's own signature."""
