"""Tidy table of localisation, with one row for each value of each image.

Metrics of boxes are named `box_*`: a box is drawn around a finding, so overlap with it is not
overlap with the finding, and the two are never averaged.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from shamsul.errors import InputError
from shamsul.evaluate.histogram_metrics import (
    DESCRIPTION,
    LEVELS,
    OVERLAP,
    RANKING,
    area,
    auprc,
    iou,
)
from shamsul.evaluate.parameters import Measurement
from shamsul.evaluate.repeats import mark
from shamsul.evaluate.thresholds import histograms, levels, tune
from shamsul.labels import NOT_PATHOLOGIES
from shamsul.metrics import FALSE_ALARMS, METRICS, PREFIX

COLUMNS = ["image_id", "patient_id", "split", "class", "method", "repeats"]


def gather(
    scores: pd.DataFrame, manifest: pd.DataFrame, repeated: pd.DataFrame, *, abstains: bool = False
) -> pd.DataFrame:
    """Return scores with their images' patient and split, and what masks repeat, sorted.

    A method that has no map at all of a split, such as a reader who read the test set only, is not
    judged on it. Within a split a map that was not made is scored as empty, but that of a method
    that abstains, such as a position prior of which no mask is known, is not judged.

    Parameters
    ----------
    scores : table that `shamsul.evaluate.scores.score` returns, of any methods.
    manifest : image_id, patient_id and split.
    repeated : table that `shamsul.evaluate.repeats.repeats` returns.
    abstains : True where the method abstains.

    Raises
    ------
    InputError
        A score's image is not in the manifest, or an image, class and method is scored twice.
    """
    key = ["method", "kind", "class", "image_id"]
    twice = scores.duplicated(key)
    if twice.any():
        method, _, name, image_id = scores.loc[twice, key].iloc[0]
        raise InputError(f"{method}: image {image_id!r}, class {name!r} is scored twice")
    found = mark(judged(scores, manifest), repeated)
    if abstains:
        found = found[found["made"].astype(bool)]
    return found.sort_values(key, ignore_index=True)


def judged(table: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the splits that a method has any map of, with patient_id and split.

    Parameters
    ----------
    table : image_id, method and made.
    manifest : image_id, patient_id and split.
    """
    found = table.merge(manifest[["image_id", "patient_id", "split"]], on="image_id", how="left")
    lost = found["split"].isna()
    if lost.any():
        raise InputError(f"scores: image {found.loc[lost, 'image_id'].iloc[0]!r} has no manifest")
    return found[found.groupby(["method", "split"])["made"].transform("any").astype(bool)]


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Return a tidy table, sorted by all columns that name something."""
    names = [str(name) for name in table.columns if isinstance(table[name].dtype, pd.StringDtype)]
    return table.sort_values(names, ignore_index=True, kind="stable") if names else table


def per_image(
    scores: pd.DataFrame,
    thresholds: pd.DataFrame,
    manifest: pd.DataFrame,
    predictions: pd.DataFrame,
    settings: Measurement,
) -> pd.DataFrame:
    """Return one row for each image, class, method, threshold rule and metric.

    Parameters
    ----------
    scores : table that `gather` returns.
    thresholds : table that `tune` returns; their rows on tune chose them, so only test is unbiased.
    manifest : table of images with a column of labels for each class of `predictions`.
    predictions : image_id, class, probability.
    settings : `thresholds` and `fixed_threshold`.

    Returns
    -------
    image_id, patient_id, split, class, method, repeats, threshold_rule (`none` for what needs no
    threshold), metric (`shamsul.metrics`), value, probability of the class, n_labels (positive
    labels of the image that are pathologies: 1 is a single-label image). The metrics of masks have
    a row for every mask, those of evidence the headline metrics only. The false alarms have one
    for every image that is labelled negative.

    Raises
    ------
    InputError
        An image and class has no prediction.
    """
    masked = scores[scores["kind"].isin(list(PREFIX))]
    table = pd.concat(
        [
            *_of_masks(masked, thresholds, settings),
            *_of_ceilings(masked, thresholds, settings),
            *_of_negatives(_negatives(scores, manifest), thresholds, settings),
        ],
        ignore_index=True,
    )
    key = ["image_id", "class"]
    table = table.merge(predictions[[*key, "probability"]], on=key, how="left")
    if table["probability"].isna().any():
        image_id, name = table.loc[table["probability"].isna(), key].iloc[0]
        raise InputError(f"predictions: none for image {image_id!r}, class {name!r}")
    table = table.merge(_n_labels(manifest, predictions), on="image_id", how="left")
    return table.sort_values(
        ["split", "class", "method", "threshold_rule", "metric", "image_id"], ignore_index=True
    )


def _of_masks(
    masked: pd.DataFrame, thresholds: pd.DataFrame, settings: Measurement
) -> Iterator[pd.DataFrame]:
    inside, outside = histograms(masked)
    prefix = masked["kind"].map(PREFIX)
    share = masked["area"] / (masked["height"] * masked["width"])
    free = {"hit_rate": masked["hit"], "relevance_mass": masked["mass"]}
    free |= {name: masked[name] for name in RANKING}
    free["auprc_lift"] = free["auprc"] / share
    # Against the evidence the headlines are enough; the other metrics would double the tables.
    told = {True: np.ones(len(masked), bool), False: (masked["kind"] != "evidence").to_numpy()}
    for name, value in free.items():
        part = masked[COLUMNS].assign(
            threshold_rule="none", metric=prefix + name, value=np.asarray(value, float)
        )
        yield part[told[METRICS[name].headline]]
    measures = OVERLAP | DESCRIPTION
    curves = {name: measure(inside, outside) for name, measure in measures.items()}
    rows = np.arange(len(masked))
    for rule in settings.thresholds:
        if rule == "best":
            level = curves["iou"].argmax(axis=1)
        else:
            level = levels(rule, masked, inside + outside, thresholds, settings)
        for name, curve in curves.items():
            part = masked[COLUMNS].assign(
                threshold_rule=rule, metric=prefix + name, value=curve[rows, level]
            )
            yield part[(level >= 0) & told[METRICS[name].headline]]


def _of_ceilings(
    masked: pd.DataFrame, thresholds: pd.DataFrame, settings: Measurement
) -> Iterator[pd.DataFrame]:
    """Yield what the masks themselves score at each map's resolution, under the same rules.

    The rule `tuned` chooses the thresholds of the masks at that resolution as it does a method's.
    """
    # The ceilings are no headlines, which are all that is told of evidence.
    masked = masked[(masked["ceiling_inside"].map(len) > 0) & (masked["kind"] != "evidence")]
    masked = masked.assign(inside=masked["ceiling_inside"], outside=masked["ceiling_outside"])
    inside, outside = histograms(masked)
    prefix = masked["kind"].map(PREFIX)
    value = auprc(inside, outside)
    yield masked[COLUMNS].assign(
        threshold_rule="none", metric=prefix + "auprc_ceiling", value=value
    )
    curve = iou(inside, outside)
    # Kinds of masks without a tuned threshold were told of when the methods' were chosen.
    tuned = tune(masked.merge(thresholds[["method", "kind"]].drop_duplicates()), settings)
    for rule in settings.thresholds:
        if rule == "best":
            level = curve.argmax(axis=1)
        else:
            level = levels(rule, masked, inside + outside, tuned, settings)
        value = curve[np.arange(len(masked)), level]
        part = masked[COLUMNS].assign(
            threshold_rule=rule, metric=prefix + "iou_ceiling", value=value
        )
        yield part[level >= 0]


def _of_negatives(
    negative: pd.DataFrame, thresholds: pd.DataFrame, settings: Measurement
) -> Iterator[pd.DataFrame]:
    """Yield what is segmented where there is nothing; the best threshold would be above all."""
    outside = np.array(negative["outside"].tolist(), dtype=np.int64).reshape(-1, LEVELS)
    rows = np.arange(len(negative))
    # A threshold was tuned on the outlines of the class, or, where it has none, on its boxes.
    most = thresholds.sort_values(["n_masks", "kind"], ascending=False)
    kinds = most.drop_duplicates(["method", "class"])[["method", "class", "kind"]]
    negative = negative.drop(columns="kind").merge(kinds, on=["method", "class"], how="left")
    for rule in settings.thresholds:
        if rule == "best":
            continue
        level = levels(rule, negative, outside, thresholds, settings)
        value = area(np.zeros_like(outside), outside)[rows, level]
        part = negative[COLUMNS].assign(threshold_rule=rule, metric=FALSE_ALARMS, value=value)
        yield part[level >= 0]


def _negatives(scores: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the maps of images that have no mask of the class and are labelled negative for it.

    A map that was not made is not praised for showing nothing.
    """
    bare = scores[(scores["kind"] == "none") & scores["made"].astype(bool)]
    classes = [name for name in bare["class"].unique() if name in manifest]
    labels = manifest.melt("image_id", classes, "class", "label")
    found = bare.merge(labels, on=["image_id", "class"], how="left")
    return found[found["label"] == 0].drop(columns="label").reset_index(drop=True)


def _n_labels(manifest: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the number of positive labels of each image that are pathologies."""
    classes = [name for name in predictions["class"].unique() if name not in NOT_PATHOLOGIES]
    positive = (manifest[[name for name in classes if name in manifest]] == 1).sum(axis=1)
    return pd.DataFrame({"image_id": manifest["image_id"], "n_labels": positive.astype("int64")})
