"""Score one method's heatmaps of one shard against the experts' masks."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from shamsul.evaluate.scores import score
from shamsul.job import program
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.images import read_frames
from shamsul.storage.tables import read_table, write_table


def main() -> None:
    """Read a shard's heatmaps, frames and masks; write its scores and what signs do to them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: classes, sign")
    parser.add_argument("--heatmaps", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True, help="table to write")
    parser.add_argument("--signs", type=Path, required=True, help="table to write")
    arguments = parser.parse_args()
    scores, signs = score(
        read_heatmaps(arguments.heatmaps),
        read_frames(arguments.images),
        read_table(arguments.masks),
        arguments.settings["classes"],
        arguments.settings["sign"],
    )
    write_table(scores, arguments.scores)
    write_table(signs, arguments.signs)


if __name__ == "__main__":
    program.run(main)
