"""Robustness and sanity: maps under noise, randomised weights and other classes."""

from __future__ import annotations

from typing import Any

import pandas as pd

from shamsul.metrics import METRICS, of_group
from shamsul.report.filters import only, pooled_test
from shamsul.report.formatting import definitions
from shamsul.report.method_table import Grid, Heading
from shamsul.report.methods import Methods
from shamsul.report.probes import arrow, better, rows
from shamsul.report.run import Run

TITLE = "Sanity"
AFTER = "faithfulness"
NEEDS = ("sanity", "faithfulness")
SANITY = of_group("robustness", "class_specificity", "randomisation")


def context(run: Run) -> dict[str, Any]:
    """Return the table of means, the stages of randomisation, and the metrics' definitions."""
    table, found = run.optional("sanity"), run.optional("faithfulness")
    return {
        "sanity": None if table is None else sanity(table, run.methods),
        "stages": None if table is None else stages(table, run.methods),
        "definitions": definitions(*(t for t in (found, table) if t is not None)),
    }


def sanity(table: pd.DataFrame, methods: Methods) -> Grid | None:
    """Return methods by metrics of robustness and randomisation, all stages averaged."""
    own = pooled_test(table)
    own = own[own["stage"] == 0]
    columns = [(name,) for name in SANITY if name in set(own["metric"])]
    if not columns:
        return None
    headings = [Heading(arrow(name)) for (name,) in columns]
    # Randomisation is a gate: no method is the best of those that pass.
    ways = [
        "neither" if METRICS[name].gate is not None else way
        for (name,), way in zip(columns, better(columns), strict=True)
    ]
    return Grid(headings, rows(own, methods, ["metric"], columns, ways))


def stages(table: pd.DataFrame, methods: Methods) -> Grid | None:
    """Return the rank correlation with the map after each stage of randomising the network."""
    own = only(pooled_test(table), metric="mprt")
    own = own[own["stage"] > 0]
    columns = [(stage,) for stage in sorted(set(own["stage"]))]
    if not columns:
        return None
    headings = [Heading(f"stage {stage}") for (stage,) in columns]
    return Grid(headings, rows(own, methods, ["stage"], columns))
