"""What the programs that ask the model have in common: their options, and the model itself."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from shamsul.model import checkpoint
from shamsul.model.classifier import Classifier
from shamsul.model.device import be_deterministic, resolve_device


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of a job on one shard: weights, images, and where and how fast it runs."""
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-size", type=int, default=32, help="of perturbed images, on a GPU")


def load_model(arguments: argparse.Namespace, classes: Sequence[str]) -> Classifier:
    """The classifier that `add_options` names, once torch is set to be deterministic.

    Raises
    ------
    InputError
        The checkpoint is unreadable or of other classes than `classes`, or there is no such device.
    """
    be_deterministic()
    device = resolve_device(arguments.device)
    model = checkpoint.load(arguments.checkpoint, device, arguments.batch_size)
    checkpoint.check_classes(arguments.checkpoint, model, classes)
    return model
