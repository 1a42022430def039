"""Summarise what the model said of all methods' heatmaps."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from shamsul.evaluate.parameters import Resampling
from shamsul.evaluate.probes import summarise
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main() -> None:
    """Read probes and manifests; write two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: seed, evaluate")
    parser.add_argument("--probes", type=Path, nargs="+", required=True)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    for name in ("--faithfulness", "--sanity"):
        parser.add_argument(name, type=Path, required=True, help="table to write")
    arguments = parser.parse_args()
    faithfulness, sanity = summarise(
        pd.concat([read_table(path) for path in sorted(arguments.probes)]),
        pd.concat([read_table(path) for path in sorted(arguments.manifests)]),
        Resampling.of(arguments.settings["evaluate"]),
        arguments.settings["seed"],
    )
    write_table(faithfulness, arguments.faithfulness)
    write_table(sanity, arguments.sanity)


if __name__ == "__main__":
    program.run(main)
