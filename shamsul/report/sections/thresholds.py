"""Thresholds: the tuned threshold of each method and class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from shamsul.report.filters import only
from shamsul.report.methods import Methods, ordered
from shamsul.report.run import Run

TITLE = "Thresholds"
AFTER = "gallery"
NEEDS = ("thresholds", "localisation", "comparisons", "per_image")


def context(run: Run) -> dict[str, Any]:
    """Return for each kind of mask the classes and the thresholds of each method."""
    table = run.table("thresholds")
    return {
        "parts": [
            (part.kind, *threshold_matrix(table, part.kind, run.methods, run.classes))
            for part in run.localised
        ]
    }


def threshold_matrix(
    thresholds: pd.DataFrame, kind: str, methods: Methods, classes: Sequence[str]
) -> tuple[list[str], list[tuple[str, list[dict[str, object] | None]]]]:
    """Return the classes of a kind of mask, and for each method its tuned thresholds by class.

    Readers have none: what they drew is the same under every threshold.
    """
    own = only(thresholds, kind=kind)
    names = ordered(set(own["class"]), classes)
    found = {(row["method"], row["class"]): row for row in own.to_dict("records")}
    return names, [
        (method, [found.get((method, name)) for name in names])
        for method in methods.ordered(set(own["method"]))
        if methods.kind(method) != "human"
    ]
