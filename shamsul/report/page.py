"""The report: one HTML file that needs nothing else to be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from shamsul.evaluate.per_image import FALSE_ALARMS, PREFIX
from shamsul.evaluate.statistics import ENUMERATED, PERMUTATIONS
from shamsul.report import (
    background,
    formatting,
    maps,
    measures,
    probes,
    protocol,
    standing,
    strata,
)
from shamsul.report.gallery import Example, choose, examples
from shamsul.report.localisation import View, threshold_matrix, views
from shamsul.report.method_table import Grid
from shamsul.report.methods import Kind, Methods, Origin

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Results:
    """What a run has made.

    Attributes
    ----------
    classification, history, localisation, per_image, comparisons, thresholds, gains, strata,
    regressions, signs, agreement, markers, quality, runtime, predictions, manifest, masks :
        tables; each may be empty.
    faithfulness, sanity, chexlocalize : tables that only some configurations ask for.
    heatmaps, images : shards of the test split at least.
    roots : folder of each data source by its name.
    provenance : names and values, in groups: `{"Versions": {"numpy": "2.4"}, "Commit": "25afe0e"}`.
    """

    classification: pd.DataFrame
    history: pd.DataFrame
    localisation: pd.DataFrame
    per_image: pd.DataFrame
    comparisons: pd.DataFrame
    thresholds: pd.DataFrame
    gains: pd.DataFrame
    strata: pd.DataFrame
    regressions: pd.DataFrame
    signs: pd.DataFrame
    agreement: pd.DataFrame
    markers: pd.DataFrame
    quality: pd.DataFrame
    runtime: pd.DataFrame
    predictions: pd.DataFrame
    manifest: pd.DataFrame
    masks: pd.DataFrame
    heatmaps: Sequence[Path]
    images: Sequence[Path]
    roots: Mapping[str, Path]
    provenance: Mapping[str, Any]
    faithfulness: pd.DataFrame | None = None
    sanity: pd.DataFrame | None = None
    chexlocalize: pd.DataFrame | None = None


def render(
    results: Results,
    config: Mapping[str, Any],
    kinds: Mapping[str, Kind],
    foreign: Mapping[str, Origin] | None = None,
    missing: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """The report as HTML.

    Parameters
    ----------
    results : what the run has made.
    config : the whole configuration as a dictionary.
    kinds : of the methods by name: explanation, control or human.
    foreign : the origin of methods that do not explain the run's own network, by name.
    missing : of methods that are left out because they are not complete, by name, the `file` that
        is missing and the `log` of the job that did not make it.

    Raises
    ------
    InputError
        A radiograph or shard that the gallery shows cannot be read.
    """
    evaluate = config["evaluate"]
    names = [entry.get("name", entry["method"]) for entry in config["explain"]["methods"]]
    methods = Methods(names, kinds, evaluate["baseline"], foreign or {})
    sections = _sections(results, config, methods)
    main = _main_view(sections, evaluate["thresholds"])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        name: getattr(formatting, name)
        for name in ("number", "signed", "interval", "p_value", "p_says", "duration", "span")
    }
    environment.globals |= {
        "BETTER": formatting.BETTER,
        "methods": methods,
        "percent": f"{100 * evaluate['confidence']:g} %",
        "permutations": PERMUTATIONS,
        "enumerated": ENUMERATED,
    }
    judged = results.per_image[
        (results.per_image["split"] == "test") & (results.per_image["metric"] != FALSE_ALARMS)
    ]
    return environment.get_template("report.html").render(
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        title=config["report"]["title"],
        run=config["run"],
        missing=missing or {},
        evaluate=evaluate,
        alpha=1 - evaluate["confidence"],
        n_images=judged["image_id"].nunique(),
        n_patients=judged["patient_id"].nunique(),
        splits=results.manifest["split"].value_counts().to_dict(),
        classification=background.classification(results.classification),
        history=background.history(results.history),
        sections=sections,
        main=main,
        definitions=measures.definitions(results.localisation),
        **_evidence(results, config, methods, main, [v for s in sections for v in s.views]),
        **_probes(results, methods),
        gallery=_gallery(results, config, methods, main) if main else [],
        conservation=background.conservation(results.quality, names),
        runtime=background.runtime(results.runtime),
        provenance=background.groups(results.provenance),
        configuration=json.dumps(config, indent=2, ensure_ascii=False, default=str),
    )


@dataclass(frozen=True)
class Section:
    """Localisation against one kind of mask."""

    kind: str
    views: list[View]
    all_measures: Grid
    threshold_classes: list[str]
    threshold_rows: list[tuple[str, list[dict[str, object] | None]]]

    @property
    def headline(self) -> list[View]:
        """What the summary shows: all but the threshold that nobody can know beforehand."""
        return [view for view in self.views if view.rule != "best"]


def _sections(results: Results, config: Mapping[str, Any], methods: Methods) -> list[Section]:
    """One for each kind of mask on test; the first one has the false alarms too."""
    evaluate, classes = config["evaluate"], config["classes"]
    tables = results.localisation, results.comparisons, results.per_image
    alpha = 1 - evaluate["confidence"]
    of_test = results.localisation[results.localisation["split"] == "test"]
    kinds = [kind for kind in PREFIX if (of_test["metric"] == PREFIX[kind] + "hit_rate").any()]
    return [
        Section(
            kind,
            views(*tables, kind, first, methods, classes, evaluate["thresholds"], alpha),
            measures.all_measures(results.localisation, kind, first, methods),
            *threshold_matrix(results.thresholds, kind, methods, classes),
        )
        for kind in kinds
        for first in [kind == kinds[0]]
    ]


def _main_view(sections: list[Section], rules: Sequence[str]) -> View | None:
    """IoU under the rule that comes first and can be used; masks before boxes."""
    for section in sections:
        overlap = {
            view.rule: view for view in section.views if view.metric == PREFIX[section.kind] + "iou"
        }
        for rule in sorted(rules, key=lambda rule: rule == "best"):
            if rule in overlap:
                return overlap[rule]
    return None


def _kind(view: View) -> str:
    return "box" if view.metric.startswith(PREFIX["box"]) else "segmentation"


def _evidence(
    results: Results,
    config: Mapping[str, Any],
    methods: Methods,
    main: View | None,
    all_views: list[View],
) -> dict[str, Any]:
    """What is said beside the views: gains, strata, signs, agreement, markers, CheXlocalize."""
    alpha, classes = 1 - config["evaluate"]["confidence"], config["classes"]
    found: dict[str, Any] = {
        "agreement": maps.agreement(results.agreement, methods),
        "alike": maps.alike(results.agreement),
        "alike_from": maps.ALIKE,
        "markers": maps.markers(results.markers, config, methods),
        "sentences": [],
        "gains": [],
        "strata": [],
        "first_strata": strata.FIRST,
        "regressions": [],
        "signs": None,
        "swollen": [],
        "theirs": None,
    }
    if main:
        kind = _kind(main)
        hits = [view for view in all_views if view.metric == PREFIX[kind] + "hit_rate"]
        found |= {
            "sentences": standing.sentences(results.gains, main, methods, alpha),
            "gains": [
                (
                    view.name,
                    grid,
                    standing.class_gains(results.gains, view, methods, classes, alpha),
                )
                for view in (main, *hits)
                if (grid := standing.pooled_gains(results.gains, view, methods, alpha))
            ],
            "strata": strata.parts(results.strata, main, methods),
            "regressions": strata.lines(results.regressions, main, methods),
            "signs": maps.signs(results.signs, kind, methods),
            "swollen": maps.swollen(results.signs, kind, methods),
        }
    if results.chexlocalize is not None and len(results.chexlocalize):
        rule = config["evaluate"]["chexlocalize"]["threshold"]
        tables = results.chexlocalize, results.localisation, rule, methods
        found["theirs"] = protocol.side_by_side(*tables)
        found["theirs_by_class"] = protocol.by_class(*tables, classes)
    return found


def _probes(results: Results, methods: Methods) -> dict[str, Any]:
    """What the model said when it was asked again; None where it was not."""
    found: dict[str, Any] = dict.fromkeys(("faithfulness", "sanity", "stages"))
    found["probed"], found["unmapped"], found["probe_definitions"] = (0, 0), [], []
    if results.faithfulness is not None and results.sanity is not None:
        found["faithfulness"] = probes.faithfulness(results.faithfulness, methods)
        found["sanity"] = probes.sanity(results.sanity, methods)
        found["stages"] = probes.stages(results.sanity, methods)
        found["probed"] = probes.counts(results.faithfulness)
        found["unmapped"] = probes.missing(results.faithfulness, methods)
        found["probe_definitions"] = measures.definitions(results.faithfulness, results.sanity)
    return found


def _gallery(
    results: Results, config: Mapping[str, Any], methods: Methods, main: View
) -> list[Example]:
    """The examples that the main view chooses."""
    kind = _kind(main)
    choices = choose(
        *(results.per_image, main.metric, main.rule),
        *(set(filter(methods.explains, methods.names)), config["report"]["gallery"]),
    )
    key = ["image_id", "class", "method"]
    wanted = results.per_image[
        results.per_image["image_id"].isin({choice.image_id for choice in choices})
    ]
    overlap = wanted[(wanted["metric"] == main.metric) & (wanted["threshold_rule"] == main.rule)]
    hits = wanted[wanted["metric"] == PREFIX[kind] + "hit_rate"]
    both = overlap[[*key, "value"]].merge(hits[[*key, "value"]], on=key, suffixes=("", "_hit"))
    return examples(
        choices,
        methods.names,
        {tuple(row[:3]): tuple(row[3:]) for row in both.itertuples(index=False)},
        results.predictions.set_index(["image_id", "class"])["probability"].to_dict(),
        results.manifest,
        results.masks,
        kind,
        results.heatmaps,
        results.images,
        results.roots,
    )
