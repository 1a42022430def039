"""The summary: what may be said of the best explanation method, and the headline tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from shamsul.report.differences import Difference
from shamsul.report.filters import only
from shamsul.report.formatting import interval, number, p_says, signed
from shamsul.report.methods import REFERENCES, Methods
from shamsul.report.run import Run
from shamsul.report.views import View

TITLE = "Summary"
AFTER = None
NEEDS = ("gains", "localisation", "comparisons", "per_image")


def context(run: Run) -> dict[str, Any]:
    """Return the sentences on the best method and the views of each kind of mask."""
    main, gains = run.main, run.table("gains")
    said = sentences(gains, main, run.methods, run.alpha) if main else []
    return {"parts": run.localised, "sentences": said, "alpha": run.alpha}


def sentences(gains: pd.DataFrame, view: View, methods: Methods, alpha: float) -> list[Markup]:
    """Return what may be said of the best explanation method on the main metric.

    Parameters
    ----------
    gains : table `gains`.
    view : the view of the main metric.
    methods : the methods of the run.
    alpha : level below which an adjusted p-value is said to distinguish.
    """
    own = view.pooled(gains)
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
    """Return the sentences on one reference: the best method's difference, and how many beat it."""
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
    """Return a sentence on the distance to the radiologist's mean."""
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
