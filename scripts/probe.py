"""What the model says of one method's heatmaps of one shard: rule `probe`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from shamsul import cli, storage
from shamsul.explain import registry
from shamsul.model import checkpoint
from shamsul.model.device import be_deterministic, resolve_device
from shamsul.probe.run import probe
from shamsul.probe.settings import Probe


def main() -> None:
    """Parse the arguments, ask the model, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON: seed, classes, probe, entry, perturbations",
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--heatmaps", type=Path, required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-size", type=int, default=32, help="of perturbed images, on a GPU")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--probes", type=Path, required=True, help="table to write")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    be_deterministic()
    device = resolve_device(arguments.device)
    model = checkpoint.load(arguments.checkpoint, device, arguments.batch_size)
    settings = arguments.settings
    checkpoint.check_classes(arguments.checkpoint, model, settings["classes"])
    table = probe(
        model,
        storage.read_images(arguments.images),
        storage.read_heatmaps(arguments.heatmaps),
        registry.one(settings["entry"]),
        Probe(**settings["probe"]),
        settings["seed"],
        settings["perturbations"],
    )
    storage.write_table(table, arguments.probes)


if __name__ == "__main__":
    cli.run(main)
