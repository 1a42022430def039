"""Declarations of the tables of a run, `results/RUN/tables/NAME.parquet`.

`TABLES` holds all that others ask of a table: its columns, its caption and place in Snakemake's
report, and the configurations that have it. The outputs of the rules, the captions in `captions/`,
the inputs of the report and the page of tables in the documentation follow from it, so a new table
is one entry in one of these modules. `python -m shamsul.tables` writes the captions.

Snakemake imports this package while it reads the rules, so nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path

from shamsul.tables import classifier, comparisons, data, heatmaps, localisation
from shamsul.tables.table import Configuration, Table

CAPTIONS = Path(__file__).parents[2] / "captions"
"""Folder of the captions that Snakemake's report shows."""

TABLES: dict[str, Table] = {
    table.name: table
    for module in (data, classifier, localisation, comparisons, heatmaps)
    for table in module.TABLES
}
"""Tables by name."""


def existing(config: Configuration) -> list[str]:
    """Return the names of the tables that a run of this configuration has."""
    return [name for name, table in TABLES.items() if table.when(config)]


def captions() -> dict[str, str]:
    """Return the captions of all tables by file name, such as `gains.rst`."""
    return {f"{table.name}.rst": table.caption for table in TABLES.values()}


def write_captions(folder: Path = CAPTIONS) -> None:
    """Write the captions of all tables to a folder."""
    for name, caption in captions().items():
        (folder / name).write_text(caption, encoding="utf-8")
