"""The canoniser of networks, for LRP's rules: only linear layers, ReLU and pooling remain.

`modular` makes every ReLU a module of its own, `canonised` also takes the batch norms away. Batch
normalisation is linear in evaluation mode, yet no rule fits it: written as a layer of its own it
has a bias of any size that swallows relevance (Pahde et al., 2023, arXiv 2211.17174). So it is
merged into a neighbouring layer:

to the left (conv, BN)
    ``BN(W x + d) = (s W) x + (s d + b)`` with ``s = gamma / sqrt(variance + eps)`` and
    ``b = beta - s mean``;
to the right (BN, ReLU, conv), as DenseNet has it
    ``ReLU(s x + b) = s (c(x) - t)`` with ``t = -b / s``, where ``c`` clamps ``x`` at ``t``, from
    below if ``s > 0`` and from above if ``s < 0``. The next layer takes ``s`` into its weights and
    ``-s t`` through them into its bias; average pooling between the two changes nothing.

Only layers without zero padding can follow a merge to the right, because a border of zeros is not
a border of `t`. In torchvision's DenseNet these are 1 x 1 convolutions and the classifier.

EfficientNet's gates become constants for the gradient, so that the signal takes all relevance
(Arras et al., 2017, arXiv 1706.07206): ``x sigmoid(x)`` of SiLU, which so passes relevance on
unchanged, and the products of squeeze and excitation.
"""

from __future__ import annotations

import copy
import itertools
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from shamsul import lazy
from shamsul.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
else:
    torch = lazy.load("torch")

SMALLEST_SCALE = 1e-12
"""Smallest distance from zero of a batch norm's scale, so that its threshold is finite."""


def unsuited_to_lrp(network: nn.Module, images: Tensor) -> str | None:
    """Return why a network cannot be `canonised`, or None where it can."""
    try:
        canonised(network)
    except InputError as error:
        return str(error)
    return None


def modular(network: nn.Module) -> nn.Module:
    """Return the network with every ReLU and max pooling a module that is used once, not in place.

    Parameters
    ----------
    network : a torchvision DenseNet, ResNet or VGG, or any `Sequential`; of other networks what
        is no module stays so. It is not changed.

    Returns
    -------
    A network of the same outputs, in evaluation mode, made of the same weights: its parameters
    and buffers *are* those of `network`.
    """
    return _rewritten(network, _in_steps).eval()


def canonised(network: nn.Module) -> nn.Module:
    """Return a network of the same outputs, in evaluation mode, without batch norms.

    Parameters
    ----------
    network : a torchvision DenseNet, ResNet, VGG or EfficientNet, or a `Sequential` of
        convolutions, batch norms, linear layers, ReLU, SiLU and pooling. It is not changed:
        merged tensors are new, others are shared.

    Returns
    -------
    The network to run LRP on. Its `Conv2d` and `Linear` modules are frozen; every ReLU, `Clamp`
    (`shamsul.model.layers`) and max pooling is a module that is used once.

    Raises
    ------
    InputError
        A layer is left that no rule exists for.
    """
    network = modular(network)
    with torch.no_grad():
        _merge_norms(network)
    network = _rewritten(network, _constant_gates)
    _check(network)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            for name, tensor in list(layer.named_parameters(recurse=False)):
                setattr(layer, name, torch.nn.Parameter(tensor.detach(), requires_grad=False))
    return network


def folded(model: nn.Module) -> nn.Module:
    """Return the model for forward passes without gradients: faster, equal but for rounding.

    Batch norms are merged into convolutions wherever they can be, and dense blocks do not copy
    what they have. For a small network the difference is a tenth of the time.

    Parameters
    ----------
    model : any, a whole classifier too; it is not changed, and tensors that are not merged are
        shared.
    """
    model = modular(model)
    with torch.no_grad():
        _merge_norms(model)
    return _rewritten(model, _without_copies)


def _without_copies(module: Any) -> nn.Module:
    from shamsul.model import small_densenet
    from shamsul.model.layers import DenseBlock

    if not _is(module, small_densenet.DenseBlock, "densenet._DenseBlock"):
        return module
    layers: list[Any] = list(module.children())
    steps = [
        torch.nn.Sequential(
            layer.norm1, layer.relu1, layer.conv1, layer.norm2, layer.relu2, layer.conv2
        )
        for layer in layers
    ]
    return DenseBlock(torch.nn.ModuleList(steps), layers[0].conv2.out_channels)


def _is(module: nn.Module, *kinds: type[nn.Module] | str) -> bool:
    """Return whether a module is of one of some classes.

    Parameters
    ----------
    kinds : classes, or names of classes in `torchvision.models`, which is not imported for them:
        where nobody has, no module is of its classes.
    """
    for kind in kinds:
        if isinstance(kind, str):
            file, _, name = kind.rpartition(".")
            home = sys.modules.get(f"torchvision.models.{file}")
            if home is not None and isinstance(module, getattr(home, name)):
                return True
        elif isinstance(module, kind):
            return True
    return False


def _rewritten(module: nn.Module, change: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Copy a tree of modules, changed from the leaves up, with the same tensors.

    A module that has two places in the tree becomes two.
    """
    module = copy.copy(module)
    for name, value in vars(module).items():
        if isinstance(value, dict):  # Dictionaries of children, parameters, buffers and hooks.
            vars(module)[name] = value.copy()
    for name, child in module._modules.items():
        if child is not None:
            module._modules[name] = _rewritten(child, change)
    return change(module)


def _in_steps(module: Any) -> nn.Module:
    """Return what a network or block computes in its `forward`, as modules."""
    from shamsul.model import small_densenet
    from shamsul.model.layers import Residual

    nn = torch.nn
    children = OrderedDict(module.named_children())
    if getattr(module, "inplace", False):
        module.inplace = False
    if _is(module, "densenet._DenseLayer"):
        module.memory_efficient = False  # Otherwise it would compute, and call hooks, twice.
    if _is(module, small_densenet.SmallDenseNet, "densenet.DenseNet"):
        names = list(children["features"]._modules)
        steps = OrderedDict(
            features=module.features[: names.index("norm5")],
            norm=module.features.norm5,
            relu=nn.ReLU(),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=module.classifier,
        )
        return nn.Sequential(steps)
    if _is(module, "resnet.ResNet"):
        head = children.pop("fc")
        return nn.Sequential(OrderedDict(**children, flatten=nn.Flatten(), fc=head))
    if _is(module, "resnet.BasicBlock", "resnet.Bottleneck"):
        branch: OrderedDict[str, nn.Module] = OrderedDict()
        for number in (1, 2, 3):
            if f"conv{number}" in children:
                if number > 1:
                    branch[f"relu{number - 1}"] = nn.ReLU()
                branch[f"conv{number}"] = children[f"conv{number}"]
                branch[f"bn{number}"] = children[f"bn{number}"]
        return Residual(nn.Sequential(branch), module.downsample or nn.Identity(), nn.ReLU())
    if _is(module, "efficientnet.MBConv", "efficientnet.FusedMBConv"):
        # Stochastic depth does nothing in evaluation mode.
        return (
            Residual(module.block, nn.Identity(), nn.Identity())
            if module.use_res_connect
            else module.block
        )
    return module


def _constant_gates(module: Any) -> nn.Module:
    """Replace EfficientNet's products by products with a constant."""
    from shamsul.model.layers import Gated, SelfGated

    if isinstance(module, torch.nn.SiLU):
        return SelfGated()
    if _is(module, "efficientnet.SqueezeExcitation"):
        steps = (module.avgpool, module.fc1, module.activation, module.fc2, module.scale_activation)
        return Gated(torch.nn.Sequential(*steps))
    return module


def _check(module: nn.Module, name: str = "") -> None:
    from shamsul.model.layers import Clamp, Gated, SelfGated

    nn = torch.nn
    linear = (nn.Conv2d, nn.Linear, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
    others = (nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Dropout, nn.Identity)
    if isinstance(module, (*linear, *others, Clamp, Gated, SelfGated)):
        return
    if not module._modules:
        raise InputError(
            f"LRP: no rule for {type(module).__name__} (layer {name}); "
            f"choose a DenseNet, ResNet, VGG or EfficientNet, or another method"
        )
    for key, child in module.named_children():
        _check(child, f"{name}.{key}".strip("."))


def _merge_norms(network: nn.Module) -> None:
    """Merge batch norms into the layer before them, or else into the one behind the ReLU."""
    nn = torch.nn
    for chain, names in list(_chains(network)):
        for first, second in itertools.pairwise(names):
            conv, norm = getattr(chain, first), getattr(chain, second)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                _merge_left(conv, norm)
                setattr(chain, second, nn.Identity())
        for first, second, *others in (names[start:] for start in range(len(names) - 2)):
            norm, relu = getattr(chain, first), getattr(chain, second)
            if isinstance(norm, nn.BatchNorm2d) and isinstance(relu, nn.ReLU):
                linear = _next_linear([getattr(chain, name) for name in others])
                if linear is not None and linear.weight.shape[1] == norm.num_features:
                    setattr(chain, second, _merge_right(norm, linear))
                    setattr(chain, first, nn.Identity())


def _chains(network: nn.Module) -> Iterator[tuple[nn.Module, list[str]]]:
    """Yield modules whose children follow on one another and are used nowhere else, with their
    names.
    """
    from shamsul.model import small_densenet

    kinds = (torch.nn.Sequential, small_densenet.DenseLayer, "densenet._DenseLayer")
    for module in network.modules():
        if _is(module, *kinds):
            yield module, list(module._modules)


def _next_linear(layers: list[nn.Module]) -> nn.Conv2d | nn.Linear | None:
    """Return the first linear layer, if a constant of all positions can be moved into its bias."""
    nn = torch.nn
    for layer in layers:
        if isinstance(layer, nn.Linear):
            return layer
        if isinstance(layer, nn.Conv2d):
            return layer if layer.padding == (0, 0) and layer.groups == 1 else None
        averages = isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1))
        if not averages and not isinstance(layer, nn.Flatten | nn.Dropout | nn.Identity):
            return None
    return None


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return scale and shift, both (K,), that a batch norm applies in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - scale * norm.running_mean


def _merge_left(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    scale, shift = _affine(norm)
    bias = 0 if conv.bias is None else conv.bias * scale
    conv.bias = torch.nn.Parameter(shift + bias)
    conv.weight = torch.nn.Parameter(conv.weight * scale[:, None, None, None])


def _merge_right(norm: nn.BatchNorm2d, linear: nn.Conv2d | nn.Linear) -> nn.Module:
    """Merge a batch norm into the layer behind the ReLU; return what takes the ReLU's place."""
    from shamsul.model.layers import Clamp

    scale, shift = _affine(norm)
    scale = torch.where(scale.abs() < SMALLEST_SCALE, SMALLEST_SCALE, scale)
    threshold = -shift / scale
    weight = linear.weight * scale.reshape(-1, *[1] * (linear.weight.dim() - 2))
    bias = weight.flatten(2).sum(2) if weight.dim() == 4 else weight
    bias = bias @ -threshold + (0 if linear.bias is None else linear.bias)
    linear.weight, linear.bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)
    bounds = [
        torch.where(side, threshold, unbounded)[:, None, None]
        for side, unbounded in ((scale > 0, -torch.inf), (scale < 0, torch.inf))
    ]
    return Clamp(*bounds)
