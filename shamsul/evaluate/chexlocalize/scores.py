"""CheXlocalize's own figures for one method: its thresholds, slices, cutoffs and hits.

They are computed as the scripts of Saporta et al. (Nature Machine Intelligence 2022) compute them,
oddities included. Published figures can be compared with these. This project would judge otherwise
(`shamsul.evaluate.scores`). Thresholds and cutoffs are chosen on tune, figures are of test.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.errors import InputError
from shamsul.evaluate.chexlocalize.cases import Case, Run, cases
from shamsul.evaluate.chexlocalize.segmentation import above, by_otsu, scaled
from shamsul.evaluate.parameters import Protocol

logger = logging.getLogger(__name__)

THRESHOLDS = np.arange(0.2, 0.8, 0.1)
"""Thresholds to choose from: 0.2, 0.3, ..., 0.8; rounding lets the last one in."""
CUTOFFS = np.arange(0, 0.9, 0.1)
"""Probability cutoffs to choose from: 0, 0.1, ..., 0.8."""
NEVER_WITHOUT_CUTOFF = "Lung Lesion"
"""Class with a single mask in their validation set, so that they do not believe a cutoff of 0."""

COLUMNS = {
    "image_id": "str",
    "class": "str",
    "method": "str",
    "metric": "str",
    "value": "float64",
    "threshold": "str",
    "probability_cutoff": "float64",
}
"""Columns of the table of images, and their types.

metric : `iou` or `hit_rate`.
value : number in [0, 1], null where CheXlocalize leaves the image out.
threshold : `otsu`, the number, `given` where the method is segmentations, `none` for the hit rate.
probability_cutoff : number in [0, 1], null where none applies.
"""


def measure(shards: Iterable[Path], run: Run, method: str, settings: Protocol) -> pd.DataFrame:
    """Return each image's IoU and hit of one method, for the images that CheXlocalize counts.

    Parameters
    ----------
    shards : heatmap shards of the method, of tune and test.
    run : masks and probabilities against which the method is judged.
    method : name of the method.
    settings : settings of the protocol.

    Returns
    -------
    Columns `COLUMNS`, sorted by metric, class and image. Of the IoU a row for every class and
    image of test with any mask, and unless `true_pos_only` for every other image with a heatmap;
    of the hit rate a row for every class and image with any mask, and none where the method is
    segmentations without points.

    Raises
    ------
    InputError
        A fault of `cases`, or a probability is missing where there is a cutoff.
    """
    shards = list(shards)
    thresholds = tune_thresholds(shards, run) if settings.threshold == "tuned" else {}
    cutoffs = settings.probability_cutoff
    if cutoffs == "tuned":
        cutoffs = tune_cutoffs(shards, run)
    cutoffs = {} if cutoffs == "none" else cutoffs
    smoothing = settings.smoothing.get(method, 0)
    alone = settings.true_pos_only
    overlap: dict[tuple[str, str], float] = {}
    hits: dict[tuple[str, str], float] = {}
    given = pointed = False
    for case in cases(shards, run, "test", masked_only=alone):
        name = case.key[1]
        given, pointed = given or case.given is not None, pointed or case.points is not None
        segmentation = _segmentation(case, thresholds.get(name), smoothing, cutoffs.get(name, 0.0))
        overlap[case.key] = case.overlap(segmentation, alone)
        hits[case.key] = case.hit()
    masked = run.masked("test")
    everything = masked if alone else sorted({*masked, *(image_id for image_id, _ in overlap)})
    # Where a heatmap is missing they have an empty segmentation, and a miss.
    missing = np.nan if alone else 0.0
    rows = []
    for metric, images, values, default in (
        ("hit_rate", [] if given and not pointed else masked, hits, 0.0),
        ("iou", everything, overlap, missing),
    ):
        for name in run.classes:
            threshold = "given" if given else str(thresholds.get(name, "otsu"))
            cutoff = np.nan if given or not cutoffs else cutoffs.get(name, 0.0)
            if metric == "hit_rate":
                threshold, cutoff = "none", np.nan
            for image_id in images:
                key = image_id, name
                value = values.get(key, default if key in run.masks else np.nan)
                rows.append((*key, method, metric, value, threshold, cutoff))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _segmentation(
    case: Case, threshold: float | None, smoothing: int, cutoff: float
) -> NDArray[np.bool_] | None:
    """Return the segmentation of a case; None where it is empty for want of map or probability."""
    if case.original is None:
        return case.given
    if cutoff > 0 and _known(case) < cutoff:
        return None
    relevance = scaled(case.original)
    return by_otsu(relevance, smoothing) if threshold is None else above(relevance, threshold)


def _known(case: Case) -> float:
    if np.isnan(case.probability):
        raise InputError(
            f"predictions: no probability for image {case.key[0]!r}, class {case.key[1]!r}, which "
            "a cutoff needs; set evaluate.chexlocalize.probability_cutoff: none"
        )
    return case.probability


def tune_thresholds(shards: Iterable[Path], run: Run) -> dict[str, float]:
    """Return for each class the first of `THRESHOLDS` with the highest mean IoU on tune.

    The mean is over the images where mask and segmentation are both not empty. Thresholds are
    rounded to one decimal.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for case in cases(shards, run, "tune", masked_only=True):
        if case.original is not None:
            relevance = scaled(case.original)
            found[case.key] = [case.overlap(above(relevance, t), True) for t in THRESHOLDS]
    best = {}
    for name in run.classes:
        means = _means(found, run, name, len(THRESHOLDS))
        # Python's max finds nothing greater than a first element that is not a number.
        best[name] = THRESHOLDS[0 if np.isnan(means[0]) else np.nanargmax(means)]
        if np.isnan(means[0]):
            logger.warning("%s: nothing to tune on, so the threshold is the lowest", name)
    return {name: round(float(threshold), 1) for name, threshold in best.items()}


def tune_cutoffs(shards: Iterable[Path], run: Run) -> dict[str, float]:
    """Return for each class the first of `CUTOFFS` with the highest mean IoU on tune.

    The segmentation is Otsu's, and empty unless the probability exceeds the cutoff. The mean is
    over all images of tune where mask or segmentation is not empty, and rounded to three decimals
    before cutoffs are compared.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for case in cases(shards, run, "tune", masked_only=False):
        if case.original is not None:
            probability = _known(case)
            shown = case.overlap(by_otsu(scaled(case.original)), False)
            empty = case.overlap(None, False)
            found[case.key] = [shown if probability > cutoff else empty for cutoff in CUTOFFS]
    best = {}
    for name in run.classes:
        first = 1 if name == NEVER_WITHOUT_CUTOFF else 0
        means = np.round(_means(found, run, name, len(CUTOFFS)), 3)[first:]
        best[name] = CUTOFFS[first + (0 if np.isnan(means).all() else np.nanargmax(means))]
    return {name: round(float(cutoff), 1) for name, cutoff in best.items()}


def _means(
    found: Mapping[tuple[str, str], list[float]], run: Run, name: str, length: int
) -> NDArray[np.float64]:
    """Return means (length,) over the images of tune of the values that are numbers, else NaN.

    Values are summed over all images in their order, so that sums are rounded as theirs are.
    """
    images = sorted(image_id for image_id, split in run.splits.items() if split == "tune")
    rows = [found.get((image_id, name), [np.nan] * length) for image_id in images]
    values = np.ascontiguousarray(np.array(rows).reshape(-1, length).T)
    numbers = ~np.isnan(values)
    count = numbers.sum(axis=1)
    total = np.where(numbers, values, 0).sum(axis=1)
    return np.divide(total, count, out=np.full(length, np.nan), where=count > 0)
