"""Signs: what each treatment of negative relevance makes of the maps."""

from __future__ import annotations

from typing import Any

import pandas as pd

from shamsul.metrics import PREFIX
from shamsul.report.filters import only, pooled_test
from shamsul.report.formatting import view_name
from shamsul.report.method_table import Grid, Heading, lay
from shamsul.report.methods import Methods
from shamsul.report.run import Run

TITLE = "Signs"
AFTER = "strata"
NEEDS = ("signs", "localisation", "comparisons", "per_image")
SIGNS = ("positive", "absolute", "minmax")
MOST = 0.5
"""Share of the radiograph from which a segmentation is said to be most of it."""


def context(run: Run) -> dict[str, Any]:
    """Return the table of the methods for which the sign matters."""
    if run.main is None:
        return {"signs": None, "swollen": []}
    table, kind = run.table("signs"), run.main.kind
    return {
        "signs": signs(table, kind, run.methods),
        "swollen": swollen(table, kind, run.methods),
    }


def signs(table: pd.DataFrame, kind: str, methods: Methods) -> Grid | None:
    """Return the means under each sign, of the methods for which they differ.

    Parameters
    ----------
    table : table `signs`.
    kind : kind of the masks, as in `shamsul.metrics.PREFIX`.
    methods : the methods of the run.
    """
    groups = {
        PREFIX[kind] + "otsu_area": "Area above Otsu's threshold",
        PREFIX[kind] + "iou": view_name(PREFIX[kind] + "iou", "otsu"),
        PREFIX[kind] + "hit_rate": view_name(PREFIX[kind] + "hit_rate", "none"),
    }
    own = pooled_test(table)
    own = own[own["metric"].isin(list(groups))]
    spread = own.groupby(["method", "metric"])["mean"].agg(lambda means: means.max() - means.min())
    differ = {method for (method, _), width in spread.items() if width > 0}
    own = own[own["method"].isin(differ)]
    if own.empty:
        return None
    columns = [(metric, sign) for metric in groups for sign in SIGNS]
    headings = [Heading({"minmax": "min-max"}.get(sign, sign)) for _, sign in columns]
    rows = lay(own, methods, ["metric", "sign"], columns)
    return Grid(headings, rows, [(name, len(SIGNS)) for name in groups.values()])


def swollen(table: pd.DataFrame, kind: str, methods: Methods) -> list[tuple[str, float, float]]:
    """Return methods whose segmentation becomes most of the radiograph under min-max alone.

    Returns
    -------
    Method, and the share of the radiograph above Otsu's threshold of its positive part and under
    min-max.
    """
    own = only(pooled_test(table), metric=PREFIX[kind] + "otsu_area")
    own = own.pivot(index="method", columns="sign", values="mean")
    if not {"positive", "minmax"} <= set(own):
        return []
    own = own[(own["minmax"] >= MOST) & (own["positive"] < MOST)]
    return [
        (name, own.loc[name, "positive"], own.loc[name, "minmax"])
        for name in methods.ordered(set(own.index))
    ]
