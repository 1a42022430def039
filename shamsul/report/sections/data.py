"""Data: images of each source on their way to the splits, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from shamsul.report.run import Run

TITLE = "Data"
AFTER = "conservation"
NEEDS = ("sources", "rejected")
SHOWN = 10
"""Reasons that the page shows; the table has all."""


@dataclass(frozen=True)
class Reason:
    """A reason to leave something out, and how often it was met.

    Attributes
    ----------
    source : name of the source.
    kind : `image`, `row` or `mask`.
    reason : fault of it.
    number : number of things that have it.
    example : image_id of one of them; empty where none is known.
    """

    source: str
    kind: str
    reason: str
    number: int
    example: str


def context(run: Run) -> dict[str, Any]:
    """Return the counts of each source, and the reasons most often met."""
    found = reasons(run.table("rejected"))
    return {
        "sources": run.table("sources").to_dict("records"),
        "reasons": found[:SHOWN],
        "others": sum(reason.number for reason in found[SHOWN:]),
    }


def reasons(rejected: pd.DataFrame) -> list[Reason]:
    """Return the reasons in the table of what was left out, the most frequent first."""
    found = [
        Reason(source, kind, reason, len(rows), str(rows["image_id"].iloc[0]))
        for (source, kind, reason), rows in rejected.groupby(["source", "kind", "reason"])
    ]
    return sorted(found, key=lambda reason: (-reason.number, reason.source, reason.reason))
