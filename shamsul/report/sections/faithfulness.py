"""Faithfulness: how the model answers when pixels are hidden in the order of a map."""

from __future__ import annotations

from typing import Any

import pandas as pd

from shamsul.metrics import of_group
from shamsul.report.filters import pooled_test
from shamsul.report.method_table import Grid, Heading
from shamsul.report.methods import Methods
from shamsul.report.probes import arrow, better, rows
from shamsul.report.run import Run

TITLE = "Faithfulness"
AFTER = "chexlocalize"
NEEDS = ("faithfulness",)
FAITHFULNESS = of_group("faithfulness")
FILLS = ("mean", "blur", "noise", "")


def context(run: Run) -> dict[str, Any]:
    """Return the table of means and the numbers behind it; no table where nothing was asked."""
    table = run.optional("faithfulness")
    if table is None:
        return {"faithfulness": None}
    return {
        "faithfulness": faithfulness(table, run.methods),
        "counts": counts(table),
        "unmapped": missing(table, run.methods),
    }


def faithfulness(table: pd.DataFrame, methods: Methods) -> Grid | None:
    """Return methods by metrics and fills; None where there is no value."""
    own = pooled_test(table)
    present = set(zip(own["metric"], own["fill"], strict=True))
    columns = [(name, fill) for name in FAITHFULNESS for fill in FILLS if (name, fill) in present]
    if not columns:
        return None
    return Grid(
        headings=[Heading(fill) for _, fill in columns],
        rows=rows(own, methods, ["metric", "fill"], columns, better(columns)),
        groups=[
            (arrow(name), count)
            for name in FAITHFULNESS
            if (count := sum(column[0] == name for column in columns))
        ],
    )


def missing(table: pd.DataFrame, methods: Methods) -> list[tuple[str, int, int]]:
    """Return methods that lack some of the maps: name, number missing, number of all."""
    own = pooled_test(table)
    most = own.groupby("method")[["n_missing", "n_maps"]].max()
    most = most[most["n_missing"] > 0]
    names = methods.ordered(set(most.index))
    return [(n, int(most.at[n, "n_missing"]), int(most.at[n, "n_maps"])) for n in names]


def counts(table: pd.DataFrame) -> tuple[int, int]:
    """Return the most maps and patients behind a pooled mean."""
    own = pooled_test(table)
    return (int(own["n_maps"].max()), int(own["n_patients"].max())) if len(own) else (0, 0)
