"""What the maps are like: signs, agreement, and relevance on a marker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from shamsul.evaluate.per_image import PREFIX
from shamsul.evaluate.value_matrix import POOLED
from shamsul.report.figures import ramp
from shamsul.report.formatting import interval, number, view_name
from shamsul.report.localisation import only
from shamsul.report.method_table import Cell, Grid, Heading, lay
from shamsul.report.methods import Methods, ordered

SIGNS = ("positive", "absolute", "minmax")
ALIKE = 0.95
"""Mean rank correlation from which two methods are said to have nearly the same maps."""
MOST = 0.5
"""Share of the radiograph from which a segmentation is said to be most of it."""


def signs(table: pd.DataFrame, kind: str, methods: Methods) -> Grid | None:
    """What becomes of the maps under each sign, of the methods for which they differ.

    Parameters
    ----------
    table : of the evaluation.
    kind : of the masks.
    methods : of the run.
    """
    groups = {
        PREFIX[kind] + "otsu_area": "Area above Otsu's threshold",
        PREFIX[kind] + "iou": view_name(PREFIX[kind] + "iou", "otsu"),
        PREFIX[kind] + "hit_rate": view_name(PREFIX[kind] + "hit_rate", "none"),
    }
    own = only(table, **{"split": "test", "class": POOLED})
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
    """Methods whose segmentation becomes most of the radiograph under min-max alone.

    Returns
    -------
    Method, and the share of the radiograph above Otsu's threshold of its positive part and under
    min-max.
    """
    own = only(
        table, **{"split": "test", "class": POOLED, "metric": PREFIX[kind] + "otsu_area"}
    ).pivot(index="method", columns="sign", values="mean")
    if not {"positive", "minmax"} <= set(own):
        return []
    own = own[(own["minmax"] >= MOST) & (own["positive"] < MOST)]
    return [
        (name, own.loc[name, "positive"], own.loc[name, "minmax"])
        for name in methods.ordered(set(own.index))
    ]


def agreement(table: pd.DataFrame, methods: Methods) -> Grid | None:
    """Mean rank correlation of each pair, coloured, below the diagonal."""
    own = only(table, **{"class": POOLED})
    names = methods.ordered({*own["method_a"], *own["method_b"]})
    if not names:
        return None
    found = {frozenset((row["method_a"], row["method_b"])): row for row in own.to_dict("records")}

    def cell(first: str, second: str) -> Cell | None:
        row = found.get(frozenset((first, second)))
        if row is None:
            return None
        background, text = ramp(row["mean"])
        within = () if row["low"] != row["low"] else (interval(row["low"], row["high"]),)
        return Cell(number(row["mean"]), within, background=background, text_colour=text)

    rows = [
        (
            name,
            [cell(name, other) if at < index else Cell("") for at, other in enumerate(names[:-1])],
        )
        for index, name in enumerate(names)
        if index
    ]
    return Grid([Heading(name) for name in names[:-1]], rows)


def alike(table: pd.DataFrame) -> list[tuple[str, str, float]]:
    """Pairs of methods that are nearly the same over enough patients, closest first."""
    own = only(table, **{"class": POOLED})
    # Of too few patients, a mean near 1 says little.
    own = own[(own["mean"] >= ALIKE) & (own["note"] == "")].sort_values(
        ["mean", "method_a", "method_b"], ascending=[False, True, True]
    )
    return list(own[["method_a", "method_b", "mean"]].itertuples(index=False, name=None))


def markers(
    table: pd.DataFrame, config: Mapping[str, Any], methods: Methods
) -> list[tuple[str, bool, Grid]]:
    """Relevance on the marker: for each class its name, whether it is confounded, and a grid.

    Parameters
    ----------
    table : of the evaluation.
    config : the whole configuration; the confounded class comes first.
    methods : of the run.
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
