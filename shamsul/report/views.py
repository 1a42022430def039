"""Localisation: one view for each metric and threshold rule."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from shamsul.evaluate.value_matrix import MACRO, POOLED
from shamsul.metrics import FALSE_ALARMS, PREFIX, kind_of
from shamsul.report.differences import Difference, Lookup
from shamsul.report.figures import box_plot, ramp
from shamsul.report.filters import only
from shamsul.report.formatting import metric_of, view_name
from shamsul.report.methods import Methods, ordered

Rules = Sequence[str]
"""Threshold rules of the configuration, the main one first."""


@dataclass(frozen=True)
class Shade:
    """A coloured cell of the matrix: one method on one class."""

    mean: float
    low: float
    high: float
    background: str
    text: str
    best: bool
    mark: str
    """Verdict against the baseline: `better`, `worse` or empty."""


@dataclass(frozen=True)
class Column:
    """A column of the matrix: a class, or (first) all of them pooled, and their mean."""

    name: str
    n_masks: int
    n_patients: int


@dataclass(frozen=True)
class Standing:
    """A method's pooled mean, the number beside it, and its differences.

    Beside it stands the mean of the ceiling, or of the area on positives for false alarms. It is
    NaN where the metric has neither. A difference is None where nothing is compared.
    """

    method: str
    mean: float
    low: float
    high: float
    beside: float
    to_control: Difference | None
    to_best: Difference | None


@dataclass(frozen=True)
class View:
    """Everything about one metric under one threshold rule.

    Attributes
    ----------
    better : the direction that is better, `higher` or `lower`.
    columns, rows : columns and rows of the matrix of classes and methods.
    extreme : the best mean in the matrix, which is the darkest.
    standings : standings of all methods, best first.
    best, runner_up : the first two methods that compete: explanations that pass the gate.
    to_runner_up : difference of the best to the runner-up, on the pairs that both were scored on;
        None where not compared.
    control : the baseline, if it is there.
    pooled_plot, class_plots : empty where the metric has no value for single images.
    """

    name: str
    metric: str
    rule: str
    better: str
    columns: list[Column]
    rows: list[tuple[str, list[Shade | None]]]
    extreme: float
    standings: list[Standing]
    best: Standing | None
    runner_up: Standing | None
    to_runner_up: Difference | None
    control: str | None
    pooled_plot: Markup
    class_plots: list[tuple[Column, Markup]]

    @property
    def kind(self) -> str:
        """Kind of the masks, as in `shamsul.metrics.PREFIX`."""
        return kind_of(self.metric)

    def pooled(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the view's metric and threshold rule with all classes pooled."""
        key = {"metric": self.metric, "threshold_rule": self.rule, "class": POOLED}
        return only(table, **key)

    @property
    def tested(self) -> bool:
        """True where its methods were compared in pairs."""
        return any(row.to_control or row.to_best for row in self.standings)


def views(
    localisation: pd.DataFrame,
    comparisons: pd.DataFrame,
    per_image: pd.DataFrame,
    kind: str,
    alarms: bool,
    methods: Methods,
    classes: Sequence[str],
    rules: Rules,
) -> list[View]:
    """Return the views of one kind of mask that have any value on test.

    Parameters
    ----------
    localisation, comparisons, per_image : tables of the evaluation.
    kind : kind of the masks, as in `shamsul.metrics.PREFIX`.
    alarms : true to include the false alarms, which are of no kind of mask.
    methods : the methods of the run.
    classes : classes in the order of the report; others follow by name.
    rules : threshold rules of the configuration.
    """
    summary = localisation[localisation["split"] == "test"]
    values = per_image[per_image["split"] == "test"]
    found = []
    for metric, rule in _headline(kind, alarms, rules):
        key = {"metric": metric, "threshold_rule": rule}
        own = only(summary, **key)
        if len(own):
            against = Lookup(only(comparisons, **key))
            other = "marked_area" if metric == FALSE_ALARMS else f"{metric}_ceiling"
            near = only(summary, **key | {"metric": other, "class": POOLED})
            beside = dict(zip(near["method"], near["mean"], strict=True))
            drawn = only(values, **key)
            found.append(_view(metric, rule, own, beside, against, drawn, methods, classes))
    return found


def _headline(kind: str, alarms: bool, rules: Rules) -> list[tuple[str, str]]:
    """Return metrics and rules that have a view; the other metrics share one table."""
    prefix = PREFIX[kind]
    overlap = [(prefix + "iou", rule) for rule in rules]
    free = [(prefix + name, "none") for name in ("auprc", "hit_rate", "relevance_mass", "pxap")]
    negative = [(FALSE_ALARMS, rule) for rule in rules if rule != "best"][:1]
    return overlap + free + (negative if alarms else [])


def _view(
    metric: str,
    rule: str,
    summary: pd.DataFrame,
    beside: Mapping[str, float],
    against: Lookup,
    values: pd.DataFrame,
    methods: Methods,
    classes: Sequence[str],
) -> View:
    names, better = methods.ordered(set(summary["method"])), metric_of(metric).better
    cells = {(row["class"], row["method"]): row for row in summary.to_dict("records")}
    columns = []
    whole = [POOLED, MACRO]
    for name in [*whole, *ordered(set(summary["class"]) - set(whole), classes)]:
        own = [cells[name, method] for method in names if (name, method) in cells]
        most = [max(row[key] for row in own) for key in ("n_masks", "n_patients")]
        columns.append(Column(name, *most))
    control = methods.baseline if methods.baseline in names else None
    standings = _standings(cells, beside, names, better, methods, control, against)
    contest = [row for row in standings if methods.competes(row.method)]
    first, second = [*contest[:2], None, None][:2]
    title = view_name(metric, rule)
    muted = {name for name in names if methods.kind(name) == "control"}

    def plot(table: pd.DataFrame, name: str) -> Markup:
        return _plot(table, names, muted, f"{title}, {name}") if len(table) else Markup("")

    return View(
        name=title,
        metric=metric,
        rule=rule,
        better=better,
        columns=columns,
        rows=_matrix(cells, columns, names, better, methods, control, against),
        extreme=(summary["mean"].min() if better == "lower" else summary["mean"].max()),
        standings=standings,
        best=first,
        runner_up=second,
        to_runner_up=against(POOLED, first.method, second.method) if first and second else None,
        control=control,
        pooled_plot=plot(values, "all classes"),
        class_plots=[
            (column, drawn)
            for column in columns[2:]
            if (drawn := plot(only(values, **{"class": column.name}), column.name))
        ],
    )


Cells = Mapping[tuple[Any, Any], Mapping[Any, Any]]
"""Rows of the summary by class and method."""


def _standings(
    cells: Cells,
    beside: Mapping[str, float],
    names: Sequence[str],
    better: str,
    methods: Methods,
    control: str | None,
    against: Lookup,
) -> list[Standing]:
    """Return the standings of all methods, best first."""
    sign = 1 if better == "lower" else -1
    order = sorted(
        (name for name in names if (POOLED, name) in cells),
        key=lambda name: sign * cells[POOLED, name]["mean"],
    )
    best = next(filter(methods.competes, order), None)
    rows = [cells[POOLED, name] for name in order]
    return [
        Standing(
            *(name, row["mean"], row["low"], row["high"], beside.get(name, math.nan)),
            *(against(POOLED, name, control), against(POOLED, name, best)),
        )
        for name, row in zip(order, rows, strict=True)
    ]


def _matrix(
    cells: Cells,
    columns: Sequence[Column],
    names: Sequence[str],
    better: str,
    methods: Methods,
    control: str | None,
    against: Lookup,
) -> list[tuple[str, list[Shade | None]]]:
    """Return the matrix of methods by classes, darker where better."""
    largest = max(row["mean"] for row in cells.values())

    def shade(name: str, method: str) -> Shade | None:
        row = cells.get((name, method))
        if row is None:
            return None
        share = row["mean"] / largest if largest > 0 else 0
        colours = ramp(1 - share if better == "lower" else share)
        means = [
            cells[name, m]["mean"] for m in names if methods.competes(m) and (name, m) in cells
        ]
        top = bool(means) and row["mean"] == (min if better == "lower" else max)(means)
        found = against(name, method, control)
        mark = found.verdict if found and found.verdict in ("better", "worse") else ""
        best = top and methods.competes(method)
        return Shade(row["mean"], row["low"], row["high"], *colours, best, mark)

    return [(method, [shade(column.name, method) for column in columns]) for method in names]


def _plot(
    values: pd.DataFrame, methods: Sequence[str], muted: Collection[str], title: str
) -> Markup:
    samples = {name: group["value"].to_numpy() for name, group in values.groupby("method")}
    drawn = {name: samples[name] for name in methods if name in samples}
    return box_plot(drawn, muted, f"Box plots of {title} per image, by method")
