"""How much of a heatmap lies on a burnt-in marker that has nothing to do with the finding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from shamsul.evaluate.per_image import Settings
from shamsul.evaluate.statistics import bootstrap_interval, too_few

METRICS = ("relevance_mass", "lift", "hit_rate")
COLUMNS = [
    *("split", "class", "shown", "method", "metric", "n_images", "n_patients"),
    *("mean", "low", "high", "note"),
]


def summarise(
    scores: pd.DataFrame, manifest: pd.DataFrame, settings: Settings, seed: int
) -> pd.DataFrame:
    """Relevance on the marker, by split, class and whether the image shows the class.

    In a source with a confounder the marker goes with one class in training and tune, and with
    none in test (`shamsul.data.settings.Confounder`). A classifier that has learned the marker
    instead of the finding is caught by relevance on the marker in both; one whose relevance is
    there in tune only has learned it beside the finding.

    Parameters
    ----------
    scores : as `tables.gather` returns them; rows of kind `marker` count.
    manifest : image_id and a column of labels for each class.
    settings : of the evaluation.

    Returns
    -------
    Columns `COLUMNS`. shown : `yes` or `no`, the label. metric : `relevance_mass` (share of the
    relevance on the marker, in [0, 1]), `lift` (that over the marker's share of the image, which
    chance would give), `hit_rate` (whether the most relevant pixel lies on the marker).
    note : why there is no interval.
    """
    found = scores[scores["kind"] == "marker"]
    classes = [name for name in found["class"].unique() if name in manifest]
    labels = manifest.melt("image_id", classes, "class", "label")
    found = found.merge(labels, on=["image_id", "class"])
    found = found.assign(
        shown=found["label"].map({1: "yes", 0: "no"}),
        lift=found["mass"] / (found["area"] / (found["height"] * found["width"])),
    )
    rows: list[dict[str, Any]] = []
    for key, group in found.groupby(["split", "class", "shown", "method"]):
        ordered = group.sort_values(["patient_id", "image_id"])
        values, patients = ordered[["mass", "lift", "hit"]].to_numpy(float), ordered["patient_id"]
        n_patients = patients.nunique()
        low, high = bootstrap_interval(values, patients, settings, seed)
        for column, metric in enumerate(METRICS):
            rows.append(
                dict(zip(COLUMNS[:4], key, strict=True))
                | {
                    "metric": metric,
                    "n_images": len(group),
                    "n_patients": n_patients,
                    "mean": np.mean(values[:, column]),
                    "low": low[column],
                    "high": high[column],
                    "note": too_few(n_patients, settings),
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS)
