"""Strata: parts of the test set, and regressions on shape and confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from shamsul.evaluate.strata import VARIABLES
from shamsul.evaluate.value_matrix import POOLED
from shamsul.metrics import METRICS, PREFIX, kind_of, of_outlines
from shamsul.report.filters import only
from shamsul.report.formatting import RULES, interval, number, p_says, signed
from shamsul.report.method_table import Cell, Grid, Heading, lay
from shamsul.report.methods import Methods
from shamsul.report.run import Run
from shamsul.report.views import View

TITLE = "Strata"
AFTER = "gains"
NEEDS = ("strata", "regressions", "localisation", "comparisons", "per_image")
TITLES = {
    "labels": "Images with one label and with several",
    "findings": "One label and several, without those that another one implies",
    "slice": "All positives and true positives",
    "area": "Size of the finding",
    "instances": "Number of outlines",
    "elongation": "Elongation",
    "probability": "Probability of the class",
    "view": "View",
    "projection": "Projection",
    "sex": "Sex",
    "age": "Age",
}
"""Names of the variables of the strata."""
FIRST = ("labels", "findings")
"""Variables of the study's question, which are shown first."""
PREDICTORS = {
    "instances": "Outlines",
    "area_ratio": "Area",
    "elongation": "Elongation",
    "irrectangularity": "Irrectangularity",
    "probability": "Probability",
}
"""Names of the predictors of the regressions, in the order of the report."""


@dataclass(frozen=True)
class Parts:
    """The test set divided by one variable."""

    variable: str
    title: str
    definition: str
    grid: Grid


def context(run: Run) -> dict[str, Any]:
    """Return the strata and the regressions of the main metric."""
    main, methods = run.main, run.methods
    return {
        "strata": parts(run.table("strata"), main, methods) if main else [],
        "first": FIRST,
        "regressions": lines(run.table("regressions"), main, methods) if main else [],
    }


def parts(strata: pd.DataFrame, view: View, methods: Methods) -> list[Parts]:
    """Return the variables that divide the test set in two, and the first ones in any case.

    Parameters
    ----------
    strata : table `strata`.
    view : the view of the main metric.
    methods : the methods of the run.
    """
    own = view.pooled(strata)
    found = []
    for variable, definition in VARIABLES.items():
        table = only(own, variable=variable)
        names = list(dict.fromkeys(table["stratum"]))
        if len(names) < (1 if variable in FIRST else 2):
            continue
        most = table.groupby("stratum")[["n_masks", "n_patients"]].max()
        headings = [
            Heading(name, "{} masks, {} patients".format(*most.loc[name])) for name in names
        ]
        columns = [(name,) for name in names]
        rows = lay(table, methods, ["stratum"], columns, _stratum)
        found.append(Parts(variable, TITLES[variable], definition, Grid(headings, rows)))
    return found


def _stratum(row: Mapping[Any, Any]) -> Cell:
    below = []
    if row["low"] == row["low"]:
        below.append(interval(row["low"], row["high"]))
    if row["difference"] == row["difference"]:
        ends = row["difference_low"], row["difference_high"]
        said = f"difference {signed(row['difference'])}"
        if ends[0] == ends[0]:
            said += f" ({signed(ends[0])} to {signed(ends[1])})"
        count = row["n_classes"]
        below.append(f"{said} in {count} {'finding' if count == 1 else 'findings'}")
    elif row["note"].startswith("no class"):
        below.append("no finding in both: difference cannot be estimated")
    return Cell(number(row["mean"]), tuple(below))


def lines(regressions: pd.DataFrame, view: View, methods: Methods) -> list[tuple[str, Grid]]:
    """Return for each outcome its name and its slopes, methods by predictors."""
    found = []
    kind = PREFIX[view.kind]
    own = only(regressions, **{"class": POOLED})
    for outcome in (kind + name + gap for gap in ("", "_gap") for name in ("iou", "hit_rate")):
        table = only(own, outcome=outcome)
        limits = table.groupby("predictor")[["minimum", "maximum"]].first()
        limits = limits[limits["maximum"] > limits["minimum"]]
        names = [name for name in PREDICTORS if name in limits.index]
        if not names:
            continue
        headings = [
            Heading(PREDICTORS[name], "{:.3g} to {:.3g}".format(*limits.loc[name]))
            for name in names
        ]
        rows = lay(table, methods, ["predictor"], [(name,) for name in names], _slope)
        rule = RULES[table["threshold_rule"].iloc[0]]
        found.append((_outcome(outcome, rule), Grid(headings, rows)))
    return found


def _outcome(name: str, rule: str) -> str:
    plain, kind = of_outlines(name), kind_of(name)
    title = METRICS[plain.removesuffix("_gap")].title
    title += {"box": " of boxes", "evidence": " of evidence"}.get(kind, "")
    title += f", {rule}" * bool(rule)
    return f"{title}: the radiologist's less the method's" if plain.endswith("_gap") else title


def _slope(row: Mapping[Any, Any]) -> Cell:
    below = []
    if row["low"] == row["low"]:
        below.append(f"{signed(row['low'], 2)} to {signed(row['high'], 2)}")
    said = [p_says(row["p_adjusted"])] if row["p_adjusted"] == row["p_adjusted"] else []
    if row["spearman"] == row["spearman"]:
        said.append(f"ρ = {number(row['spearman'])}")
    if said:
        below.append(", ".join(said))
    return Cell(signed(row["slope"], 2), tuple(below))
