"""Summarise all methods as CheXlocalize's scripts do: means, intervals, decrease from the human."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from shamsul.evaluate.chexlocalize.summary import summarise
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main() -> None:
    """Read the methods' tables of images; write the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-image", type=Path, nargs="+", required=True)
    parser.add_argument("--human", help="method that is the human benchmark")
    parser.add_argument("--table", type=Path, required=True, help="to write")
    arguments = parser.parse_args()
    per_image = pd.concat([read_table(path) for path in sorted(arguments.per_image)])
    write_table(summarise(per_image, arguments.human), arguments.table)


if __name__ == "__main__":
    program.run(main)
