"""Summarise all methods as CheXlocalize's scripts do: rule `chexlocalize_summary`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from shamsul.evaluate.chexlocalize.summary import summarise
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main(per_image: list[Path], human: str | None = None, *, table: Path) -> None:
    """Summarise all methods: means, intervals, and decrease from the human benchmark.

    Parameters
    ----------
    per_image : tables of the images' values, one for each method.
    human : method that is the human benchmark.
    table : table to write.
    """
    values = pd.concat([read_table(path) for path in sorted(per_image)])
    write_table(summarise(values, human), table)


if __name__ == "__main__":
    program.run(main)
