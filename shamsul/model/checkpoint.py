"""Checkpoints: a trained classifier in a file, and the import of one trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from shamsul.errors import InputError
from shamsul.model import weights
from shamsul.model.backbones import BACKBONES, resized, untrained
from shamsul.model.classifier import Classifier
from shamsul.model.description import FORMAT, checked
from shamsul.storage.files import replacing


def save(classifier: Classifier, path: str | Path, selection: Mapping[str, float]) -> None:
    """Write a checkpoint; equal classifiers give equal bytes.

    It is a dictionary of plain values and tensors that ``torch.load(weights_only=True)`` reads;
    `state_dict` has torchvision's names.

    Parameters
    ----------
    classifier : classifier to save.
    path : file to write.
    selection : figures by which its weights were chosen, such as epoch and AUROC on tune.
    """
    content = {
        "format": FORMAT,
        "backbone": classifier.backbone,
        "classes": list(classifier.classes),
        "size": classifier.size,
        "digest": classifier.digest(),
        "selection": dict(selection),
        "state_dict": {
            # A fresh tensor, because `contiguous` keeps odd strides along axes of length one.
            name: torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor)
            for name, tensor in classifier.network.state_dict().items()
        },
    }
    # A file and not a path, because torch.save would write the path's temporary name into it.
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)


def load(path: str | Path, device: torch.device | str = "cpu", batch_size: int = 32) -> Classifier:
    """Read a checkpoint.

    Raises
    ------
    InputError
        The file is damaged, is no checkpoint of this program, or its weights are not those that
        it was written with.
    """
    classifier = _classifier(path, weights.read(path), batch_size)
    # Channels last, because forward passes then take about two thirds of the time on a CPU.
    return classifier.to(device).to(memory_format=torch.channels_last)


def import_checkpoint(
    path: str | Path, backbone: str, classes: Sequence[str], size: int
) -> Classifier:
    """Make a classifier from a checkpoint of ours or from a state dict of torchvision's names.

    Parameters
    ----------
    path : file to read; see `weights.state_dict` for the forms of a state dict that are understood.
    backbone : name of the weights' architecture.
    classes : names of its outputs, in their order.
    size : side in pixels of the images that it will see.

    Raises
    ------
    InputError
        The file is unreadable, or holds another network, other classes or another size.
    """
    content = weights.read(path)
    if isinstance(content, Mapping) and content.get("format") == FORMAT:
        classifier = _classifier(path, content)
        for key, theirs, ours in (
            ("model.backbone", classifier.backbone, backbone),
            ("classes", list(classifier.classes), list(classes)),
            ("data.size", classifier.size, size),
        ):
            if theirs != ours:
                raise InputError(
                    f"{path}: its {key} is {theirs}, not {ours} as configured; set {key}: {theirs}"
                )
        return classifier
    head = BACKBONES[backbone].head
    found = {
        # CheXNet's published code has the linear layer in a Sequential with a sigmoid.
        name.replace(f"{head}.0.", f"{head}.") if name.startswith(f"{head}.0.") else name: tensor
        for name, tensor in weights.state_dict(path, backbone).items()
    }
    bias = found.get(f"{head}.bias")
    if bias is not None and bias.shape != (len(classes),):
        raise InputError(
            f"{path}: its head has {bias.numel()} outputs, and `classes` lists {len(classes)}; "
            "list the classes that it was trained on, in their order"
        )
    network = untrained(backbone, len(classes), size, seed=0)
    weights.load(network, resized(found, backbone, size), path)
    return Classifier(network, tuple(classes), backbone, size)


def _classifier(path: str | Path, content: Any, batch_size: int = 32) -> Classifier:
    """Build the classifier that a checkpoint's content describes, and check its weights."""
    said = checked(path, content)
    state = content.get("state_dict")
    if (
        said.backbone not in BACKBONES
        or not isinstance(state, dict)
        or not all(isinstance(n, str) and isinstance(t, torch.Tensor) for n, t in state.items())
    ):
        raise InputError(f"{path}: not a checkpoint of this program; import it as model.checkpoint")
    network = untrained(said.backbone, len(said.classes), said.size, seed=0)
    weights.load(network, state, path)
    classifier = Classifier(network, said.classes, said.backbone, said.size, batch_size)
    if classifier.digest() != said.digest:
        raise InputError(f"{path}: its weights are not those it was written with; make it again")
    return classifier
