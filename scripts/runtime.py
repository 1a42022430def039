"""Collect what Snakemake's benchmarks say of each job's time and memory into one table."""

import argparse
from pathlib import Path

import pandas as pd

from shamsul import cli
from shamsul.storage import write_table


def main() -> None:
    """Parse the arguments and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="that the benchmarks lie in")
    parser.add_argument("--benchmarks", type=Path, nargs="+", required=True)
    parser.add_argument("--table", type=Path, required=True)
    arguments = parser.parse_args()
    rows = []
    for file in sorted(arguments.benchmarks):
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
    write_table(pd.DataFrame(rows), arguments.table)


if __name__ == "__main__":
    cli.run(main)
