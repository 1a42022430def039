"""Localisation: every metric and threshold rule, with tests and spread."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd

from shamsul.evaluate.scored_classes import omissions
from shamsul.evaluate.sign_flips import ENUMERATED, PERMUTATIONS
from shamsul.metrics import FALSE_ALARMS, METRICS, PREFIX
from shamsul.report.filters import pooled_test
from shamsul.report.formatting import RULES, definitions, metric_of, title
from shamsul.report.method_table import Grid, Heading, lay
from shamsul.report.methods import Methods
from shamsul.report.run import Run

TITLE = "Localisation"
AFTER = "classification"
NEEDS = ("localisation", "comparisons", "per_image", "masked")


def context(run: Run) -> dict[str, Any]:
    """Return for each kind of mask its views and the table of all metrics, and what is left out."""
    summary = run.table("localisation")
    return {
        "parts": [
            (part, all_metrics(summary, part.kind, part.first, run.methods))
            for part in run.localised
        ],
        "definitions": definitions(summary),
        "omissions": list(
            omissions(run.table("masked")["class"], run.explained_classes, run.evaluate["classes"])
        ),
        "permutations": PERMUTATIONS,
        "enumerated": ENUMERATED,
    }


def all_metrics(localisation: pd.DataFrame, kind: str, alarms: bool, methods: Methods) -> Grid:
    """Return pooled means on test: methods by metrics under every rule.

    Parameters
    ----------
    localisation : table `localisation`.
    kind : kind of the masks, as in `shamsul.metrics.PREFIX`.
    alarms : true to include the false alarms.
    methods : the methods of the run.
    """
    pooled = pooled_test(localisation)
    names = [PREFIX[kind] + name for name in METRICS if name != FALSE_ALARMS]
    if alarms:
        names.append(FALSE_ALARMS)
    present = set(zip(pooled["metric"], pooled["threshold_rule"], strict=True))
    columns = [(name, rule) for name in names for rule in RULES if (name, rule) in present]
    own = pooled[pooled["metric"].isin(names)]
    return Grid(
        headings=[Heading(RULES[rule]) for _, rule in columns],
        rows=lay(
            own,
            methods,
            ["metric", "threshold_rule"],
            columns,
            better=[metric_of(name).better for name, _ in columns],
        ),
        groups=[
            (title(name) + (" ↓" if metric_of(name).better == "lower" else ""), len(list(group)))
            for name, group in itertools.groupby(columns, key=lambda column: column[0])
        ],
    )
