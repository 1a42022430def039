"""Device, batch size and model of the programs that ask the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shamsul.model.description import check_classes

if TYPE_CHECKING:
    from shamsul.model.classifier import Classifier

Device = Literal["auto", "cpu", "cuda"]
"""Processor to compute on; `auto` is a GPU where there is one."""
BATCH_SIZE = 32
"""Images that are given to the network at once on a GPU, by default."""


def load_model(
    checkpoint: Path, device: Device, batch_size: int, classes: Sequence[str]
) -> Classifier:
    """Load a job's classifier, once torch is set to be deterministic.

    Parameters
    ----------
    checkpoint : file of the classifier.
    device : processor to compute on.
    batch_size : images that are given to the network at once on a GPU.
    classes : names that the classifier must have, in this order.

    Raises
    ------
    InputError
        The checkpoint is unreadable or of other classes than `classes`, or there is no such device.
    """
    # Here, because they import torch.
    from shamsul.model.checkpoint import load
    from shamsul.model.device import be_deterministic, resolve_device

    be_deterministic()
    model = load(checkpoint, resolve_device(device), batch_size)
    check_classes(checkpoint, model.classes, classes)
    return model
