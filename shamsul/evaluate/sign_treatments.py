"""What each treatment of negative relevance makes of the same maps."""

from __future__ import annotations

from typing import Any

import pandas as pd

from shamsul.evaluate.per_image import Settings
from shamsul.evaluate.statistics import bootstrap_interval, too_few
from shamsul.evaluate.value_matrix import POOLED
from shamsul.metrics import PREFIX

METRICS = ("otsu_area", "iou", "hit_rate")
COLUMNS = [
    *("split", "class", "method", "sign", "metric", "n_masks", "n_images", "n_patients"),
    *("mean", "low", "high", "note"),
]


def summarise(
    signs: pd.DataFrame, manifest: pd.DataFrame, settings: Settings, seed: int
) -> pd.DataFrame:
    """Means by treatment, with patient-bootstrap intervals.

    Parameters
    ----------
    signs : of `shamsul.evaluate.scores.score`.
    manifest : image_id, patient_id and split.
    settings : of the evaluation.

    Returns
    -------
    Columns `COLUMNS`. metric : `otsu_area` (share of the image above Otsu's threshold), and `iou`
    and `hit_rate` there; of boxes with their prefix. Methods without negative relevance have the
    same values under every sign. note : why there is no interval.
    """
    found = signs.merge(manifest[["image_id", "patient_id", "split"]], on="image_id")
    rows: list[dict[str, Any]] = []
    for (split, kind, method, sign), part in found.groupby(["split", "kind", "method", "sign"]):
        by_class = [(str(name), group) for name, group in part.groupby("class")]
        for name, group in [(POOLED, part), *by_class]:
            ordered = group.sort_values(["patient_id", "image_id", "class"])
            values, patients = ordered[list(METRICS)].to_numpy(float), ordered["patient_id"]
            n_patients = patients.nunique()
            low, high = bootstrap_interval(values, patients, settings, seed)
            for column, metric in enumerate(METRICS):
                rows.append(
                    {
                        "split": split,
                        "class": name,
                        "method": method,
                        "sign": sign,
                        "metric": PREFIX[str(kind)] + metric,
                        "n_masks": len(group),
                        "n_images": group["image_id"].nunique(),
                        "n_patients": n_patients,
                        "mean": values[:, column].mean(),
                        "low": low[column],
                        "high": high[column],
                        "note": too_few(n_patients, settings),
                    }
                )
    return pd.DataFrame(rows, columns=COLUMNS)
