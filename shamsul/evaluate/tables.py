"""Tidy tables of localisation: the thresholds, and one row for each value of each image.

Metrics of boxes are named `box_*`: a box is drawn around a finding, so overlap with it is not
overlap with the finding, and the two are never averaged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.errors import InputError
from shamsul.evaluate.segmentation import LEVELS, dice, iou, level_of, otsu
from shamsul.labels import NOT_PATHOLOGIES

logger = logging.getLogger(__name__)

PREFIX = {"segmentation": "", "box": "box_"}
"""Of the metrics' names, by kind of mask."""

THRESHOLDS = ["method", "class", "kind", "level", "threshold", "n_masks", "pooled", "tune_iou"]
Settings = Mapping[str, Any]
"""`shamsul.evaluate.settings.Evaluate` as a dictionary."""


def gather(scores: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Scores with their images' patient and split, sorted.

    Raises
    ------
    InputError
        A score's image is not in the manifest, or an image, class and method is scored twice.
    """
    key = ["method", "kind", "class", "image_id"]
    repeated = scores.duplicated(key)
    if repeated.any():
        method, _, name, image_id = scores.loc[repeated, key].iloc[0]
        raise InputError(f"{method}: image {image_id!r}, class {name!r} is scored twice")
    found = scores.merge(manifest[["image_id", "patient_id", "split"]], on="image_id", how="left")
    lost = found["split"].isna()
    if lost.any():
        raise InputError(f"scores: image {found.loc[lost, 'image_id'].iloc[0]!r} has no manifest")
    return found.sort_values(key, ignore_index=True)


def curves(scores: pd.DataFrame) -> NDArray[np.float64]:
    """IoU at each of the 256 thresholds: (N, 256)."""
    return iou(_counts(scores, "inside"), _counts(scores, "outside"))


def _counts(scores: pd.DataFrame, column: str) -> NDArray[np.int64]:
    return np.array(scores[column].tolist(), dtype=np.int64).reshape(-1, LEVELS)


def tune(scores: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The threshold of each method and class that maximises the mean IoU on tune.

    Nothing of the other splits is looked at. A class with fewer than `min_masks` masks on tune
    takes the threshold of all its method's masks together, and the log says so.

    Parameters
    ----------
    scores : as `gather` returns them.
    settings : `min_masks`.

    Returns
    -------
    method, class, kind, level (0-255), threshold (in [0, 1], of the min-max scaled map), n_masks
    on tune, pooled (bool), tune_iou (mean over the masks that chose it). No row where a method has
    no mask of that kind on tune at all.
    """
    rows: list[dict[str, Any]] = []
    few: dict[str, int] = {}
    for (method, kind), group in scores.groupby(["method", "kind"]):
        on_tune = (group["split"] == "tune").to_numpy()
        if not on_tune.any():
            logger.warning("%s: no %s masks on tune, so no tuned threshold", method, kind)
            continue
        curve, names = curves(group[on_tune]), group.loc[on_tune, "class"].to_numpy()
        for name in sorted(set(group["class"])):
            own = curve[names == name]
            pooled = len(own) < settings["min_masks"]
            mean = (curve if pooled else own).mean(axis=0)
            level = int(mean.argmax())
            if pooled:
                few[name] = len(own)
            rows.append(
                {
                    "method": method,
                    "class": name,
                    "kind": kind,
                    "level": level,
                    "threshold": level / (LEVELS - 1),
                    "n_masks": len(own),
                    "pooled": pooled,
                    "tune_iou": float(mean[level]),
                }
            )
    for name, count in sorted(few.items()):
        logger.warning(
            "%s: %d masks on tune, fewer than %d; its thresholds are those of all classes pooled",
            *(name, count, settings["min_masks"]),
        )
    return pd.DataFrame(rows, columns=THRESHOLDS)


def per_image(
    scores: pd.DataFrame,
    thresholds: pd.DataFrame,
    manifest: pd.DataFrame,
    predictions: pd.DataFrame,
    settings: Settings,
) -> pd.DataFrame:
    """One row for each image, class, method, threshold rule and metric.

    Parameters
    ----------
    scores : as `gather` returns them.
    thresholds : as `tune` returns them; their rows on tune chose them, so only test is unbiased.
    manifest : with a column of labels for each class of `predictions`.
    predictions : image_id, class, probability.
    settings : `rules` and `fixed_threshold`.

    Returns
    -------
    image_id, patient_id, split, class, method, threshold_rule (`none` for the hit rate), metric,
    value in [0, 1], probability of the class, n_labels (positive labels of the image that are
    pathologies: 1 is a single-label image).

    Raises
    ------
    InputError
        An image and class has no prediction.
    """
    curve, rows = curves(scores), np.arange(len(scores))
    levels: dict[str, NDArray[np.int64]] = {}
    for rule in settings["rules"]:
        if rule == "otsu":
            total = _counts(scores, "inside") + _counts(scores, "outside")
            levels[rule] = np.array([otsu(histogram) for histogram in total], dtype=np.int64)
        elif rule == "fixed":
            levels[rule] = np.full(len(scores), level_of(settings["fixed_threshold"]))
        else:
            key = ["method", "class", "kind"]
            tuned = scores[key].merge(thresholds[[*key, "level"]], on=key, how="left")["level"]
            levels[rule] = tuned.fillna(-1).to_numpy(np.int64)
    prefix = scores["kind"].map(PREFIX)
    columns = ["image_id", "patient_id", "split", "class", "method"]
    parts = [
        scores[columns].assign(
            threshold_rule="none", metric=prefix + "hit_rate", value=scores["hit"].astype(float)
        )
    ]
    for rule, level in levels.items():
        overlap = curve[rows, level]
        for metric, value in (("iou", overlap), ("dice", dice(overlap))):
            part = scores[columns].assign(threshold_rule=rule, metric=prefix + metric, value=value)
            parts.append(part[level >= 0])
    table = pd.concat(parts, ignore_index=True)
    key = ["image_id", "class"]
    table = table.merge(predictions[[*key, "probability"]], on=key, how="left")
    if table["probability"].isna().any():
        image_id, name = table.loc[table["probability"].isna(), key].iloc[0]
        raise InputError(f"predictions: none for image {image_id!r}, class {name!r}")
    table = table.merge(_n_labels(manifest, predictions), on="image_id", how="left")
    return table.sort_values(
        ["split", "class", "method", "threshold_rule", "metric", "image_id"], ignore_index=True
    )


def _n_labels(manifest: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Number of positive labels of each image that are pathologies."""
    classes = [name for name in predictions["class"].unique() if name not in NOT_PATHOLOGIES]
    positive = (manifest[[name for name in classes if name in manifest]] == 1).sum(axis=1)
    return pd.DataFrame({"image_id": manifest["image_id"], "n_labels": positive.astype("int64")})
