"""Figures of how well maps find what experts have drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shamsul import lazy
from shamsul.charts.measure import JOINED, Measure, ranked
from shamsul.charts.style import COLOURS, DIVERGING, FONT, SEQUENTIAL
from shamsul.results import Run

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd
else:
    alt = lazy.load("altair")
    pd = lazy.load("pandas")

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
"""Ends of the whiskers, of the box, and the median, by the shares of the masks below them."""
TURNED = {"better": "worse", "worse": "better"}
"""Verdict of a pair the other way round, where it is another one."""
Drawn = tuple["alt.TopLevelMixin", "pd.DataFrame"]
"""A chart, and the table of all numbers that it shows."""


def box_plots(run: Run, measure: Measure, width: int) -> Drawn | None:
    """Draw the spread over masks: a box for each method, a panel for each class."""
    rows = measure.rows(run.table("per_image"))
    if rows.empty:
        return None
    groups = rows.groupby(["class", "method"])["value"]
    table = groups.quantile(list(QUANTILES.values())).unstack()
    table.columns = list(QUANTILES)
    table = table.assign(n_masks=groups.count()).reset_index()
    order = ranked(measure.rows(run.table("localisation")), measure)
    base = alt.Chart(table).encode(y=alt.Y("method:N", sort=order, title=None))
    across = alt.X("q25:Q", title=measure.title, scale=alt.Scale(zero=True))
    boxes = base.mark_bar(size=5, color=COLOURS[5]).encode(x=across, x2="q75:Q")
    whiskers = base.mark_rule(color="#333").encode(x="q05:Q", x2="q95:Q")
    medians = base.mark_tick(size=7, thickness=1.2, color="#000").encode(x="q50:Q")
    columns = 4 if width > 300 else 2
    panel = alt.layer(whiskers, boxes, medians).properties(
        width=max(width // columns - 20, 30), height=8 * len(order)
    )
    return panel.facet(alt.Facet("class:N", title=None), columns=columns), table


def matrix(run: Run, measure: Measure, width: int) -> Drawn | None:
    """Draw the means of methods and classes as a coloured matrix, with the best of each class."""
    rows = measure.rows(run.table("localisation"))
    if rows.empty:
        return None
    keep = ["class", "method", "mean", "low", "high", "n_masks", "n_patients"]
    table = rows[keep].reset_index(drop=True)
    best = table.groupby("class")["mean"].transform("min" if measure.falls else "max")
    table["best"] = table["mean"] == best
    names = [name for name in dict.fromkeys(table["class"]) if name not in JOINED]
    classes = [*names, *(name for name in JOINED if name in set(table["class"]))]
    order = ranked(rows, measure)
    base = alt.Chart(table).encode(
        x=alt.X("class:N", sort=classes, title=None, axis=alt.Axis(labelAngle=-40)),
        y=alt.Y("method:N", sort=order, title=None),
    )
    middle = (table["mean"].max() + table["mean"].min()) / 2
    cells = base.mark_rect().encode(
        alt.Color("mean:Q", title=measure.title, scale=alt.Scale(scheme=SEQUENTIAL)),
    )
    numbers = base.mark_text(fontSize=FONT - 2).encode(
        alt.Text("mean:Q", format=".2f"),
        color=alt.condition(f"datum.mean > {middle}", alt.value("#000000"), alt.value("#ffffff")),
    )
    marks = base.transform_filter("datum.best").mark_rect(
        fill=None, stroke=COLOURS[1], strokeWidth=1.5
    )
    chart = alt.layer(cells, marks, numbers)
    return chart.properties(width=width, height=12 * len(order)), table


def ranking(run: Run, measure: Measure, width: int) -> Drawn | None:
    """Draw the methods by their means, with intervals and the verdict against the first.

    The first is the explanation method of the best mean. The intervals are of each mean by itself.
    The verdict is that of the table of comparisons, whose differences are tested together.
    """
    rows = measure.rows(run.table("localisation"))
    rows = rows[rows["class"] == "pooled"].dropna(subset="mean")
    order, kinds = ranked(rows, measure), run.kinds
    first = next((name for name in order if kinds[name] == "explanation"), None)
    if first is None:
        return None
    pairs = measure.rows(run.table("comparisons"))
    pairs = pairs[pairs["class"] == "pooled"]
    against = {first: f"first: {first}"}
    for a, b, verdict in zip(pairs["method_a"], pairs["method_b"], pairs["verdict"], strict=True):
        if b == first:
            against[a] = verdict
        elif a == first:
            against[b] = TURNED.get(verdict, verdict)
    keep = ["method", "mean", "low", "high", "n_masks", "n_patients"]
    table = rows[keep].set_index("method").loc[order].reset_index()
    table["kind"] = table["method"].map(kinds)
    table["against_first"] = [against.get(name, "not compared") for name in order]
    base = alt.Chart(table).encode(
        y=alt.Y("method:N", sort=order, title=None),
        color=alt.Color("against_first:N", title="against the first", sort=list(against.values())),
    )
    bars = base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    points = base.mark_point(filled=True, size=24, opacity=1).encode(
        x=alt.X("mean:Q", title=f"{measure.title}, mean and interval"),
        shape=alt.Shape("kind:N", title="kind"),
    )
    return alt.layer(bars, points).properties(width=width, height=10 * len(order)), table


def gains(run: Run, measure: Measure, width: int) -> Drawn | None:
    """Draw what each method gains over the position prior, by class; zero is grey."""
    rows = measure.rows(run.table("gains"))
    rows = rows[rows["reference"] == "prior"].dropna(subset="difference")
    if rows.empty:
        return None
    keep = ["class", "method", "difference", "low", "high", "p_adjusted", "verdict", "n_patients"]
    table = rows[keep].reset_index(drop=True)
    order = ranked(measure.rows(run.table("localisation")), measure)
    far = float(table["difference"].abs().max()) or 1.0
    base = alt.Chart(table).encode(
        x=alt.X("class:N", title=None, axis=alt.Axis(labelAngle=-40)),
        y=alt.Y("method:N", sort=order, title=None),
    )
    sides = [far, -far] if measure.falls else [-far, far]
    cells = base.mark_rect().encode(
        alt.Color(
            "difference:Q",
            title="gain",
            scale=alt.Scale(scheme=DIVERGING, domain=sides, domainMid=0),
        )
    )
    signs = base.transform_filter("datum.verdict == 'better' || datum.verdict == 'worse'")
    stars = signs.mark_text(fontSize=FONT, dy=1).encode(text=alt.value("*"))
    chart = alt.layer(cells, stars)
    return chart.properties(width=width, height=10 * len(order)), table


def strata(run: Run, measure: Measure, width: int) -> Drawn | None:
    """Draw the difference of each stratum of the test set from the first, over all classes."""
    rows = measure.rows(run.table("strata"))
    rows = rows[rows["class"] == "pooled"].dropna(subset="difference")
    if rows.empty:
        return None
    keep = ["variable", "stratum", "method", "mean", "difference", "difference_low"]
    keep += ["difference_high", "n_masks", "n_patients", "n_classes"]
    table = rows[keep].reset_index(drop=True)
    table["of"] = table["variable"] + ": " + table["stratum"]
    order = ranked(measure.rows(run.table("localisation")), measure)
    base = alt.Chart(table).encode(y=alt.Y("method:N", sort=order, title=None))
    zero = alt.Chart(table).mark_rule(color="#999", strokeDash=[2, 2]).encode(x=alt.datum(0))
    bars = base.mark_rule(color=COLOURS[0]).encode(x="difference_low:Q", x2="difference_high:Q")
    points = base.mark_point(filled=True, size=18, color=COLOURS[0]).encode(
        x=alt.X("difference:Q", title=f"difference in {measure.title}")
    )
    columns = 4 if width > 300 else 2
    panel = alt.layer(zero, bars, points, data=table).properties(
        width=max(width // columns - 20, 30), height=7 * len(order)
    )
    return panel.facet(alt.Facet("of:N", title=None), columns=columns), table
