"""Thresholds that cut a heatmap into a segmentation: tuned on the tune split, Otsu's, fixed."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.evaluate.histogram_metrics import LEVELS, iou, level_of, otsu
from shamsul.evaluate.parameters import Measurement
from shamsul.metrics import PREFIX

logger = logging.getLogger(__name__)

THRESHOLDS = ["method", "class", "kind", "level", "threshold", "n_masks", "pooled", "tune_iou"]


def histograms(scores: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pixels by level inside and outside of the masks of N rows: two (N, 1024) arrays."""
    inside, outside = (
        np.array(scores[column].tolist(), dtype=np.int64).reshape(-1, LEVELS)
        for column in ("inside", "outside")
    )
    return inside, outside


def tune(scores: pd.DataFrame, settings: Measurement) -> pd.DataFrame:
    """Return the threshold of each method and class that maximises the mean IoU on tune.

    Nothing of the other splits is looked at. A class with fewer than `min_masks` masks on tune
    takes the threshold of all its method's masks together. A segmentation that was made elsewhere
    needs no tuning: any threshold leaves it as it is.

    Parameters
    ----------
    scores : table that `shamsul.evaluate.per_image.gather` returns.
    settings : `min_masks`.

    Returns
    -------
    method, class, kind, level (0-1023), threshold (in [0, 1], of the min-max scaled map), n_masks
    on tune, pooled (bool), tune_iou (mean over the masks that chose it). No row where a method has
    no mask of that kind on tune at all.
    """
    rows: list[dict[str, Any]] = []
    classes = scores.groupby("method")["class"].unique().map(sorted)
    for (method, kind), group in scores[scores["kind"].isin(list(PREFIX))].groupby(
        ["method", "kind"]
    ):
        on_tune = (group["split"] == "tune").to_numpy()
        if not on_tune.any() and _two_levels(group):
            rows += [
                dict(zip(THRESHOLDS, (method, name, kind, 0, 0.0, 0, False, np.nan), strict=True))
                for name in classes[method]
            ]
            continue
        if not on_tune.any():
            logger.warning("%s: no %s masks on tune, so no tuned threshold", method, kind)
            continue
        curve, names = iou(*histograms(group[on_tune])), group.loc[on_tune, "class"].to_numpy()
        for name in classes[method]:
            own = curve[names == name]
            pooled = len(own) < settings.min_masks
            mean = (curve if pooled else own).mean(axis=0)
            level = int(mean.argmax())
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
    return pd.DataFrame(rows, columns=THRESHOLDS)


def warn_of_few(thresholds: pd.DataFrame, settings: Measurement) -> None:
    """Warn once, for all methods, of the classes with too few masks on tune (`tune`)."""
    pooled = thresholds[thresholds["pooled"].astype(bool)].drop_duplicates(["class", "kind"])
    for row in pooled.sort_values(["class", "kind"]).to_dict("records"):
        logger.warning(
            "%s: %d masks on tune, fewer than %d; its thresholds are those of all classes pooled",
            *(row["class"], row["n_masks"], settings.min_masks),
        )


def _two_levels(scores: pd.DataFrame) -> bool:
    """Return whether the maps are segmentations: every pixel the lowest or the highest level."""
    return not any(counts[:, 1:-1].any() for counts in histograms(scores))


def levels(
    rule: str,
    scores: pd.DataFrame,
    total: NDArray[np.int64],
    thresholds: pd.DataFrame,
    settings: Measurement,
) -> NDArray[np.int64]:
    """Return the level (N,) at which a rule cuts each of N maps, -1 where it has none.

    Parameters
    ----------
    rule : any but `best`, which is known from the overlap alone.
    scores : (N rows) method, class and kind.
    total : (N, 1024) pixels by level.
    thresholds : table that `tune` returns.
    settings : `fixed_threshold`.
    """
    if rule == "otsu":
        return otsu(total)
    if rule == "fixed":
        return np.full(len(scores), level_of(settings.fixed_threshold))
    key = ["method", "class", "kind"]
    tuned = scores[key].merge(thresholds[[*key, "level"]], on=key, how="left")["level"]
    return tuned.fillna(-1).to_numpy(np.int64)
