"""PxAP: the average precision of the pixels of all images of a class together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from shamsul.evaluate.histogram_metrics import auprc
from shamsul.evaluate.intervals import GROUPS, jackknife_variance, limits, why_none
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.patients import Array
from shamsul.evaluate.thresholds import histograms
from shamsul.evaluate.value_matrix import MACRO, POOLED
from shamsul.metrics import PREFIX, of_group

(METRIC,) = of_group("dataset")


def pxap(scores: pd.DataFrame, settings: Inference) -> pd.DataFrame:
    """Return PxAP of each class, one number where other metrics are means over images.

    Every pixel of every image is ranked by its level (Choe et al., CVPR 2020). Images that show
    nothing but background at a high level count against the method, which a mean of precisions
    per image would forgive. Large images weigh more. The variance is the jackknife's: from the
    precision without the pixels of each patient, or of each group of patients.

    Parameters
    ----------
    scores : scores of one method, as `shamsul.evaluate.per_image.gather` returns them, with the
        column `repeats`.
    settings : `confidence` and `min_patients`.

    Returns
    -------
    Rows in the form of `shamsul.evaluate.localisation`, without median and quartiles.
    """
    rows: list[dict[str, Any]] = []
    masked = scores[scores["kind"].isin(list(PREFIX))]
    for (split, kind, method), part in masked.groupby(["split", "kind", "method"]):
        names = {"split": split, "method": method, "threshold_rule": "none"}
        names["metric"] = PREFIX[str(kind)] + METRIC
        codes, _ = pd.factorize(part["patient_id"], sort=True)
        groups = pd.Series(codes % GROUPS, part.index)
        size, found = int(groups.max()) + 1, []
        for name, group in part.groupby("class"):
            found.append(_precisions(group, groups, size))
            row = _row(group, _precision(group), *found[-1], settings)
            rows.append(row | names | {"class": str(name)})
        once = part[part["repeats"] == ""]
        pooled = _row(once, _precision(once), *_precisions(once, groups, size), settings)
        rows.append(pooled | names | {"class": POOLED})
        without = np.mean([left for left, _ in found], axis=0)
        mean = float(np.mean([row["mean"] for row in rows[-len(found) - 1 : -1]]))
        macro = _row(part, mean, without, np.ones(size, bool), settings)
        rows.append(macro | names | {"class": MACRO})
    return pd.DataFrame(rows)


def _precisions(
    scores: pd.DataFrame, groups: pd.Series, size: int
) -> tuple[Array, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Return the precision without each group of patients, and whether a group has a mask."""
    inside, outside = histograms(scores)
    codes = groups[scores.index].to_numpy()
    sums = np.zeros((2, size, inside.shape[1]))
    np.add.at(sums[0], codes, inside)
    np.add.at(sums[1], codes, outside)
    left = sums.sum(axis=1, keepdims=True) - sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(auprc(left[0], left[1])), np.isin(np.arange(size), codes)


def _precision(scores: pd.DataFrame) -> float:
    """Return the precision of all pixels of the scores together."""
    inside, outside = histograms(scores)
    return float(auprc(inside.sum(axis=0), outside.sum(axis=0)))


def _row(
    scores: pd.DataFrame,
    mean: float,
    without: Array,
    present: np.ndarray[Any, np.dtype[np.bool_]],
    settings: Inference,
) -> dict[str, Any]:
    """Return the numbers, the mean precision and its interval."""
    number = scores["patient_id"].nunique()
    low = high = np.array([np.nan])
    if number >= settings.min_patients:
        variance = jackknife_variance(without[:, None], present[:, None])
        known = np.array([float(number)])
        bounds = (np.zeros(1), np.ones(1))
        low, high = limits(np.array([mean]), variance, known, bounds, settings.confidence)
    return {
        "n_masks": len(scores),
        "n_images": scores["image_id"].nunique(),
        "n_patients": number,
        "mean": mean,
        "low": float(low[0]),
        "high": float(high[0]),
        "note": why_none(number, settings.min_patients, True, float(low[0])),
    }
