"""Checkpoints: a trained classifier in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from shamsul.errors import InputError
from shamsul.model import weights
from shamsul.model.classifier import Classifier
from shamsul.model.description import FORMAT, checked
from shamsul.model.networks.build import build
from shamsul.model.outputs import mapped
from shamsul.storage.files import replacing


def save(classifier: Classifier, path: str | Path, selection: Mapping[str, float]) -> None:
    """Write a checkpoint; equal classifiers give equal bytes.

    It is a dictionary of plain values and tensors that ``torch.load(weights_only=True)`` reads;
    `state_dict` has the network's own names.

    Parameters
    ----------
    classifier : classifier to save.
    path : file to write.
    selection : figures by which its weights were chosen, such as epoch and AUROC on tune.
    """
    content = {
        "format": FORMAT,
        "spec": _json(classifier.spec.model_dump()),
        "structure": _json(classifier.structure.model_dump()),
        "digest": classifier.digest(),
        "selection": dict(selection),
        "state_dict": {
            # A fresh tensor, because `contiguous` keeps odd strides along axes of length one.
            name: torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor)
            for name, tensor in classifier.inner.state_dict().items()
        },
    }
    # A file and not a path, because torch.save would write the path's temporary name into it.
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)


def _json(values: Any) -> str:
    return json.dumps(values, sort_keys=True)


def load(path: str | Path, device: torch.device | str = "cpu", batch_size: int = 32) -> Classifier:
    """Read a checkpoint.

    Raises
    ------
    InputError
        The file is damaged, is no checkpoint of this program, or its weights are not those that
        it was written with.
    """
    classifier = from_content(path, weights.read(path), batch_size)
    # Channels last, because forward passes then take about two thirds of the time on a CPU.
    return classifier.to(device).to(memory_format=torch.channels_last)


def from_content(path: str | Path, content: Any, batch_size: int = 32) -> Classifier:
    """Build the classifier that a checkpoint's content describes, and check its weights."""
    said = checked(path, content)
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()
    ):
        raise InputError(f"{path}: not a checkpoint of this program; import it as model.checkpoint")
    network = build(said.spec, seed=0)
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise InputError(
            f"{path}: its weights are not those of {said.spec.network} as it is built now; has its "
            "code changed? train or import it again"
        ) from None
    classifier = Classifier(
        mapped(network, said.spec.outputs), said.spec, batch_size, said.structure
    )
    if classifier.digest() != said.digest:
        raise InputError(f"{path}: its weights are not those it was written with; make it again")
    return classifier
