"""Summarise how alike the methods' maps are."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from shamsul.evaluate.agreement import summarise
from shamsul.evaluate.parameters import Resampling
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main() -> None:
    """Read the shards' correlations; write their means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: seed, evaluate")
    parser.add_argument("--agreements", type=Path, nargs="+", required=True)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    parser.add_argument("--table", type=Path, required=True, help="table to write")
    arguments = parser.parse_args()
    seed, settings = arguments.settings["seed"], Resampling.of(arguments.settings["evaluate"])
    table = pd.concat([read_table(path) for path in sorted(arguments.agreements)])
    manifest = pd.concat([read_table(path) for path in sorted(arguments.manifests)])
    write_table(summarise(table, manifest, settings, seed), arguments.table)


if __name__ == "__main__":
    program.run(main)
