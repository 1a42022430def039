"""Compare the heatmaps of all methods on one shard with one another."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from shamsul.evaluate.agreement import agree
from shamsul.job import program
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.images import read_frames
from shamsul.storage.tables import write_table


def main() -> None:
    """Read a shard's heatmaps, one method after the other; write the correlations of each pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: classes, sign")
    parser.add_argument("--heatmaps", type=Path, nargs="+", required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--agreement", type=Path, required=True, help="table to write")
    arguments = parser.parse_args()
    table = agree(
        map(read_heatmaps, arguments.heatmaps),
        read_frames(arguments.images),
        arguments.settings["classes"],
        arguments.settings["sign"],
    )
    write_table(table, arguments.agreement)


if __name__ == "__main__":
    program.run(main)
