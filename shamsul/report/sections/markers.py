"""Markers: relevance on a burnt-in marker that has nothing to do with the finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from shamsul.report.filters import only
from shamsul.report.method_table import Grid, Heading, lay
from shamsul.report.methods import Methods, ordered
from shamsul.report.run import Run

TITLE = "Markers"
AFTER = "agreement"
NEEDS = ("markers",)


def context(run: Run) -> dict[str, Any] | None:
    """Return a table for each class, None where no source has a marker."""
    found = markers(run.table("markers"), run.config, run.methods)
    return {"markers": found} if found else None


def markers(
    table: pd.DataFrame, config: Mapping[str, Any], methods: Methods
) -> list[tuple[str, bool, Grid]]:
    """Return for each class its name, true where it is confounded, and relevance on the marker.

    Parameters
    ----------
    table : table `markers`.
    config : the whole configuration; the confounded class comes first.
    methods : the methods of the run.
    """
    given = [source.get("confounder") for source in config["data"]["sources"]]
    confounded = [entry["class_name"] for entry in given if entry]
    places = [("tune", "yes"), ("tune", "no"), ("test", "yes"), ("test", "no")]
    found = []
    for name in ordered(set(table["class"]), [*confounded, *config["classes"]]):
        own = only(table, **{"class": name})
        rows = set(zip(own["split"], own["shown"], strict=True))
        present = [place for place in places if place in rows]
        n = own.groupby(["split", "shown"])["n_images"].max()
        columns = [(*place, metric) for place in present for metric in ("relevance_mass", "lift")]
        headings = [Heading("share, %" if at % 2 == 0 else "lift") for at in range(len(columns))]
        groups = [
            (f"{split}, {'with' if shown == 'yes' else 'without'} {name} ({n[split, shown]})", 2)
            for split, shown in present
        ]
        share = own["metric"] == "relevance_mass"
        for column in ("mean", "low", "high"):
            own = own.assign(**{column: own[column].mask(share, 100 * own[column])})
        cells = lay(own, methods, ["split", "shown", "metric"], columns)
        found.append((name, name in confounded, Grid(headings, cells, groups)))
    return found
