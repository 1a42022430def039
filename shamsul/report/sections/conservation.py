"""Conservation: how far maps are from the sums that their methods promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from shamsul.report.run import Run

TITLE = "Conservation"
AFTER = "thresholds"
NEEDS = ("quality",)


def context(run: Run) -> dict[str, Any]:
    """Return the error of each method that promises a sum."""
    return {"conservation": conservation(run.table("quality"), run.methods.names)}


def conservation(table: pd.DataFrame, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Return the median error of each method's sums on test, and the class where it is largest."""
    rows = []
    for method in methods:
        chosen = (table["method"] == method) & (table["quality"] == "conservation_error")
        own = table[chosen & (table["split"] == "test")]
        if len(own):
            worst = own.loc[own["median"].idxmax()]
            rows.append(
                {
                    "method": method,
                    "median": own["median"].median(),
                    "worst": worst["median"],
                    "worst_class": worst["class"],
                }
            )
    return rows
