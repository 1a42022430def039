"""Calibration: how far predicted probabilities are from the frequencies that they claim."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from shamsul.report.figures import reliability_diagram
from shamsul.report.run import Run

TITLE = "Calibration"
AFTER = "classification"
NEEDS = ("reliability", "reliability_bins")

SHOWN = {"none": "As predicted", "shared": "One temperature"}
"""Titles of the diagrams, by scaling."""


def context(run: Run) -> dict[str, Any]:
    """Return the errors of each class and the diagrams of all labels together."""
    return {
        "calibration": errors(run.table("reliability")),
        "diagrams": diagrams(run.table("reliability_bins")),
    }


def errors(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each class on test, with the errors under each scaling."""
    if table.empty:
        return []
    test = table[table["split"] == "test"]
    return [
        {"name": name, **{f"by_{row['scaling']}": row for row in part.to_dict("records")}}
        for name, part in test.groupby("class", sort=False)
    ]


def diagrams(bins: pd.DataFrame) -> list[tuple[str, Markup]]:
    """Return a diagram of all labels on test, for each scaling in `SHOWN`."""
    if bins.empty:
        return []
    pooled = bins[(bins["split"] == "test") & (bins["class"] == "pooled")]
    found = [(title, pooled[pooled["scaling"] == name]) for name, title in SHOWN.items()]
    return [
        (title, reliability_diagram(part, f"Reliability diagram, {title.lower()}"))
        for title, part in found
        if len(part)
    ]
