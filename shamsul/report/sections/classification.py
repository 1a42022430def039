"""Classification: AUROC and AUPRC of the classifier, and how it was trained."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from shamsul.report.figures import interval_bar, line_chart
from shamsul.report.run import Run

TITLE = "Classification"
AFTER = "summary"
NEEDS = ("classification", "history")


def context(run: Run) -> dict[str, Any]:
    """Return the rows of the classes and the curves of training."""
    return {
        "classification": classification(run.table("classification")),
        "history": history(run.table("history")),
    }


def classification(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows of the classification on test, with their bars."""
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
    """Return curves of training: losses, and AUROC on tune."""
    if "epoch" not in table or table.empty:
        return []
    charts = []
    for word, title in (("loss", "Loss"), ("auroc", "Mean AUROC")):
        names = [name for name in table.select_dtypes("number") if word in name.lower()]
        series = {name.replace("_", " "): table[name].tolist() for name in names}
        if chart := line_chart(series, table["epoch"].tolist(), f"{title} by epoch", "epoch"):
            charts.append((title, chart))
    return charts
