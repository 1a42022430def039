"""The canoniser of networks, for LRP's rules: only linear layers, ReLU and pooling remain.

A network of any make is first taken apart (`shamsul.model.inside.tracing`): `modular` makes every
operation a module of its own. `canonised` also merges the batch norms
(`shamsul.model.inside.norms`) and makes gates constants for the gradient, so that the signal takes
all relevance (Arras et al., 2017, arXiv 1706.07206): ``x sigmoid(x)`` of SiLU, hardswish, and the
products of squeeze and excitation, ``x gate`` with a gate of shape (N, K, 1, 1) or that a sigmoid
made. ReLU6 becomes ``x gate`` too, with the gate ``ReLU6(x) / x``: relevance passes it on
unchanged, as it passes ReLU.

A network is taken apart once. What is returned is a copy that may be given hooks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from shamsul import lazy
from shamsul.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, fx, nn

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


def modular(network: nn.Module, images: Tensor) -> fx.GraphModule:
    """Return a network of modules that are used once and not in place.

    Parameters
    ----------
    network : any, (N, K, H, W) -> (N, C). It is not changed.
    images : (N, K, H, W), images like those that it is for.

    Returns
    -------
    A network of the same outputs, in evaluation mode, made of the same weights: its parameters
    and buffers *are* those of `network`.

    Raises
    ------
    InputError
        The network cannot be followed, as `shamsul.model.inside.tracing.traced` says.
    """
    return _kept(network, images, _modular)


def canonised(network: nn.Module, images: Tensor) -> fx.GraphModule:
    """Return a network of the same outputs, in evaluation mode, without batch norms.

    Parameters
    ----------
    network : any, (N, K, H, W) -> (N, C), of convolutions, batch norms, linear layers, ReLU and
        its kind, SiLU, hardswish, gates, pooling and operations that are linear. It is not
        changed: merged tensors are new, others are shared.
    images : (N, K, H, W), images like those that it is for.

    Returns
    -------
    The network to run LRP on. Its parameters are frozen; every `Conv2d`, `Linear`, ReLU, `Clamp`
    (`shamsul.model.inside.layers`) and max pooling is a module that is used once. `meta["first"]`
    has the names of the convolutions that see the image, and what the image passes before each (a
    module that is linear but for a constant, or None); `meta["others"]` lists the names of the
    other convolutions and linear layers that relevance passes.

    Raises
    ------
    InputError
        The network cannot be followed, or there is an operation that no rule exists for.
    """
    return _kept(network, images, _canonised)


def unsuited_to_lrp(network: nn.Module, images: Tensor) -> str | None:
    """Return why LRP cannot explain a network, naming what stands in the way, or None where it
    can.

    Parameters
    ----------
    network : any, (N, K, H, W) -> (N, C).
    images : (N, K, H, W), images like those that it is for.
    """
    try:
        canonised(network, images)
    except InputError as error:
        return str(error)
    return None


def folded(model: Classifier) -> Classifier:
    """Return the model for forward passes without gradients: faster, equal but for rounding.

    Batch norms are merged into convolutions wherever they can be, and dense blocks do not copy
    what they have. For a small network the difference is a tenth of the time. A network without
    batch norms, or that cannot be taken apart, stays as it is.

    Parameters
    ----------
    model : a classifier; it is not changed, and tensors that are not merged are shared.
    """
    network = model._modules.get("network")
    norms = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    if network is None or not any(isinstance(module, norms) for module in network.modules()):
        return model
    generator = torch.Generator().manual_seed(0)
    grey = torch.randint(256, (1, *model.size), generator=generator, dtype=torch.uint8)
    try:
        steps = _folded(network, model.normalise(grey))
    except InputError:
        return model
    copy: Any = _replica(model)
    copy._modules["network"] = steps
    return copy


_Form = Callable[["nn.Module", "Tensor"], "fx.GraphModule"]
_FORMS: WeakKeyDictionary[nn.Module, dict[_Form, tuple[Any, fx.GraphModule]]] = WeakKeyDictionary()
"""Networks taken apart, and what they were made of; they are made anew where that has changed."""


def _modular(network: nn.Module, images: Tensor) -> fx.GraphModule:
    from shamsul.model.inside.tracing import traced

    return traced(network, images)


def _canonised(network: nn.Module, images: Tensor) -> fx.GraphModule:
    from shamsul.model.inside import relevance_path
    from shamsul.model.inside.norms import merge_norms

    steps = _modular(network, images)
    merge_norms(steps)
    relevance_path.make_gates_constant(steps)
    relevance_path.check(steps)
    for module in steps.modules():
        for name, tensor in list(module.named_parameters(recurse=False)):
            setattr(module, name, torch.nn.Parameter(tensor.detach(), requires_grad=False))
    return steps


def _folded(network: nn.Module, images: Tensor) -> fx.GraphModule:
    from shamsul.model.inside.dense_blocks import share
    from shamsul.model.inside.norms import merge_norms

    steps = _modular(network, images)
    merge_norms(steps)
    share(steps)
    return steps


def _kept(network: nn.Module, images: Tensor, form: _Form) -> fx.GraphModule:
    """Return a copy of a network's form, which is made once for its weights and for images of a
    shape.
    """
    tensors = [*network.parameters(), *network.buffers()]
    weights = tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)
    source = (images.shape[1:], images.dtype, images.device, weights)
    forms = _FORMS.setdefault(network, {})
    if form not in forms or forms[form][0] != source:
        forms[form] = (source, form(network, images))
    return _replica(forms[form][1])


def _replica(module: Any) -> Any:
    """Copy a tree of modules, whose tensors are shared."""
    copy = object.__new__(type(module))
    for name, value in vars(module).items():
        # Dictionaries of children, parameters, buffers and hooks.
        vars(copy)[name] = value.copy() if isinstance(value, dict) else value
    for name, child in module._modules.items():
        copy._modules[name] = None if child is None else _replica(child)
    return copy
