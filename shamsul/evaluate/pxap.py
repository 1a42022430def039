"""PxAP: the average precision of the pixels of all images of a class together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from shamsul.evaluate.histogram_metrics import auprc
from shamsul.evaluate.parameters import Resampling
from shamsul.evaluate.statistics import patient_weights, too_few
from shamsul.evaluate.thresholds import histograms
from shamsul.evaluate.value_matrix import POOLED
from shamsul.metrics import PREFIX, of_group

(METRIC,) = of_group("dataset")
ROWS = 64
"""Number of replicates worked on at once, each of twice 1024 levels."""


def pxap(scores: pd.DataFrame, settings: Resampling, seed: int) -> pd.DataFrame:
    """Return PxAP of each class, one number where other metrics are means over images.

    Every pixel of every image is ranked by its level (Choe et al., CVPR 2020). Images that show
    nothing but background at a high level count against the method, which a mean of precisions
    per image would forgive. Large images weigh more. Intervals are percentiles of patient
    resamples, whose histograms are summed before the precision is taken.

    Parameters
    ----------
    scores : scores of one method, as `shamsul.evaluate.per_image.gather` returns them.
    settings : `replicates`, `confidence` and `min_patients`.

    Returns
    -------
    Rows in the form of `shamsul.evaluate.localisation`, without median and quartiles.
    """
    rows: list[dict[str, Any]] = []
    masked = scores[scores["kind"].isin(list(PREFIX))]
    for (split, kind, method), part in masked.groupby(["split", "kind", "method"]):
        by_class = [(str(name), group) for name, group in part.groupby("class")]
        for name, group in [(POOLED, part), *by_class]:
            inside, outside = histograms(group)
            codes, patients = pd.factorize(group["patient_id"], sort=True)
            sums = np.zeros((2, len(patients), inside.shape[1]))
            np.add.at(sums[0], codes, inside)
            np.add.at(sums[1], codes, outside)
            low = high = np.nan
            note = too_few(len(patients), settings.min_patients)
            if not note:
                low, high = _interval(sums, settings, seed)
            rows.append(
                {
                    "split": split,
                    "class": name,
                    "method": method,
                    "threshold_rule": "none",
                    "metric": PREFIX[str(kind)] + METRIC,
                    "n_masks": len(group),
                    "n_images": group["image_id"].nunique(),
                    "n_patients": len(patients),
                    "mean": float(auprc(inside.sum(axis=0), outside.sum(axis=0))),
                    "low": low,
                    "high": high,
                    "note": note,
                }
            )
    return pd.DataFrame(rows)


def _interval(sums: np.ndarray, settings: Resampling, seed: int) -> tuple[float, float]:
    weights = patient_weights(sums.shape[1], settings.replicates, seed)
    values = [
        auprc(weights[start : start + ROWS] @ sums[0], weights[start : start + ROWS] @ sums[1])
        for start in range(0, len(weights), ROWS)
    ]
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return float(low), float(high)
