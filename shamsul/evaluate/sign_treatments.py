"""Means of the same maps under each treatment of negative relevance."""

from __future__ import annotations

import pandas as pd

from shamsul.evaluate.means import MEANS, means
from shamsul.evaluate.parameters import Inference
from shamsul.metrics import PREFIX

METRICS = ("otsu_area", "iou", "hit_rate")
COLUMNS = ["split", "class", "method", "sign", "metric", *MEANS]


def summarise(signs: pd.DataFrame, manifest: pd.DataFrame, settings: Inference) -> pd.DataFrame:
    """Return means by treatment, with intervals over patients.

    Parameters
    ----------
    signs : table of signs that `shamsul.evaluate.scores.score` returns.
    manifest : image_id, patient_id and split.
    settings : settings of the intervals.

    Returns
    -------
    Columns `COLUMNS`. metric : `otsu_area` (share of the image above Otsu's threshold), and `iou`
    and `hit_rate` there; of boxes with their prefix. Methods without negative relevance have the
    same values under every sign. note : why there is no interval.
    """
    found = signs.merge(manifest[["image_id", "patient_id", "split"]], on="image_id")
    table = means(found, METRICS, ["split", "kind", "method", "sign"], settings)
    return table.assign(metric=table["kind"].map(PREFIX) + table["metric"])[COLUMNS]
