"""What the model said when it was asked again, in tables."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from shamsul.evaluate.wide import POOLED
from shamsul.metrics import METRICS
from shamsul.report.grid import Grid, Heading, lay
from shamsul.report.localisation import only
from shamsul.report.methods import Methods

FAITHFULNESS = ("deletion", "insertion", "road", "infidelity")
SANITY = ("max_sensitivity", "random_logit", "mprt", "efficient_mprt")
GATES = ("mprt", "efficient_mprt")
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
        rows=lay(own, methods, ["metric", "fill"], columns, better=_better(columns)),
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
        "neither" if name in GATES else way
        for (name,), way in zip(columns, _better(columns), strict=True)
    ]
    return Grid(headings, lay(own, methods, ["metric"], columns, better=better))


def stages(table: pd.DataFrame, methods: Methods) -> Grid | None:
    """Rank correlation with the map after each stage of randomising the network."""
    own = only(table, **{"split": "test", "class": POOLED, "metric": "mprt"})
    own = own[own["stage"] > 0]
    columns = [(stage,) for stage in sorted(set(own["stage"]))]
    if not columns:
        return None
    headings = [Heading(f"stage {stage}") for (stage,) in columns]
    return Grid(headings, lay(own, methods, ["stage"], columns))


def counts(table: pd.DataFrame) -> tuple[int, int]:
    """The most maps and patients behind a pooled mean."""
    own = only(table, **{"split": "test", "class": POOLED})
    return (int(own["n_maps"].max()), int(own["n_patients"].max())) if len(own) else (0, 0)


def _better(columns: Sequence[tuple[str, ...]]) -> list[str]:
    return [METRICS[column[0]].better for column in columns]


def _arrow(name: str) -> str:
    """The measure's title with an arrow in the direction that is better."""
    return METRICS[name].title + (" ↓" if METRICS[name].better == "lower" else " ↑")
