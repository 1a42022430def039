"""What the report says of localisation: one view for each metric and threshold rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from shamsul.evaluate.summaries import POOLED
from shamsul.report.figures import box_plot, ramp
from shamsul.report.wording import METRICS, RULES, view_name


@dataclass(frozen=True)
class Difference:
    """Of a method's mean to another's, on the masks that both were scored on."""

    value: float
    low: float
    high: float
    p_adjusted: float
    alpha: float

    @property
    def verdict(self) -> str:
        """What may be said of it after the correction for multiple comparisons."""
        if math.isnan(self.p_adjusted):
            return "not tested"
        if self.p_adjusted >= self.alpha:
            return "not distinguishable"
        return "better" if self.value > 0 else "worse"


@dataclass(frozen=True)
class Cell:
    """Of the matrix: a method on a class."""

    mean: float
    low: float
    high: float
    background: str
    text: str
    best: bool
    mark: str
    """`better` or `worse` than the control, else empty."""


@dataclass(frozen=True)
class Column:
    """Of the matrix: a class, or (first) all of them pooled."""

    name: str
    n_masks: int
    n_patients: int


@dataclass(frozen=True)
class Standing:
    """A method's pooled mean, and how it compares; None where there is nothing to compare with."""

    method: str
    mean: float
    low: float
    high: float
    to_control: Difference | None
    to_best: Difference | None


@dataclass(frozen=True)
class View:
    """Everything about one metric under one threshold rule."""

    name: str
    metric: str
    rule: str
    columns: list[Column]
    rows: list[tuple[str, list[Cell | None]]]
    largest: float
    standings: list[Standing]
    """Best first."""
    control: str | None
    pooled_plot: Markup
    class_plots: list[tuple[Column, Markup]]

    @property
    def best(self) -> Standing:
        """The method with the highest pooled mean."""
        return self.standings[0]

    @property
    def runner_up(self) -> Standing | None:
        """The next best method."""
        return self.standings[1] if len(self.standings) > 1 else None


def views(
    localisation: pd.DataFrame,
    comparisons: pd.DataFrame,
    per_image: pd.DataFrame,
    methods: Sequence[str],
    classes: Sequence[str],
    control: str,
    alpha: float,
) -> list[View]:
    """The views of the test split that have any value.

    Parameters
    ----------
    localisation, comparisons, per_image : tables of the evaluation.
    methods, classes : in the order of the report; others follow by name.
    control : the method that the others are compared with first, if it is there.
    alpha : level below which an adjusted p-value is said to distinguish.
    """
    summary = localisation[localisation["split"] == "test"]
    values = per_image[per_image["split"] == "test"]
    found = []
    for metric in METRICS:
        for rule in RULES:
            key = {"metric": metric, "threshold_rule": rule}
            own = _only(summary, **key)
            if len(own):
                against = Lookup(_only(comparisons, **key), alpha)
                samples = _only(values, **key)
                found.append(_view(metric, rule, own, against, samples, methods, classes, control))
    return found


def _view(
    metric: str,
    rule: str,
    summary: pd.DataFrame,
    against: Lookup,
    values: pd.DataFrame,
    methods: Sequence[str],
    classes: Sequence[str],
    control: str,
) -> View:
    names = _ordered(set(summary["method"]), methods)
    cells = {(row["class"], row["method"]): row for row in summary.to_dict("records")}
    columns = []
    for name in [POOLED, *_ordered(set(summary["class"]) - {POOLED}, classes)]:
        own = [cells[name, method] for method in names if (name, method) in cells]
        most = [max(row[key] for row in own) for key in ("n_masks", "n_patients")]
        columns.append(Column(name, *most))
    largest = summary["mean"].max()

    def cell(name: str, method: str) -> Cell | None:
        row = cells.get((name, method))
        if row is None:
            return None
        background, text = ramp(row["mean"] / largest if largest > 0 else 0)
        best = row["mean"] == max(cells[name, m]["mean"] for m in names if (name, m) in cells)
        difference = against(name, method, control)
        verdict = difference.verdict if difference else ""
        mark = verdict if verdict in ("better", "worse") else ""
        return Cell(row["mean"], row["low"], row["high"], background, text, best, mark)

    order = sorted(names, key=lambda method: -cells[POOLED, method]["mean"])
    standings = []
    for method in order:
        row = cells[POOLED, method]
        to_control = against(POOLED, method, control)
        to_best = against(POOLED, method, order[0])
        standings.append(
            Standing(method, row["mean"], row["low"], row["high"], to_control, to_best)
        )
    title = view_name(metric, rule)
    return View(
        name=title,
        metric=metric,
        rule=rule,
        columns=columns,
        rows=[(method, [cell(column.name, method) for column in columns]) for method in names],
        largest=largest,
        standings=standings,
        control=control if control in names else None,
        pooled_plot=_plot(values, names, control, f"{title}, all classes"),
        class_plots=[
            (
                column,
                _plot(
                    _only(values, **{"class": column.name}),
                    names,
                    control,
                    f"{title}, {column.name}",
                ),
            )
            for column in columns[1:]
        ],
    )


def _plot(values: pd.DataFrame, methods: Sequence[str], control: str, title: str) -> Markup:
    samples = {name: group["value"].to_numpy() for name, group in values.groupby("method")}
    ordered = {name: samples[name] for name in methods if name in samples}
    return box_plot(ordered, control, f"Box plots of {title} per image, by method")


class Lookup:
    """Finds the difference of two methods, whichever of them the table names first."""

    def __init__(self, comparisons: pd.DataFrame, alpha: float) -> None:
        self.alpha = alpha
        self.rows = {
            (row["class"], row["method_a"], row["method_b"]): row
            for row in comparisons.to_dict("records")
        }

    def __call__(self, name: str, method: str, other: str) -> Difference | None:
        """Difference `method` - `other` on a class, or None where the table has none."""
        if row := self.rows.get((name, method, other)):
            return Difference(
                row["difference"], row["low"], row["high"], row["p_adjusted"], self.alpha
            )
        if row := self.rows.get((name, other, method)):
            return Difference(
                -row["difference"], -row["high"], -row["low"], row["p_adjusted"], self.alpha
            )
        return None


def threshold_matrix(
    thresholds: pd.DataFrame, kind: str, methods: Sequence[str], classes: Sequence[str]
) -> tuple[list[str], list[tuple[str, list[dict[str, object] | None]]]]:
    """Tuned thresholds of a kind of mask: classes, and for each method its row by class."""
    own = _only(thresholds, kind=kind)
    names = _ordered(set(own["class"]), classes)
    found = {(row["method"], row["class"]): row for row in own.to_dict("records")}
    return names, [
        (method, [found.get((method, name)) for name in names])
        for method in _ordered(set(own["method"]), methods)
    ]


def _only(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def _ordered(names: set[str], wanted: Sequence[str]) -> list[str]:
    def listed() -> Iterator[str]:
        yield from (name for name in wanted if name in names)
        yield from sorted(names - set(wanted))

    return list(dict.fromkeys(listed()))
