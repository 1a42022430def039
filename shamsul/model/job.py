"""The options and the model of programs that ask the network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shamsul.model.description import check_classes

if TYPE_CHECKING:
    from shamsul.model.classifier import Classifier


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a job on one shard: weights, images, and where and how fast it runs."""
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-size", type=int, default=32, help="of perturbed images, on a GPU")


def load_model(arguments: argparse.Namespace, classes: Sequence[str]) -> Classifier:
    """Load the classifier that `add_options` names, once torch is set to be deterministic.

    Raises
    ------
    InputError
        The checkpoint is unreadable or of other classes than `classes`, or there is no such device.
    """
    # Here, because they import torch.
    from shamsul.model import checkpoint
    from shamsul.model.device import be_deterministic, resolve_device

    be_deterministic()
    device = resolve_device(arguments.device)
    model = checkpoint.load(arguments.checkpoint, device, arguments.batch_size)
    check_classes(arguments.checkpoint, model.classes, classes)
    return model
