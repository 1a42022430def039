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

from shamsul.evaluate.tables import PREFIX
from shamsul.report import wording
from shamsul.report.figures import interval_bar, line_chart
from shamsul.report.gallery import Example, choose, examples
from shamsul.report.localisation import View, threshold_matrix, views

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Results:
    """What a run has made.

    Attributes
    ----------
    classification, history, localisation, per_image, comparisons, thresholds, quality, runtime,
    predictions, manifest, masks : tables; each may be empty.
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
    quality: pd.DataFrame
    runtime: pd.DataFrame
    predictions: pd.DataFrame
    manifest: pd.DataFrame
    masks: pd.DataFrame
    heatmaps: Sequence[Path]
    images: Sequence[Path]
    roots: Mapping[str, Path]
    provenance: Mapping[str, Any]


def render(results: Results, config: Mapping[str, Any]) -> str:
    """The report as HTML.

    Parameters
    ----------
    results : what the run has made.
    config : the whole configuration as a dictionary.

    Raises
    ------
    InputError
        A radiograph or shard that the gallery shows cannot be read.
    """
    evaluate, methods = config["evaluate"], _method_names(config)
    alpha = 1 - evaluate["confidence"]
    found = views(
        results.localisation,
        results.comparisons,
        results.per_image,
        methods,
        config["classes"],
        evaluate["baseline"],
        alpha,
    )
    sections = [section for kind in PREFIX if (section := _section(kind, found, results, config))]
    main = _main_view(sections, evaluate["rules"])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        name: getattr(wording, name)
        for name in ("number", "signed", "interval", "p_value", "p_says", "duration")
    }
    judged = results.per_image[results.per_image["split"] == "test"]
    return environment.get_template("report.html").render(
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        title=config["report"]["title"],
        run=config["run"],
        control=evaluate["baseline"],
        percent=f"{100 * evaluate['confidence']:g} %",
        alpha=alpha,
        replicates=evaluate["replicates"],
        fixed=evaluate["fixed_threshold"],
        min_masks=evaluate["min_masks"],
        methods=methods,
        n_images=judged["image_id"].nunique(),
        n_patients=judged["patient_id"].nunique(),
        splits=results.manifest["split"].value_counts().to_dict(),
        classification=_classification(results.classification),
        history=_history(results.history),
        sections=sections,
        main=main,
        gallery=_gallery(results, config, methods, main) if main else [],
        conservation=_conservation(results.quality, methods),
        runtime=_runtime(results.runtime),
        provenance=_groups(results.provenance),
        configuration=json.dumps(config, indent=2, ensure_ascii=False, default=str),
    )


def _method_names(config: Mapping[str, Any]) -> list[str]:
    """The methods in the order of the configuration."""
    return [entry.get("name", entry["method"]) for entry in config["explain"]["methods"]]


@dataclass(frozen=True)
class Section:
    """Localisation against one kind of mask."""

    kind: str
    views: list[View]
    headline: list[View]
    """IoU under each rule and the hit rate; Dice ranks maps as IoU does."""
    threshold_classes: list[str]
    threshold_rows: list[tuple[str, list[dict[str, object] | None]]]


def _section(
    kind: str, found: list[View], results: Results, config: Mapping[str, Any]
) -> Section | None:
    prefix = PREFIX[kind]
    own = [
        view for view in found if view.metric in {prefix + m for m in ("iou", "dice", "hit_rate")}
    ]
    if not own:
        return None
    classes, rows = threshold_matrix(
        results.thresholds, kind, _method_names(config), config["classes"]
    )
    headline = [view for view in own if view.metric != prefix + "dice"]
    return Section(kind, own, headline, classes, rows)


def _main_view(sections: list[Section], rules: Sequence[str]) -> View | None:
    """IoU under the rule that the configuration names first; masks before boxes."""
    for section in sections:
        overlap = [view for view in section.views if view.metric == PREFIX[section.kind] + "iou"]
        for rule in rules:
            for view in overlap:
                if view.rule == rule:
                    return view
    return None


def _classification(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the classification on test, with their bars."""
    rows = []
    for row in table[table["split"] == "test"].to_dict("records") if len(table) else []:
        low, high = (row.get(f"auprc_{end}", float("nan")) for end in ("low", "high"))
        prevalence = row["n_positive"] / row["n"] if row["n"] else float("nan")
        auroc = interval_bar(row["auroc"], row["auroc_low"], row["auroc_high"], 0.5)
        auprc = interval_bar(row["auprc"], low, high, prevalence)
        bars = {"auprc_low": low, "auprc_high": high, "auroc_bar": auroc, "auprc_bar": auprc}
        rows.append({**row, **bars})
    return rows


def _history(table: pd.DataFrame) -> list[tuple[str, Markup]]:
    """Curves of training: losses, and AUROC on tune."""
    if "epoch" not in table or table.empty:
        return []
    charts = []
    for word, title in (("loss", "Loss"), ("auroc", "Mean AUROC")):
        names = [name for name in table.select_dtypes("number") if word in name.lower()]
        series = {name.replace("_", " "): table[name].tolist() for name in names}
        if chart := line_chart(series, table["epoch"].tolist(), f"{title} by epoch", "epoch"):
            charts.append((title, chart))
    return charts


def _gallery(
    results: Results, config: Mapping[str, Any], methods: Sequence[str], main: View
) -> list[Example]:
    """The examples that the main view chooses."""
    kind = "box" if main.metric.startswith(PREFIX["box"]) else "segmentation"
    choices = choose(
        results.per_image,
        main.metric,
        main.rule,
        config["evaluate"]["baseline"],
        config["report"]["gallery"],
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
        methods,
        {tuple(row[:3]): tuple(row[3:]) for row in both.itertuples(index=False)},
        results.predictions.set_index(["image_id", "class"])["probability"].to_dict(),
        results.manifest,
        results.masks,
        kind,
        results.heatmaps,
        results.images,
        results.roots,
    )


def _conservation(table: pd.DataFrame, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Error of each method's sums on test: the median, and the class where it is largest."""
    rows = []
    for method in methods:
        chosen = (table["method"] == method) & (table["quality"] == "conservation_error")
        own = table[chosen & (table["split"] == "test")]
        if len(own):
            worst = own.loc[own["median"].idxmax()]
            rows.append(
                {
                    "method": method,
                    "median": own["median"].median(),
                    "worst": worst["median"],
                    "worst_class": worst["class"],
                }
            )
    return rows


def _runtime(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Jobs, seconds and memory by rule, the longest first."""
    if table.empty:
        return []
    stages = table.groupby("rule").agg(
        jobs=("seconds", "size"), seconds=("seconds", "sum"), memory=("max_rss_mb", "max")
    )
    stages = stages.reset_index().sort_values(["seconds", "rule"], ascending=[False, True])
    return [{str(k): v for k, v in row.items()} for row in stages.to_dict("records")]


def _groups(provenance: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Names and values by group; single values come first, under no name."""
    single = [(name, _text(v)) for name, v in provenance.items() if not isinstance(v, Mapping)]
    groups = [("", single)] if single else []
    for name, values in provenance.items():
        if isinstance(values, Mapping):
            groups.append((name, [(key, _text(value)) for key, value in values.items()]))
    return groups


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
