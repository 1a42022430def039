"""How the methods stand against the prior, the radiologist and the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from shamsul.evaluate.value_matrix import POOLED
from shamsul.report.differences import Difference
from shamsul.report.formatting import interval, number, p_says, signed
from shamsul.report.localisation import View, only
from shamsul.report.method_table import Cell, Grid, Heading, difference, lay
from shamsul.report.methods import Methods, ordered

REFERENCES = {"prior": "position prior", "radiologist": "radiologist", "baseline": "baseline"}
"""What the references are called, in the order of the report."""


def sentences(gains: pd.DataFrame, view: View, methods: Methods, alpha: float) -> list[Markup]:
    """What may be said of the best explanation method on the main measure.

    Parameters
    ----------
    gains : table of the evaluation.
    view : of the main measure.
    methods : of the run.
    alpha : level below which an adjusted p-value is said to distinguish.
    """
    own = _pooled(gains, view)
    if view.best is None:
        return [Markup("No explanation method is among the methods, so none can be best.")]
    count = sum(methods.explains(row.method) for row in view.standings)
    of = f"the best of {count} explanation methods" if count > 1 else "the one explanation method"
    best = view.best
    within = f" ({interval(best.low, best.high)})" if best.low == best.low else ""
    said = [
        Markup("By {}, {} is <b>{}</b>, with a mean of {}{} over {} masks of {} patients.").format(
            view.name,
            *(of, best.method, number(best.mean), within),
            *(view.columns[0].n_masks, view.columns[0].n_patients),
        )
    ]
    seen: set[str] = set()
    for reference in REFERENCES:
        rows = only(own, reference=reference)
        explained = [r for r in rows.to_dict("records") if methods.explains(r["method"])]
        row = next((r for r in explained if r["method"] == best.method), None)
        # The prior may be the baseline too.
        if row and row["reference_method"] not in seen:
            seen.add(row["reference_method"])
            said.append(_against(reference, row, explained, alpha))
    if not len(only(own, reference="prior")):
        said.append(
            Markup(
                "No position prior (<code>mean_mask</code>) was among the methods, so it is not "
                "known how much of this a map would reach that never looked at the radiograph."
            )
        )
    return said


def _against(
    reference: str, row: Mapping[Any, Any], explained: Sequence[Mapping[Any, Any]], alpha: float
) -> Markup:
    """The sentences on one reference: the best method's difference, and how many beat it."""
    found = Difference.of(row, alpha)
    who = Markup("<b>{}</b>").format(row["reference_method"])
    numbers = f"{signed(found.value)}"
    if found.low == found.low:
        numbers += f", {signed(found.low)} to {signed(found.high)}"
    if found.verdict != "not tested":
        numbers += f", {p_says(found.p_adjusted)}"
    verdict = {
        "better": "better than",
        "worse": "worse than",
        "not distinguishable": "not distinguishable from",
        "not tested": "not tested against",
    }[found.verdict]
    name = {
        "prior": Markup("the position prior {}, which knows where a finding usually lies").format(
            who
        ),
        "radiologist": Markup("the radiologist {}").format(who),
        "baseline": Markup("the baseline {}").format(who),
    }[reference]
    sentence = Markup("It is {} {} ({}).").format(verdict, name, numbers)
    if reference == "radiologist":
        return sentence + _short(row)
    beat = sum(Difference.of(other, alpha).verdict == "better" for other in explained)
    if beat == 0:
        return sentence + Markup(
            " <b>No explanation method was shown to be better than {}.</b>"
        ).format("the position prior" if reference == "prior" else row["reference_method"])
    return sentence + f" {beat} of {len(explained)} explanation methods are better than it."


def _short(row: Mapping[Any, Any]) -> Markup:
    """By how much the radiologist's mean is missed."""
    percent, low, high = row["percent"], row["percent_low"], row["percent_high"]
    if percent != percent:
        return Markup("")
    above = percent < 0
    if above:
        percent, low, high = -percent, -high, -low
    within = f" ({interval(low, high, 0)})" if low == low else ""
    text = " It is {} %{} {} the radiologist's mean of {}."
    way = "above" if above else "short of"
    return Markup(text).format(number(percent, 0), within, way, number(row["reference_mean"]))


def pooled_gains(gains: pd.DataFrame, view: View, methods: Methods, alpha: float) -> Grid | None:
    """Methods by references: the difference, and what is missing to the radiologist in percent."""
    own = _pooled(gains, view)
    if own.empty:
        return None
    names = {row["reference"]: row["reference_method"] for row in own.to_dict("records")}
    columns = [(reference,) for reference in REFERENCES if reference in names]
    rows = lay(own, methods, ["reference"], columns, lambda row: difference(row, alpha))
    headings = [Heading(f"minus {names[key]}", REFERENCES[key]) for (key,) in columns]
    if "radiologist" in names:
        headings.append(Heading("Missing to the radiologist", "percent of the radiologist's mean"))
        percent = dict(lay(only(own, reference="radiologist"), methods, [], [()], _percent))
        rows = [(name, [*cells, *percent.get(name, [None])]) for name, cells in rows]
    return Grid(headings, rows)


def _percent(row: Mapping[Any, Any]) -> Cell:
    within = interval(row["percent_low"], row["percent_high"], 0)
    return Cell(number(row["percent"], 0) + " %", (within,))


def class_gains(
    gains: pd.DataFrame, view: View, methods: Methods, classes: Sequence[str], alpha: float
) -> list[tuple[str, Grid]]:
    """For each reference its name and the differences of methods by classes."""
    table = only(gains, metric=view.metric, threshold_rule=view.rule)
    found = []
    for reference, called in REFERENCES.items():
        own = only(table, reference=reference)
        own = own[own["class"] != POOLED]
        if own.empty:
            continue
        columns = [(name,) for name in ordered(set(own["class"]), classes)]
        n = own.groupby("class")["n_masks"].max()
        headings = [Heading(name, f"{n[name]} masks") for (name,) in columns]
        rows = lay(own, methods, ["class"], columns, lambda row: difference(row, alpha))
        title = f"minus {own['reference_method'].iloc[0]} ({called})"
        found.append((title, Grid(headings, rows)))
    return found


def _pooled(gains: pd.DataFrame, view: View) -> pd.DataFrame:
    return only(gains, **{"metric": view.metric, "threshold_rule": view.rule, "class": POOLED})
