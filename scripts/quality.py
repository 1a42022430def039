"""Summarise the quality that heatmap shards carry."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from shamsul.evaluate.quality import summarise
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main() -> None:
    """Read the shards' quality; write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heatmaps", type=Path, nargs="+", required=True)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    parser.add_argument("--table", type=Path, required=True)
    arguments = parser.parse_args()
    manifest = pd.concat([read_table(path) for path in arguments.manifests])
    write_table(summarise(arguments.heatmaps, manifest), arguments.table)


if __name__ == "__main__":
    program.run(main)
