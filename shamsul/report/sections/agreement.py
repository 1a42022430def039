"""Agreement: how alike the maps of two methods are."""

from __future__ import annotations

from typing import Any

import pandas as pd

from shamsul.evaluate.value_matrix import POOLED
from shamsul.report.figures import ramp
from shamsul.report.filters import only
from shamsul.report.formatting import interval, number
from shamsul.report.method_table import Cell, Grid, Heading
from shamsul.report.methods import Methods
from shamsul.report.run import Run

TITLE = "Agreement"
AFTER = "signs"
NEEDS = ("agreement",)
ALIKE = 0.95
"""Mean rank correlation from which two methods are said to have nearly the same maps."""


def context(run: Run) -> dict[str, Any]:
    """Return the table of all pairs, and the pairs that are nearly the same."""
    table = run.table("agreement")
    return {
        "agreement": agreement(table, run.methods),
        "alike": alike(table),
        "alike_from": ALIKE,
    }


def agreement(table: pd.DataFrame, methods: Methods) -> Grid | None:
    """Return the mean rank correlation of each pair, coloured, below the diagonal."""
    own = only(table, **{"class": POOLED})
    names = methods.ordered({*own["method_a"], *own["method_b"]})
    if not names:
        return None
    found = {frozenset((row["method_a"], row["method_b"])): row for row in own.to_dict("records")}

    def cell(first: str, second: str) -> Cell | None:
        row = found.get(frozenset((first, second)))
        if row is None:
            return None
        background, text = ramp(row["mean"])
        within = () if row["low"] != row["low"] else (interval(row["low"], row["high"]),)
        return Cell(number(row["mean"]), within, background=background, text_colour=text)

    rows = [
        (
            name,
            [cell(name, other) if at < index else Cell("") for at, other in enumerate(names[:-1])],
        )
        for index, name in enumerate(names)
        if index
    ]
    return Grid([Heading(name) for name in names[:-1]], rows)


def alike(table: pd.DataFrame) -> list[tuple[str, str, float]]:
    """Return pairs of methods that are nearly the same over enough patients, closest first."""
    own = only(table, **{"class": POOLED})
    # Of too few patients, a mean near 1 says little.
    own = own[(own["mean"] >= ALIKE) & (own["note"] == "")].sort_values(
        ["mean", "method_a", "method_b"], ascending=[False, True, True]
    )
    return list(own[["method_a", "method_b", "mean"]].itertuples(index=False, name=None))
