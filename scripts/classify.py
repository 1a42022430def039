"""Score predictions against labels, with intervals over patients: rule `classify`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from shamsul.evaluate.classification import classification_table
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main() -> None:
    """Parse the arguments, score, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON: seed, replicates, confidence, min_patients",
    )
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    parser.add_argument("--table", type=Path, required=True)
    arguments = parser.parse_args()

    settings = arguments.settings
    table = classification_table(
        read_table(arguments.predictions),
        pd.concat([read_table(path) for path in arguments.manifests], ignore_index=True),
        settings["replicates"],
        settings["confidence"],
        settings["seed"],
        settings["min_patients"],
    )
    write_table(table, arguments.table)


if __name__ == "__main__":
    program.run(main)
