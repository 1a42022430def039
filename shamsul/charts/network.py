"""Figures of the network, of the maps' faithfulness to it, and of what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shamsul import lazy
from shamsul.charts.localisation import Drawn
from shamsul.charts.measure import Measure, ranked
from shamsul.charts.style import COLOURS, DIVERGING, FONT
from shamsul.metrics import METRICS
from shamsul.results import Run

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd
else:
    alt = lazy.load("altair")
    pd = lazy.load("pandas")


def reliability(run: Run, measure: Measure, width: int) -> Drawn | None:
    """Draw how often each class was there, by the probability that the network gave it."""
    rows = run.table("reliability_bins")
    # Before a temperature, and after one for each class; the table has the shared one too.
    shown = (rows["split"] == "test") & rows["scaling"].isin(["none", "class"])
    table = rows[shown].reset_index(drop=True)
    if table.empty:
        return None
    columns = 4 if width > 300 else 2
    share = alt.Scale(domain=[0, 1])
    base = alt.Chart(table).encode(
        x=alt.X("probability:Q", title="probability, mean of a bin", scale=share),
        color=alt.Color("scaling:N", title="temperature"),
    )
    line = alt.Chart(table).mark_rule(color="#999", strokeDash=[2, 2])
    diagonal = line.encode(x=alt.datum(0), y=alt.datum(0), x2=alt.datum(1), y2=alt.datum(1))
    bars = base.mark_rule().encode(y="positive_low:Q", y2="positive_high:Q")
    points = base.mark_point(filled=True, size=18).encode(
        y=alt.Y("positive:Q", title="share with the finding", scale=share)
    )
    side = max(width // columns - 24, 40)
    panel = alt.layer(diagonal, bars, points, data=table).properties(width=side, height=side)
    return panel.facet(alt.Facet("class:N", title=None), columns=columns), table


def learning(run: Run, measure: Measure, width: int) -> Drawn | None:
    """Draw loss and AUROC of the training, by epoch."""
    if "history" not in run.tables:
        return None
    table = run.table("history")
    if table.empty:
        return None
    losses = table.melt("epoch", ["train_loss", "tune_loss"], "of", "loss")
    across = alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, format="d"))
    shape = {"width": max(width // 2 - 30, 36), "height": 90}
    loss = (
        alt.Chart(losses)
        .mark_line(point=True)
        .encode(x=across, y=alt.Y("loss:Q"), color=alt.Color("of:N", title=None))
    )
    auroc = (
        alt.Chart(table)
        .mark_line(point=True, color=COLOURS[2])
        .encode(
            x=across,
            y=alt.Y("tune_auroc:Q", title="mean AUROC on tune", scale=alt.Scale(zero=False)),
        )
    )
    return alt.hconcat(loss.properties(**shape), auroc.properties(**shape)), table


def faithfulness(run: Run, measure: Measure, width: int) -> Drawn | None:
    """Draw localisation against faithfulness: a point for each method, a panel for each metric."""
    if "faithfulness" not in run.tables:
        return None
    faithful = run.table("faithfulness")
    faithful = faithful[(faithful["class"] == "pooled") & (faithful["split"] == "test")]
    rows = measure.rows(run.table("localisation"))
    means = rows[rows["class"] == "pooled"].set_index("method")["mean"]
    table = faithful[faithful["method"].isin(means.index)].dropna(subset="mean")
    if table.empty:
        return None
    keep = ["method", "metric", "fill", "mean", "low", "high", "n_maps", "n_patients"]
    table = table[keep].assign(localisation=table["method"].map(means)).reset_index(drop=True)
    order = [name for name in ranked(rows, measure) if name in set(table["method"])]
    table["number"] = table["method"].map({name: str(n) for n, name in enumerate(order, 1)})
    arrow = {"higher": " (more is better)", "lower": " (less is better)", "neither": ""}
    table["of"] = [
        f"{METRICS[metric].title}{f', {fill}' if fill else ''}{arrow[METRICS[metric].better]}"
        for metric, fill in zip(table["metric"], table["fill"], strict=True)
    ]
    columns = 3 if width > 300 else 1
    points = (
        alt.Chart(table)
        .mark_text(fontSize=FONT - 1, color=COLOURS[0])
        .encode(
            x=alt.X("mean:Q", title="faithfulness", scale=alt.Scale(zero=False)),
            y=alt.Y("localisation:Q", title=measure.title),
            text="number:N",
        )
    )
    panels = (
        points.properties(width=max(width // columns - 40, 60), height=95)
        .facet(alt.Facet("of:N", title=None), columns=columns)
        .resolve_scale(x="independent")
    )
    key = pd.DataFrame({"method": order, "row": range(len(order))})
    key["told"] = [f"{n}  {name}" for n, name in enumerate(order, 1)]
    legend = (
        alt.Chart(key)
        .mark_text(align="left", fontSize=FONT, baseline="top")
        .encode(y=alt.Y("row:O", axis=None), x=alt.value(0), text="told:N")
    )
    return alt.hconcat(panels, legend.properties(width=75, height=9 * len(order))), table


def agreement(run: Run, measure: Measure, width: int) -> Drawn | None:
    """Draw the mean rank correlation of each pair of methods' maps."""
    if "agreement" not in run.tables:
        return None
    rows = run.table("agreement")
    rows = rows[rows["class"] == "pooled"].dropna(subset="mean")
    if rows.empty:
        return None
    keep = ["method_a", "method_b", "mean", "low", "high", "n_maps", "n_patients"]
    table = rows[keep].reset_index(drop=True)
    base = alt.Chart(table).encode(
        x=alt.X("method_b:N", title=None, axis=alt.Axis(labelAngle=-40)),
        y=alt.Y("method_a:N", title=None),
    )
    scale = alt.Scale(scheme=DIVERGING, domain=[-1, 1], domainMid=0)
    cells = base.mark_rect().encode(alt.Color("mean:Q", title="correlation", scale=scale))
    numbers = base.mark_text(fontSize=FONT - 2).encode(alt.Text("mean:Q", format=".2f"))
    side = width
    return alt.layer(cells, numbers).properties(width=side, height=round(side * 0.7)), table


def cost(run: Run, measure: Measure, width: int) -> Drawn | None:
    """Draw the seconds that the heatmaps of an image took, all classes together, by method."""
    rows = run.table("runtime")
    rows = rows[rows["rule"] == "explain"]
    if rows.empty:
        return None
    split = run.table("manifest")["split"]
    images = int(split.isin(["tune", "test"]).sum())
    method = rows["job"].str.rsplit("/", n=1).str[0].rename("method")
    table = rows.groupby(method)["seconds"].sum().reset_index()
    table["seconds_per_image"] = table["seconds"] / images
    chart = (
        alt.Chart(table)
        .mark_bar(size=8, color=COLOURS[0])
        .encode(
            x=alt.X(
                "seconds_per_image:Q",
                title="seconds an image, with the job's start",
                scale=alt.Scale(),
            ),
            y=alt.Y("method:N", sort="x", title=None),
        )
    )
    return chart.properties(width=width, height=10 * len(table)), table
