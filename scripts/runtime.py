"""Collect each job's time and memory from Snakemake's benchmarks: rule `runtime`."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from shamsul.job import program
from shamsul.storage.tables import write_table

logger = logging.getLogger(__name__)


def main(folder: Path, benchmarks: list[Path], *, table: Path) -> None:
    """Collect each job's time and memory from Snakemake's benchmarks.

    Parameters
    ----------
    folder : folder of the benchmarks; the rest of their paths is the rule and its wildcards.
    benchmarks : files of the benchmarks.
    table : table to write, a row for each job.
    """
    rows = []
    for file in sorted(benchmarks):
        # The file was deleted or not copied along, so that job's time is not known any more.
        if not file.exists():
            logger.warning("%s: no such measurement", file)
            continue
        rule, *wildcards = file.relative_to(folder).with_suffix("").parts
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
    write_table(pd.DataFrame(rows, columns=columns), table)


if __name__ == "__main__":
    program.run(main)
