"""Gains: differences to the position prior, the radiologist and the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from shamsul.evaluate.value_matrix import MACRO, POOLED
from shamsul.metrics import PREFIX
from shamsul.report.filters import only
from shamsul.report.formatting import interval, number
from shamsul.report.method_table import Cell, Grid, Heading, difference, lay
from shamsul.report.methods import REFERENCES, Methods, ordered
from shamsul.report.run import Run
from shamsul.report.views import View

TITLE = "Gains"
AFTER = "localisation"
NEEDS = ("gains", "localisation", "comparisons", "per_image")


def context(run: Run) -> dict[str, Any]:
    """Return the tables of the main metric and of the hit rates: pooled, and by class."""
    main, gains = run.main, run.table("gains")
    if main is None:
        return {"gains": []}
    hits = [
        view
        for part in run.localised
        for view in part.views
        if view.metric == PREFIX[main.kind] + "hit_rate"
    ]
    return {
        "gains": [
            (view.name, grid, class_gains(gains, view, run.methods, run.classes))
            for view in (main, *hits)
            if (grid := pooled_gains(gains, view, run.methods))
        ]
    }


def pooled_gains(gains: pd.DataFrame, view: View, methods: Methods) -> Grid | None:
    """Return differences, methods by references, and the distance to the radiologist in percent."""
    own = view.pooled(gains)
    if own.empty:
        return None
    names = {row["reference"]: row["reference_method"] for row in own.to_dict("records")}
    columns = [(reference,) for reference in REFERENCES if reference in names]
    rows = lay(own, methods, ["reference"], columns, difference)
    headings = [Heading(f"minus {names[key]}", REFERENCES[key]) for (key,) in columns]
    if "radiologist" in names:
        headings.append(Heading("Missing to the radiologist", "percent of the radiologist's mean"))
        percent = dict(lay(only(own, reference="radiologist"), methods, [], [()], _percent))
        rows = [(name, [*cells, *percent.get(name, [None])]) for name, cells in rows]
    return Grid(headings, rows)


def _percent(row: Mapping[Any, Any]) -> Cell:
    within = interval(row["percent_low"], row["percent_high"], 0)
    return Cell(number(row["percent"], 0) + " %", (within,))


def class_gains(
    gains: pd.DataFrame, view: View, methods: Methods, classes: Sequence[str]
) -> list[tuple[str, Grid]]:
    """Return for each reference its name and the differences of methods by classes."""
    table = only(gains, metric=view.metric, threshold_rule=view.rule)
    found = []
    for reference, called in REFERENCES.items():
        own = only(table, reference=reference)
        own = own[~own["class"].isin([POOLED, MACRO])]
        if own.empty:
            continue
        columns = [(name,) for name in ordered(set(own["class"]), classes)]
        n = own.groupby("class")["n_masks"].max()
        headings = [Heading(name, f"{n[name]} masks") for (name,) in columns]
        rows = lay(own, methods, ["class"], columns, difference)
        title = f"minus {own['reference_method'].iloc[0]} ({called})"
        found.append((title, Grid(headings, rows)))
    return found
