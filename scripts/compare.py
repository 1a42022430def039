"""Summarise and compare the methods from their values per image."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from shamsul.evaluate.comparisons import comparisons
from shamsul.evaluate.gains import gains
from shamsul.evaluate.localisation import localisation
from shamsul.evaluate.parameters import Comparison
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main() -> None:
    """Read the values per image and PxAP; write three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: seed, evaluate")
    parser.add_argument(
        "--roles", type=json.loads, required=True, help="JSON: baseline, prior, radiologist"
    )
    parser.add_argument("--per-image", type=Path, required=True)
    parser.add_argument("--pxap", type=Path, required=True)
    for name in ("--localisation", "--comparisons", "--gains"):
        parser.add_argument(name, type=Path, required=True, help="table to write")
    arguments = parser.parse_args()
    seed, settings = arguments.settings["seed"], Comparison.of(arguments.settings["evaluate"])
    per_image = read_table(arguments.per_image)
    means = localisation(per_image, settings, seed)
    whole = pd.concat([means, read_table(arguments.pxap)], ignore_index=True)[list(means.columns)]
    write_table(whole, arguments.localisation)
    write_table(comparisons(per_image, settings, seed), arguments.comparisons)
    write_table(gains(per_image, settings, arguments.roles, seed), arguments.gains)


if __name__ == "__main__":
    program.run(main)
