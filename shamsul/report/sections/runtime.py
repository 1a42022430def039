"""Run time: time and memory of the jobs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from shamsul.report.run import Run

TITLE = "Run time"
AFTER = "conservation"
NEEDS = ("runtime",)


def context(run: Run) -> dict[str, Any]:
    """Return jobs, time and memory of each rule."""
    return {"runtime": runtime(run.table("runtime"))}


def runtime(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return jobs, seconds and memory by rule, the longest first."""
    if table.empty:
        return []
    stages = table.groupby("rule").agg(
        jobs=("seconds", "size"), seconds=("seconds", "sum"), memory=("max_rss_mb", "max")
    )
    stages = stages.reset_index().sort_values(["seconds", "rule"], ascending=[False, True])
    return [{str(k): v for k, v in row.items()} for row in stages.to_dict("records")]
