"""What the model says of one method's heatmaps of one shard: rule `probe`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from shamsul.explain import registry
from shamsul.job import program
from shamsul.model.job import add_options, load_model
from shamsul.probe.settings import Probe
from shamsul.probe.table import probe
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.images import read_images
from shamsul.storage.tables import write_table


def main() -> None:
    """Parse the arguments, ask the model, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON: seed, classes, probe, entry, module, perturbations",
    )
    add_options(parser)
    parser.add_argument("--heatmaps", type=Path, required=True)
    parser.add_argument("--probes", type=Path, required=True, help="table to write")
    arguments = parser.parse_args()

    settings = arguments.settings
    model = load_model(arguments, settings["classes"])
    table = probe(
        model,
        read_images(arguments.images),
        read_heatmaps(arguments.heatmaps),
        registry.one(settings["entry"], module=settings["module"]),
        Probe(**settings["probe"]),
        settings["seed"],
        settings["perturbations"],
    )
    write_table(table, arguments.probes)


if __name__ == "__main__":
    program.run(main)
