"""Relevance on a burnt-in marker that has nothing to do with the finding."""

from __future__ import annotations

import pandas as pd

from shamsul.evaluate.means import means
from shamsul.evaluate.parameters import Inference

METRICS = ("relevance_mass", "lift", "hit_rate")
COLUMNS = [
    *("split", "class", "shown", "method", "metric", "n_images", "n_patients"),
    *("mean", "low", "high", "note"),
]


def summarise(scores: pd.DataFrame, manifest: pd.DataFrame, settings: Inference) -> pd.DataFrame:
    """Return the relevance on the marker by split, class and the image's label.

    In a source with a confounder the marker goes with one class in training and tune, and with
    none in test (`shamsul.data.adapters.phantom.Confounder`). A classifier that has learned the
    marker instead of the finding is caught by relevance on the marker in both; one whose relevance
    is there in tune only has learned it beside the finding.

    Parameters
    ----------
    scores : table that `shamsul.evaluate.per_image.gather` returns; rows of kind `marker` count.
    manifest : image_id and a column of labels for each class.
    settings : settings of the intervals.

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
        relevance_mass=found["mass"],
        lift=found["mass"] / (found["area"] / (found["height"] * found["width"])),
        hit_rate=found["hit"],
    )
    keys = ["split", "class", "shown", "method"]
    return means(found, METRICS, keys, settings)[COLUMNS]
