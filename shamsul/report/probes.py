"""What the model said when it was asked again, in tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from shamsul.evaluate.value_matrix import POOLED
from shamsul.metrics import METRICS, of_group
from shamsul.report.localisation import only
from shamsul.report.method_table import Cell, Grid, Heading, Row, estimate, lay
from shamsul.report.methods import Methods

FAITHFULNESS = of_group("faithfulness")
SANITY = of_group("robustness", "class_specificity", "randomisation")
FILLS = ("mean", "blur", "noise", "")


def faithfulness(table: pd.DataFrame, methods: Methods) -> Grid | None:
    """Methods by measures and what stands where pixels are hidden."""
    own = only(table, **{"split": "test", "class": POOLED})
    present = set(zip(own["metric"], own["fill"], strict=True))
    columns = [(name, fill) for name in FAITHFULNESS for fill in FILLS if (name, fill) in present]
    if not columns:
        return None
    return Grid(
        headings=[Heading(fill) for _, fill in columns],
        rows=_rows(own, methods, ["metric", "fill"], columns, _better(columns)),
        groups=[
            (_arrow(name), count)
            for name in FAITHFULNESS
            if (count := sum(column[0] == name for column in columns))
        ],
    )


def sanity(table: pd.DataFrame, methods: Methods) -> Grid | None:
    """Methods by measures of robustness and randomisation; all stages of the latter averaged."""
    own = only(table, **{"split": "test", "class": POOLED})
    own = own[own["stage"] == 0]
    columns = [(name,) for name in SANITY if name in set(own["metric"])]
    if not columns:
        return None
    headings = [Heading(_arrow(name)) for (name,) in columns]
    # Randomisation is a gate: no method is the best of those that pass.
    better = [
        "neither" if METRICS[name].gate else way
        for (name,), way in zip(columns, _better(columns), strict=True)
    ]
    return Grid(headings, _rows(own, methods, ["metric"], columns, better))


def stages(table: pd.DataFrame, methods: Methods) -> Grid | None:
    """Rank correlation with the map after each stage of randomising the network."""
    own = only(table, **{"split": "test", "class": POOLED, "metric": "mprt"})
    own = own[own["stage"] > 0]
    columns = [(stage,) for stage in sorted(set(own["stage"]))]
    if not columns:
        return None
    headings = [Heading(f"stage {stage}") for (stage,) in columns]
    return Grid(headings, _rows(own, methods, ["stage"], columns))


def _rows(
    table: pd.DataFrame,
    methods: Methods,
    key: list[str],
    columns: Sequence[tuple[Any, ...]],
    better: Sequence[str] = (),
) -> list[Row]:
    """Rows of a grid, with the number of maps where it is less than the column's.

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

    return lay(table, methods, key, columns, cell, better, enters)


def missing(table: pd.DataFrame, methods: Methods) -> list[tuple[str, int, int]]:
    """Methods that lack some of the maps: how many of how many."""
    own = only(table, **{"split": "test", "class": POOLED})
    most = own.groupby("method")[["n_missing", "n_maps"]].max()
    most = most[most["n_missing"] > 0]
    names = methods.ordered(set(most.index))
    return [(n, int(most.at[n, "n_missing"]), int(most.at[n, "n_maps"])) for n in names]


def counts(table: pd.DataFrame) -> tuple[int, int]:
    """The most maps and patients behind a pooled mean."""
    own = only(table, **{"split": "test", "class": POOLED})
    return (int(own["n_maps"].max()), int(own["n_patients"].max())) if len(own) else (0, 0)


def _better(columns: Sequence[tuple[str, ...]]) -> list[str]:
    return [METRICS[column[0]].better for column in columns]


def _arrow(name: str) -> str:
    """The measure's title with an arrow in the direction that is better."""
    return METRICS[name].title + (" ↓" if METRICS[name].better == "lower" else " ↑")
