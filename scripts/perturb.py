"""Predictions of perturbed radiographs, for several methods: rule `perturb`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from shamsul.explain.settings import Perturbations
from shamsul.explain.shared_perturbations import ask
from shamsul.job import program
from shamsul.model.job import add_options, load_model
from shamsul.storage.images import read_images
from shamsul.storage.perturbed import write_perturbed


def main() -> None:
    """Parse the arguments, ask the network, write the shard."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: seed, classes, perturbations"
    )
    add_options(parser)
    parser.add_argument("--perturbed", type=Path, required=True, help="shard to write")
    arguments = parser.parse_args()

    settings = arguments.settings
    model = load_model(arguments, settings["classes"])
    perturbed = ask(
        Perturbations(**settings["perturbations"]),
        model,
        read_images(arguments.images),
        settings["seed"],
    )
    write_perturbed(perturbed, arguments.perturbed)


if __name__ == "__main__":
    program.run(main)
