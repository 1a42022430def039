"""Collect what Snakemake's benchmarks say of each job's time and memory into one table."""

import argparse
import logging
from pathlib import Path

import pandas as pd

from shamsul.job import program
from shamsul.storage.tables import write_table

logger = logging.getLogger(__name__)


def main() -> None:
    """Parse the arguments and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="that the benchmarks lie in")
    parser.add_argument("--benchmarks", type=Path, nargs="+", required=True)
    parser.add_argument("--table", type=Path, required=True)
    arguments = parser.parse_args()
    rows = []
    for file in sorted(arguments.benchmarks):
        if (
            not file.exists()
        ):  # Deleted, or not copied along: that job's time is not known any more.
            logger.warning("%s: no such measurement", file)
            continue
        rule, *wildcards = file.relative_to(arguments.folder).with_suffix("").parts
        measured = pd.read_csv(file, sep="\t", na_values="-").iloc[0]
        rows.append(
            {
                "rule": rule,
                "job": "/".join(wildcards),
                "seconds": measured["s"],
                "cpu_seconds": measured["cpu_time"],
                "max_rss_mb": measured["max_rss"],
            }
        )
    columns = ["rule", "job", "seconds", "cpu_seconds", "max_rss_mb"]
    write_table(pd.DataFrame(rows, columns=columns), arguments.table)


if __name__ == "__main__":
    program.run(main)
