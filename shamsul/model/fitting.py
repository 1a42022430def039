"""Fit of a file's weights to a network: names, head and channels.

People save weights under a prefix of their own, with a head of their own, beside the weights of a
loss. What a file holds is matched to the network's names, and what does not fit is said.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from shamsul.errors import InputError
from shamsul.model.networks.layers import first_name, head_name, summed
from shamsul.model.spec import Head
from shamsul.model.weights import StateDict, candidates

logger = logging.getLogger(__name__)

_OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")
"""Pattern of names in the published DenseNet files (`norm.1`), older than the ban on dots in such
names."""
SIGNS = {
    "timm": ("conv_stem.weight", "blocks.0.conv_dw.weight", "cls_token", "pre_logits.fc1.weight"),
    "torchvision": ("features.0.0.weight", "class_token", "encoder.pos_embedding"),
    "huggingface": ("embeddings.cls_token", "embeddings.patch_embeddings.projection.weight"),
}
"""Names that tell whose network a file's weights are of."""


@dataclass(frozen=True)
class Fit:
    """A file's weights under a network's names.

    Attributes
    ----------
    weights : tensors by the network's names, those of the head left out where it is another.
    head : head of the file, None where it is the network's own.
    head_weights : tensors of `head`'s layers, in their order: weight, and bias where there is one.
    outputs : number M of the file's outputs; 0 where the network has no linear layer.
    channels : number K of channels that the file's first convolution sees; 0 where there is none.
    """

    weights: StateDict
    head: Head | None
    head_weights: tuple[Tensor, ...]
    outputs: int
    channels: int


def fit(network: nn.Module, content: Any, path: str | Path, activation: str | None = None) -> Fit:
    """Match the weights in a file to a network that may have another head and first layer.

    Parameters
    ----------
    network : network of the architecture; its own weights do not matter.
    content : content of the file, as `shamsul.model.weights.read` returns it.
    path : file that messages name.
    activation : function between the linear layers of the file's head, if it has several.

    Raises
    ------
    InputError
        The file holds no weights, or those of another network.
    """
    found = candidates(content, path)
    own = set(network.state_dict())
    tried = [(key, *_renamed(weights, own)) for key, weights in found]
    key, weights, prefix = max(tried, key=lambda item: len(own & set(item[1])))
    if key:
        others = [other for other, *_ in tried if other != key]
        also = f"; it also holds {', '.join(others)}, which are not used" if others else ""
        logger.info("%s: takes the weights under %s%s", path, key, also)
    return matched(network, weights, path, activation, prefix)


def _renamed(weights: StateDict, own: set[str]) -> tuple[StateDict, str]:
    """Return weights without the prefix that the most names of the network have, and the prefix;
    under their own names where few are the network's.
    """
    weights = {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in weights.items()}
    prefixes = {""}
    for name in weights:
        parts = name.split(".")
        prefixes |= {".".join(parts[:depth]) + "." for depth in range(1, min(len(parts), 5))}

    def known(prefix: str) -> int:
        return sum(f"{prefix}{name}" in weights for name in own)

    best = max(sorted(prefixes, key=len), key=known)
    best = best if 2 * known(best) > len(own) else ""
    return {name.removeprefix(best): tensor for name, tensor in weights.items()}, best


def matched(
    network: nn.Module,
    weights: StateDict,
    path: str | Path,
    activation: str | None = None,
    prefix: str = "",
) -> Fit:
    """Match weights under the network's own names to it; see `fit`."""
    own = network.state_dict()
    head, first = head_name(network), first_name(network)
    head_keys = {f"{head}.weight", f"{head}.bias"} & set(own) if head is not None else set()
    # Files from before torch 0.4.1 lack these counters, and nothing here reads them.
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    missing = needed - set(weights) - head_keys
    if missing:
        raise InputError(_does_not_fit(network, weights, missing, path))
    plain = {name: tensor for name, tensor in weights.items() if name in own}
    found: Head | None = None
    made: tuple[Tensor, ...] = ()
    used: list[str] = []
    outputs = 0
    if head is not None:
        layer: Any = network.get_submodule(head)
        weight = plain.get(f"{head}.weight")
        if head_keys <= set(plain) and weight is not None and _is_linear(weight, layer.in_features):
            outputs = len(weight)
            own |= {name: own[name].new_empty(outputs, *own[name].shape[1:]) for name in head_keys}
        else:
            plain = {name: tensor for name, tensor in plain.items() if name not in head_keys}
            rest = {name: tensor for name, tensor in weights.items() if name not in plain}
            found, made, used = _head(rest, layer.in_features, path, activation)
            outputs = found.widths[-1]
    _check_shapes(plain, own, f"{first}.weight", network, path)
    _check_finite({**plain, **dict(zip(used, made, strict=True))}, path)
    channels = plain[f"{first}.weight"].shape[1] if first is not None else 0
    if left := [name for name in weights if name not in plain and name not in used]:
        logger.warning(
            "%s: %d of its tensors, such as %s, are no part of the network, and are left out",
            path, len(left), prefix + left[0],
        )  # fmt: skip
    return Fit({n: t.float() if t.is_floating_point() else t for n, t in plain.items()},
               found, tuple(t.float() for t in made), outputs, channels)  # fmt: skip


def _is_linear(weight: Tensor, inputs: int) -> bool:
    """Return whether a tensor is the weight of a linear layer of so many inputs."""
    return weight.ndim == 2 and weight.shape[1] == inputs


def _head(
    rest: StateDict, inputs: int, path: str | Path, activation: str | None
) -> tuple[Head, tuple[Tensor, ...], list[str]]:
    """Return the linear layers in a file that lead from `inputs` features to its outputs: their
    description, their tensors and the tensors' names.
    """
    width, widths, biases, made, used = inputs, [], [], [], []
    for name, tensor in rest.items():
        if name.endswith("weight") and _is_linear(tensor, width):
            bias = rest.get(name[: -len("weight")] + "bias")
            biased = bias is not None and bias.shape == tensor.shape[:1]
            width = tensor.shape[0]
            widths.append(width)
            biases.append(biased)
            made += [tensor, bias] if biased and bias is not None else [tensor]
            used += [name, name[: -len("weight")] + "bias"] if biased else [name]
    if not widths:
        raise InputError(
            f"{path}: holds no linear layer of {inputs} inputs for a head; give a file of a whole "
            "classifier, or train one with it as model.weights"
        )
    if len(widths) > 1 and activation is None:
        steps = " to ".join(map(str, (inputs, *widths)))
        raise InputError(
            f"{path}: its head has {len(widths)} linear layers ({steps}), and the file does not "
            "say what is between them; set model.head_activation, such as relu"
        )
    head = Head(
        widths=tuple(widths),
        biases=tuple(biases),
        activation=activation if len(widths) > 1 else None,
    )
    return head, tuple(made), used


def _check_shapes(
    weights: StateDict, own: StateDict, first: str, network: nn.Module, path: str | Path
) -> None:
    """Raise an InputError where a tensor's shape is another than the network's; that named `first`
    may see another number of channels.
    """
    for name, tensor in weights.items():
        shape, wanted = list(tensor.shape), list(own[name].shape)
        if name == first and len(shape) == len(wanted):
            wanted[1] = shape[1]
        if shape != wanted:
            raise InputError(
                f"{path}: does not fit {type(network).__name__}: its {name} is "
                f"{tuple(tensor.shape)}, not {tuple(own[name].shape)}; set model.network to the "
                "network that it is of"
            )


def _check_finite(weights: StateDict, path: str | Path) -> None:
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise InputError(
                f"{path}: {name} has values that are not finite; choose weights of a "
                "training that did not diverge"
            )


def _does_not_fit(
    network: nn.Module, weights: StateDict, missing: Iterable[str], path: str | Path
) -> str:
    order = [name for name in network.state_dict() if name in set(missing)]
    unknown = [name for name in weights if name not in network.state_dict()]
    more = f" and {len(order) - 1} more" if len(order) > 1 else ""
    line = f"{path}: does not fit {type(network).__name__}: lacks {order[0]}{more}"
    if unknown:
        rest = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        line += f"; has unknown {unknown[0]}{rest}"
    for source, signs in SIGNS.items():
        theirs, ours = (
            any(name.endswith(sign) for sign in signs for name in names)
            for names in (weights, network.state_dict())
        )
        if theirs and not ours:
            return f"{line}. Its names are those of {source}: set `network: {source}/NAME`"
    return (
        f"{line}. Set model.network to the network that it is of, or to a function of yours that "
        "builds it: `own/FILE.py:FUNCTION`"
    )


def load_body(network: nn.Module, weights: StateDict, path: str | Path) -> None:
    """Load all weights but the head's into a network, which has a fresh head.

    The first convolution's weights are summed to one channel, or divided among several, where the
    network sees another number.

    Raises
    ------
    InputError
        A weight is missing or of another shape.
    """
    own = network.state_dict()
    weights, _ = _renamed(weights, set(own))
    head, first = head_name(network), f"{first_name(network)}.weight"
    kept = {f"{head}.weight", f"{head}.bias"} & set(own)
    plain = {name: tensor for name, tensor in weights.items() if name in own and name not in kept}
    missing = {n for n in own if not n.endswith("num_batches_tracked")} - kept - set(plain)
    if missing:
        raise InputError(_does_not_fit(network, weights, missing, path))
    if first in plain and plain[first].shape[1] != own[first].shape[1]:
        channels = own[first].shape[1]
        logger.info(
            "%s: weights of %d input channels are made ones of %d by their sum",
            path, plain[first].shape[1], channels,
        )  # fmt: skip
        plain[first] = summed(plain[first], channels)
    _check_shapes(plain, own, "", network, path)
    _check_finite(plain, path)
    network.load_state_dict(plain, strict=False)
