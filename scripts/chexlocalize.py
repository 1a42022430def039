"""Measure one method as CheXlocalize's scripts do: a row for each image, class and metric."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from shamsul.evaluate.chexlocalize.scores import Run, measure
from shamsul.evaluate.parameters import Protocol
from shamsul.job import program
from shamsul.storage.images import read_frames
from shamsul.storage.tables import read_table, write_table


def main() -> None:
    """Read a method's heatmaps of tune and test and what they are judged against; write a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: method, classes, chexlocalize"
    )
    parser.add_argument("--heatmaps", type=Path, nargs="+", required=True)
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--masks", type=Path, nargs="+", required=True)
    parser.add_argument("--patients", type=Path, nargs="+", required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--per-image", type=Path, required=True, help="table to write")
    arguments = parser.parse_args()
    settings = arguments.settings
    run = Run.of(
        pd.concat([read_table(path) for path in sorted(arguments.masks)]),
        pd.concat([read_table(path) for path in sorted(arguments.patients)]),
        read_table(arguments.predictions),
        {key: frame for path in arguments.images for key, frame in read_frames(path).items()},
        settings["classes"],
    )
    table = measure(
        arguments.heatmaps, run, settings["method"], Protocol.of(settings["chexlocalize"])
    )
    write_table(table, arguments.per_image)


if __name__ == "__main__":
    program.run(main)
