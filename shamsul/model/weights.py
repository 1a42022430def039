"""Files of weights made elsewhere, brought to torchvision's names.

Nothing in a file is executed (`weights_only`), whatever a pickle may ask for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shamsul.errors import InputError

StateDict = dict[str, Tensor]

_OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")
"""Pattern of names in the published DenseNet files (`norm.1`), older than the ban on dots in such
names."""


def read(path: str | Path) -> Any:
    """Read the content of a file written by `torch.save`, onto the CPU.

    Raises
    ------
    InputError
        The file is missing, truncated, not from `torch.save`, or asks for code to be run.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of weights; correct the path") from None
    except Exception as error:  # unpickling bad bytes can raise anything
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"{path}: not a readable file of weights, damaged or not from torch.save ({reason}); "
            "fetch or make it again"
        ) from None


def state_dict(path: str | Path, backbone: str) -> StateDict:
    """Read the weights in a file, under torchvision's names.

    The weights may lie under a key `state_dict` or `model`, and their names may begin with
    `module.` (data-parallel training), `model.`, `network.` or the backbone's name, as in
    CheXNet's and CheXpert's published code.

    Raises
    ------
    InputError
        The file is unreadable or holds no state dict.
    """
    content = read(path)
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not (
        isinstance(content, Mapping)
        and content
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    ):
        raise InputError(f"{path}: holds no state dict (names and tensors) of a {backbone}")
    weights = dict(content)
    prefixes = ("module.", "model.", "network.", f"{backbone}.")
    while prefix := next((p for p in prefixes if all(k.startswith(p) for k in weights)), None):
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in weights.items()}


def load(network: nn.Module, weights: StateDict, path: str | Path, without: str = "") -> None:
    """Load weights into a network of torchvision's, all of them or none.

    Parameters
    ----------
    network : network to change in place.
    weights : tensors under torchvision's names.
    path : file that messages name.
    without : name of a layer (the head) that keeps its own weights.

    Raises
    ------
    InputError
        A weight is missing, unknown or of another shape: names the first such one.
    """
    skipped = tuple(f"{without}.{part}" for part in ("weight", "bias")) if without else ()
    weights = {name: tensor for name, tensor in weights.items() if name not in skipped}
    own = {name: tensor for name, tensor in network.state_dict().items() if name not in skipped}
    # Files from before torch 0.4.1 lack these counters, and nothing here reads them.
    missing = [n for n in own if n not in weights and not n.endswith("num_batches_tracked")]
    unknown = [n for n in weights if n not in own]
    shapes = [
        f"{n} is {tuple(weights[n].shape)}, not {tuple(own[n].shape)}"
        for n in own
        if n in weights and weights[n].shape != own[n].shape
    ]
    faults = [
        f"{what} {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for what, names in (("lacks", missing), ("has unknown", unknown), ("its", shapes))
        if names
    ]
    if faults:
        raise InputError(f"{path}: does not fit {type(network).__name__}: {'; '.join(faults)}")
    broken = [n for n, t in weights.items() if t.is_floating_point() and not t.isfinite().all()]
    if broken:
        raise InputError(
            f"{path}: {broken[0]} has values that are not finite; choose weights of a "
            "training that did not diverge"
        )
    network.load_state_dict(weights, strict=False)
