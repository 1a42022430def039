"""Predictions of perturbed radiographs, for several methods: rule `perturb`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from shamsul import cli, storage
from shamsul.explain.settings import Perturbations
from shamsul.explain.shared import ask
from shamsul.model import checkpoint
from shamsul.model.device import be_deterministic, resolve_device


def main() -> None:
    """Parse the arguments, ask the network, write the shard."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: seed, classes, perturbations"
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-size", type=int, default=32, help="of perturbed images, on a GPU")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--perturbed", type=Path, required=True, help="shard to write")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    be_deterministic()
    device = resolve_device(arguments.device)
    model = checkpoint.load(arguments.checkpoint, device, arguments.batch_size)
    settings = arguments.settings
    checkpoint.check_classes(arguments.checkpoint, model, settings["classes"])
    perturbed = ask(
        Perturbations(**settings["perturbations"]),
        model,
        storage.read_images(arguments.images),
        settings["seed"],
    )
    storage.write_perturbations(perturbed, arguments.perturbed)


if __name__ == "__main__":
    cli.run(main)
