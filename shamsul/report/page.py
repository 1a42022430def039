"""The report: one HTML file that needs nothing else to be read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from shamsul.metrics import FALSE_ALARMS
from shamsul.report import formatting
from shamsul.report.gate import failures
from shamsul.report.methods import Methods, Origin
from shamsul.report.run import Results, Run
from shamsul.report.sections import SECTIONS, Section

if TYPE_CHECKING:
    from shamsul.explain.base import Kind

FOLDER = Path(__file__).parent
WRITTEN = ("number", "signed", "interval", "p_value", "p_says", "duration", "span")
"""Functions of `shamsul.report.formatting` that every template may call."""


def render(
    results: Results,
    config: Mapping[str, Any],
    kinds: Mapping[str, Kind],
    foreign: Mapping[str, Origin] | None = None,
    missing: Mapping[str, Mapping[str, str]] | None = None,
    simulated: Collection[str] = (),
    sections: Iterable[Section] = SECTIONS,
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    results : the tables and shards of the run.
    config : the whole configuration as a dictionary.
    kinds : kind of each method by name: explanation, control or human.
    foreign : origin of the methods that do not explain the run's own network, by name.
    missing : methods that are left out because they are not complete, by name: the `file` that is
        missing and the `log` of the job that did not make it.
    simulated : readers that are no humans.
    sections : sections in the order of the page.

    Raises
    ------
    InputError
        A radiograph or shard that the gallery shows cannot be read.
    """
    names = [entry.get("name", entry["method"]) for entry in config["explain"]["methods"]]
    failing = failures(results.tables.get("sanity"))
    baseline = config["evaluate"]["baseline"]
    methods = Methods(names, kinds, baseline, foreign or {}, failing, simulated)
    run = Run(results, config, methods)
    environment = _environment(run)
    written = [
        (section, Markup(environment.get_template(section.template).render(context)))
        for section in sections
        if (context := section.context(run)) is not None
    ]
    judged = run.table("per_image")
    judged = judged[(judged["split"] == "test") & (judged["metric"] != FALSE_ALARMS)]
    return environment.get_template("report.html").render(
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        title=config["report"]["title"],
        run=config["run"],
        missing=missing or {},
        n_images=judged["image_id"].nunique(),
        n_patients=judged["patient_id"].nunique(),
        sections=written,
    )


def _environment(run: Run) -> jinja2.Environment:
    """Return the templates' environment, with what every template may use."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {name: getattr(formatting, name) for name in WRITTEN}
    environment.globals |= {
        "BETTER": formatting.BETTER,
        "methods": run.methods,
        "evaluate": run.evaluate,
        "percent": run.percent,
        "main": run.main,
    }
    return environment
