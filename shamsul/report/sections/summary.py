"""The summary: what may be said of the methods, overall and for each finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from shamsul.report.differences import Difference
from shamsul.report.filters import only
from shamsul.report.findings import Finding, findings
from shamsul.report.formatting import interval, number, p_says, signed
from shamsul.report.gate import untold
from shamsul.report.methods import REFERENCES, Methods
from shamsul.report.run import Localised, Run
from shamsul.report.views import View

TITLE = "Summary"
AFTER = None
NEEDS = ("gains", "localisation", "comparisons", "per_image", "sanity")
AGAINST = {
    "better": "better than",
    "worse": "worse than",
    "equivalent": "within the margin of",
    "not distinguishable": "not distinguishable from",
    "cannot be told": "not to be told, with so few patients, from",
    "the same": "on every mask the same as",
    "not tested": "not tested against",
}
"""Words of a verdict before the name of what a method is compared with."""


def context(run: Run) -> dict[str, Any]:
    """Return the sentences on the methods, the findings, and the views of each kind of mask."""
    main, part = run.main, run.leading
    tables = run.table("gains"), run.table("localisation")
    leads = [(view.name, findings(*tables, view, run)) for view in run.leads]
    readers = only(tables[0], reference="radiologist")["reference_method"].tolist()
    said = sentences(run, main, part, leads[0][1]) if main and part else []
    return {
        "parts": run.localised,
        "sentences": said,
        "leads": leads,
        "alpha": run.alpha,
        "reader": run.methods.reader(readers[0]) if readers else "",
    }


def sentences(run: Run, view: View, part: Localised, found: Sequence[Finding]) -> list[Markup]:
    """Return what may be said of the explanation methods on the leading metric."""
    methods = run.methods
    failing = [name for name in methods.names if name in methods.failing]
    said = [*_gate(run, failing)]
    if view.best is None:
        return [Markup("No explanation method may be called best: none competes."), *said]
    said = [_first(view, methods), _others(view, part), *said]
    said += _controls(view, methods)
    own = view.pooled(run.table("gains"))
    if only(own, reference="prior").empty:
        said.append(
            Markup(
                "No position prior (<code>mean_mask</code>) was among the methods, so it is not "
                "known how much of this a map would reach that never looked at the radiograph."
            )
        )
    else:
        said.append(_by_class(found, methods))
    seen: set[str] = set()
    for reference in REFERENCES:
        rows = {row["method"]: row for row in only(own, reference=reference).to_dict("records")}
        row = rows.get(view.best.method)
        # The prior may be the baseline too.
        if row and row["reference_method"] not in seen:
            seen.add(row["reference_method"])
            reader = methods.reader(row["reference_method"])
            said.append(_against(reference, row, reader))
    return said


def _first(view: View, methods: Methods) -> Markup:
    """Return the sentence on the method with the best mean."""
    best = view.best
    assert best is not None
    count = sum(methods.competes(row.method) for row in view.standings)
    of = f"the first of {count} explanation methods" if count > 1 else "the one explanation method"
    within = f" ({interval(best.low, best.high)})" if best.low == best.low else ""
    text = "By {}, {} is <b>{}</b>, with a mean of {}{} over {} masks of {} patients."
    sentence = Markup(text).format(
        *(view.name, of, best.method, number(best.mean), within),
        *(view.columns[0].n_masks, view.columns[0].n_patients),
    )
    if view.to_runner_up and view.runner_up:
        sentence += Markup(" It is {} the second, <b>{}</b> ({}).").format(
            AGAINST[view.to_runner_up.verdict],
            view.runner_up.method,
            _numbers(view.to_runner_up),
        )
    return sentence


def _others(view: View, part: Localised) -> Markup:
    """Return the sentence on the measures that name another method first."""
    assert view.best is not None
    others: dict[str, list[str]] = {}
    measures = [other for other in part.headline if other.best and other is not view]
    for other in measures:
        assert other.best is not None
        if other.best.method != view.best.method:
            others.setdefault(other.best.method, []).append(other.name)
    count = sum(map(len, others.values()))
    if not measures:
        return Markup("")
    if not count:
        return Markup("All {} other measures of the table below name it first too.").format(
            len(measures)
        )
    named = "; ".join(f"{method} by {', '.join(names)}" for method, names in others.items())
    verb = "names" if count == 1 else "name"
    return Markup("{} of the {} other measures {} another first: {}.").format(
        count, len(measures), verb, named
    )


def _gate(run: Run, failing: Sequence[str]) -> list[Markup]:
    """Return the sentences on methods that fail the sanity gate, or of which it cannot tell."""
    said = []
    if failing:
        why = "; ".join(f"{name}: {run.methods.failing[name]}" for name in failing)
        verb = "fails" if len(failing) == 1 else "fail"
        said.append(
            Markup("<b>{}</b> {} the sanity gate, and so cannot be called best ({}).").format(
                ", ".join(failing), verb, why
            )
        )
    unknown = [name for name in untold(run.optional("sanity")) if run.methods.explains(name)]
    unknown = [name for name in unknown if name not in failing]
    if unknown:
        said.append(
            Markup("Too few maps were probed to tell whether {} the sanity gate.").format(
                f"{unknown[0]} passes" if len(unknown) == 1 else f"{len(unknown)} others pass"
            )
        )
    return said


def _controls(view: View, methods: Methods) -> list[Markup]:
    """Return the sentence on controls with a better mean than the best method."""
    assert view.best is not None
    places = [row.method for row in view.standings]
    ahead = [
        row
        for row in view.standings[: places.index(view.best.method)]
        if methods.kind(row.method) == "control"
    ]
    if not ahead:
        return [Markup("No control has a better mean.")]
    named = ", ".join(f"{row.method} {number(row.mean)}" for row in ahead)
    count = f"{len(ahead)} controls have" if len(ahead) > 1 else "One control has"
    return [Markup("<b>{} a better mean: {}.</b>").format(count, named)]


def _by_class(found: Sequence[Finding], methods: Methods) -> Markup:
    """Return the sentence on the position prior, finding by finding."""
    words = {
        "better": "some explanation method is better than the position prior for {}",
        "worse": "all are worse for {}",
        "equivalent": "all are within the margin for {}",
        "not distinguishable": "none is shown to be better for {}",
        "cannot be told": "for {} so few patients cannot tell",
        "no prior": "for {} there is no prior",
    }
    parts = []
    for verdict, text in words.items():
        names = [finding.name for finding in found if finding.verdict == verdict]
        if names:
            parts.append(text.format(", ".join(names)))
    sentence = "; ".join(parts)
    return Markup("{}.").format(sentence[:1].upper() + sentence[1:])


def _numbers(found: Difference) -> str:
    """Return difference, interval and p of a comparison, for a bracket."""
    numbers = signed(found.value)
    if found.low == found.low:
        numbers += f", {signed(found.low)} to {signed(found.high)}"
    if found.verdict != "not tested":
        numbers += f", {p_says(found.p_adjusted)}"
    return numbers


def _against(reference: str, row: Mapping[Any, Any], reader: str) -> Markup:
    """Return the sentence on one reference, over all masks: the first method's difference."""
    found = Difference.of(row)
    who = Markup("<b>{}</b>").format(row["reference_method"])
    name = {
        "prior": Markup("the position prior {}, which knows where a finding usually lies").format(
            who
        ),
        "radiologist": Markup("{} {}").format(reader, who),
        "baseline": Markup("the baseline {}").format(who),
    }[reference]
    sentence = Markup("Over all masks <b>{}</b> is {} {} ({}).").format(
        row["method"], AGAINST[found.verdict], name, _numbers(found)
    )
    return sentence + _short(row, reader) if reference == "radiologist" else sentence


def _short(row: Mapping[Any, Any], reader: str) -> Markup:
    """Return a sentence on the distance to the radiologist's mean."""
    percent, low, high = row["percent"], row["percent_low"], row["percent_high"]
    if percent != percent:
        return Markup("")
    above = percent < 0
    if above:
        percent, low, high = -percent, -high, -low
    within = f" ({interval(low, high, 0)})" if low == low else ""
    text = " It is {} %{} {} the mean of {}, {}."
    way = "above" if above else "short of"
    return Markup(text).format(
        number(percent, 0), within, way, reader, number(row["reference_mean"])
    )
