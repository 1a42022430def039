"""What stands behind the results: classification, training, sums, run time, provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from shamsul.report.figures import interval_bar, line_chart


def classification(table: pd.DataFrame) -> list[dict[str, Any]]:
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


def history(table: pd.DataFrame) -> list[tuple[str, Markup]]:
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


def conservation(table: pd.DataFrame, methods: Sequence[str]) -> list[dict[str, Any]]:
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


def runtime(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Jobs, seconds and memory by rule, the longest first."""
    if table.empty:
        return []
    stages = table.groupby("rule").agg(
        jobs=("seconds", "size"), seconds=("seconds", "sum"), memory=("max_rss_mb", "max")
    )
    stages = stages.reset_index().sort_values(["seconds", "rule"], ascending=[False, True])
    return [{str(k): v for k, v in row.items()} for row in stages.to_dict("records")]


def groups(provenance: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Names and values by group; single values come first, under no name."""
    single = [(name, _text(v)) for name, v in provenance.items() if not isinstance(v, Mapping)]
    groups = [("", single)] if single else []
    for name, values in provenance.items():
        if isinstance(values, Mapping):
            groups.append((name, [(key, _text(value)) for key, value in values.items()]))
    return groups


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
