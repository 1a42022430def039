"""Rows, headings and directions that the sections on faithfulness and sanity share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from shamsul.metrics import METRICS
from shamsul.report.method_table import Cell, Row, estimate, lay
from shamsul.report.methods import Methods


def rows(
    table: pd.DataFrame,
    methods: Methods,
    key: list[str],
    columns: Sequence[tuple[Any, ...]],
    ways: Sequence[str] = (),
) -> list[Row]:
    """Return rows of a grid, with the number of maps where it is less than the column's.

    The best is marked among the explanations of the run's own network that have all maps that any
    of them has.
    """
    own = table["method"].map(methods.explains) & ~table["method"].isin(list(methods.foreign))
    by = [table[name] for name in key]
    table = table.assign(
        most=table.groupby(by)["n_maps"].transform("max"),
        enough=table["n_maps"].where(own).groupby(by).transform("max"),
    )

    def cell(row: Mapping[Any, Any]) -> Cell:
        found = estimate(row)
        if row["n_maps"] == row["most"]:
            return found
        return replace(found, lines=(*found.lines, f"n = {row['n_maps']}"))

    def enters(row: Mapping[Any, Any]) -> bool:
        return row["method"] not in methods.foreign and row["n_maps"] == row["enough"]

    return lay(table, methods, key, columns, cell, ways, enters)


def better(columns: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the direction that is better of each column, whose first part is the metric."""
    return [METRICS[column[0]].better for column in columns]


def arrow(name: str) -> str:
    """Return the metric's title with an arrow in the direction that is better."""
    return METRICS[name].title + (" ↓" if METRICS[name].better == "lower" else " ↑")
