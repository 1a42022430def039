"""CheXlocalize's own figures beside those of this report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from shamsul.evaluate.chexlocalize.summary import AVERAGE
from shamsul.evaluate.value_matrix import MACRO, POOLED
from shamsul.report.filters import only
from shamsul.report.formatting import interval, number
from shamsul.report.method_table import Cell, Grid, Heading, lay
from shamsul.report.methods import Methods, ordered
from shamsul.report.run import Run

TITLE = "CheXlocalize"
AFTER = "markers"
NEEDS = ("chexlocalize", "localisation")
KEY = ["method", "metric", "class"]
METRICS = {"iou": "IoU", "hit_rate": "Hit rate"}
SIDES = ("CheXlocalize", "here")


def context(run: Run) -> dict[str, Any] | None:
    """Return both figures, None where the configuration does not ask for their protocol."""
    table = run.optional("chexlocalize")
    if table is None:
        return None
    rule = run.evaluate["chexlocalize"]["threshold"]
    tables = table, run.table("localisation"), rule, run.methods
    return {"theirs": side_by_side(*tables), "by_class": by_class(*tables, run.classes)}


def side_by_side(
    theirs: pd.DataFrame, localisation: pd.DataFrame, rule: str, methods: Methods
) -> Grid:
    """Return means over classes: CheXlocalize's, and the report's of the same classes and rule.

    Parameters
    ----------
    theirs : table that `shamsul.evaluate.chexlocalize.summary.summarise` returns.
    localisation : table `localisation`.
    rule : threshold rule of their protocol, `otsu` or `tuned`.
    methods : the methods of the run.
    """
    both = _both(theirs, localisation, rule)
    # Where theirs is not a number, neither mean nor decrease counts the class.
    known = both.loc[(both["side"] == SIDES[0]) & both["mean"].notna(), KEY]
    means = both.merge(known).groupby(["method", "metric", "side"], as_index=False)
    means = means.agg(mean=("mean", "mean"), n=("n", "sum"), classes=("class", "size"))
    means["of"] = means.groupby(["method", "metric"])["classes"].transform("max")
    columns = [(metric, side) for metric in METRICS for side in SIDES]
    rows = lay(
        means,
        methods,
        ["metric", "side"],
        columns,
        _averaged,
    )
    lost = only(theirs, **{"class": AVERAGE}).dropna(subset=["percent_decrease"])
    headings = [Heading(side) for _, side in columns]
    groups = [(title, 2) for title in METRICS.values()]
    if len(lost):
        keys = [(metric,) for metric in METRICS]
        percent = dict(lay(lost, methods, ["metric"], keys, _percent))
        rows = [(name, [*cells, *percent.get(name, [None, None])]) for name, cells in rows]
        headings += [Heading(title) for title in METRICS.values()]
        groups.append(("Decrease from the radiologist", 2))
    return Grid(headings, rows, groups)


def by_class(
    theirs: pd.DataFrame,
    localisation: pd.DataFrame,
    rule: str,
    methods: Methods,
    classes: Sequence[str],
) -> list[tuple[str, Grid]]:
    """Return for each metric its name, and both figures for each class."""
    both = _both(theirs, localisation, rule)
    found = []
    for metric, title in METRICS.items():
        own = only(both, metric=metric)
        names = ordered(set(own["class"]), classes)
        columns = [(name, side) for name in names for side in SIDES]
        rows = lay(own, methods, ["class", "side"], columns, _counted)
        headings = [Heading(side) for _, side in columns]
        found.append((title, Grid(headings, rows, [(name, 2) for name in names])))
    return found


def _both(theirs: pd.DataFrame, localisation: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Return method, metric, class, side, mean, low, high, n: all of theirs, and ours of these."""
    own = theirs[theirs["class"] != AVERAGE].rename(columns={"lower": "low", "upper": "high"})
    here = localisation[
        (localisation["split"] == "test") & (~localisation["class"].isin([POOLED, MACRO]))
    ]
    wanted = ((here["metric"] == "iou") & (here["threshold_rule"] == rule)) | (
        here["metric"] == "hit_rate"
    )
    here = here[wanted].rename(columns={"n_masks": "n"})
    columns = [*KEY, "mean", "low", "high", "n"]
    here = here[columns].merge(own[KEY])
    return pd.concat([own[columns].assign(side=SIDES[0]), here.assign(side=SIDES[1])])


def _averaged(row: Mapping[Any, Any]) -> Cell:
    lines: tuple[str, ...] = (f"n = {int(row['n'])}",)
    if row["classes"] < row["of"]:
        lines += (f"{row['classes']} of {row['of']} classes",)
    return Cell(number(row["mean"], 3), lines)


def _counted(row: Mapping[Any, Any]) -> Cell:
    within = () if row["low"] != row["low"] else (interval(row["low"], row["high"]),)
    return Cell(number(row["mean"], 3), (*within, f"n = {int(row['n'])}"))


def _percent(row: Mapping[Any, Any]) -> Cell:
    within = interval(row["percent_lower"], row["percent_upper"], 1)
    return Cell(number(row["percent_decrease"], 1) + " %", (within,))
