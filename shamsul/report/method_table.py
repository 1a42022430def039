"""Tables of numbers: a row for each method, in each cell a value, its interval and verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from shamsul.report.differences import UNTESTED, Difference
from shamsul.report.formatting import number, p_says, signed
from shamsul.report.methods import Methods


@dataclass(frozen=True)
class Cell:
    """A value in a table.

    Attributes
    ----------
    text : the value itself.
    lines : small print below it, such as its interval.
    verdict : verdict of `shamsul.evaluate.verdicts` or `not tested`; empty where nothing is said.
    best : true where no explanation method has a better value in the column.
    background, text_colour : colours of the cell; empty where the table has none.
    """

    text: str
    lines: tuple[str, ...] = ()
    verdict: str = ""
    best: bool = False
    background: str = ""
    text_colour: str = ""


@dataclass(frozen=True)
class Heading:
    """Heading of a column: its name, and a note in small print."""

    name: str
    note: str = ""


Row = tuple[str, list[Cell | None]]
"""A method and its cells, None where it has no value."""


@dataclass(frozen=True)
class Grid:
    """A table of methods by columns.

    Attributes
    ----------
    headings : headings of the columns behind the methods' names.
    rows : one for each method.
    groups : names and numbers of columns under one heading; empty where none is grouped.
    """

    headings: list[Heading]
    rows: list[Row]
    groups: list[tuple[str, int]] = field(default_factory=list)


def estimate(row: Mapping[Any, Any]) -> Cell:
    """Return the cell of a row's `mean`, `low` and `high`."""
    return Cell(number(row["mean"]), _between(row["low"], row["high"], number))


def difference(row: Mapping[Any, Any]) -> Cell:
    """Return the cell of a row of `gains`: interval, verdict and adjusted p."""
    found = Difference.of(row)
    lines = _between(found.low, found.high, signed)
    if found.verdict != UNTESTED:
        # In words too, for whoever does not see the colour.
        lines += (f"{found.verdict}, {p_says(found.p_adjusted)}",)
    return Cell(signed(found.value), lines, found.verdict)


def _between(low: float, high: float, write: Callable[[float], str]) -> tuple[str, ...]:
    return () if math.isnan(low) or math.isnan(high) else (f"{write(low)} to {write(high)}",)


def lay(
    table: pd.DataFrame,
    methods: Methods,
    key: Sequence[str],
    columns: Sequence[tuple[Any, ...]],
    cell: Callable[[Mapping[Any, Any]], Cell] = estimate,
    better: Sequence[str] = (),
    enters: Callable[[Mapping[Any, Any]], bool] | None = None,
) -> list[Row]:
    """Return rows of a grid from those of a tidy table.

    Parameters
    ----------
    table : `method`, the columns of the key, and what `cell` reads.
    methods : the methods of the run, in whose order the rows are.
    key : columns of the table that name a column of the grid.
    columns : values of the key, one tuple for each column of the grid.
    cell : function that makes a cell of a row of the table.
    better : better direction of each column of the grid; the best mean of a method that competes
        is marked. Nothing is marked where it is left out.
    enters : true for a row that may be the best; any may where it is left out.
    """
    found = {(row["method"], *(row[k] for k in key)): row for row in table.to_dict("records")}
    names = methods.ordered(set(table["method"]))
    cells = {
        at: cell(row) for at, row in found.items() if at[1:] in set(columns) and at[0] in names
    }
    for column, way in zip(columns, better, strict=False):
        means = {
            name: found[name, *column]["mean"]
            for name in names
            if methods.competes(name)
            and (name, *column) in cells
            and (enters is None or enters(found[name, *column]))
        }
        if way == "neither" or len(means) < 2:
            continue
        top = (max if way == "higher" else min)(means.values())
        for name, mean in means.items():
            if mean == top:
                cells[name, *column] = replace(cells[name, *column], best=True)
    return [(name, [cells.get((name, *column)) for column in columns]) for name in names]
