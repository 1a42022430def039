"""Performance of the classifier: AUROC and AUPRC of each class, with intervals.

Patients are resampled by weights: an image counts as often as its patient is drawn. A class is
sorted once, and all replicates are cumulative sums over it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.errors import InputError
from shamsul.evaluate.statistics import patient_weights, too_few

COLUMNS = [
    "split",
    "class",
    "auroc",
    "auroc_low",
    "auroc_high",
    "auprc",
    "auprc_low",
    "auprc_high",
    "n_positive",
    "n",
    "n_patients",
    "note",
]
MACRO = "macro"
"""Name of the row with the mean over classes."""
BLOCK = 4_000_000
"""Number of weights (replicates x images) held at once."""


def classification_table(
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    min_patients: int = 2,
) -> pd.DataFrame:
    """Return AUROC and AUPRC of each split and class, and their mean over classes.

    Labels that are uncertain or missing are left out of their class. Intervals are percentiles
    over resampled patients, the same resamples for all classes of a split. A resample in which a
    class has one label only is left out for that class, and counted in `note`; the mean of a
    resample is over the classes that it leaves, those without an interval of their own included.

    Parameters
    ----------
    predictions : image_id, class, logit.
    manifest : image_id, patient_id, source, split, and a column per class.
    replicates, confidence, seed : settings of the bootstrap.
    min_patients : fewest patients for an interval; where there are fewer, `note` says so.

    Returns
    -------
    Columns `COLUMNS`, splits in order of appearance, classes in that of the predictions, then
    `macro`. AUROC and AUPRC (average precision) lie in [0, 1] and are NaN where the class has one
    label only; `note` says why, and is empty otherwise. The macro row's `n` and `n_positive` count
    labels (image x class), its `n_patients` those with such a label, of the classes in the mean.

    Raises
    ------
    InputError
        An image has no prediction, or a prediction no image; a logit is not finite; a class has
        no label column.
    """
    if manifest.empty:
        return _typed([])
    classes = list(dict.fromkeys(predictions["class"]))
    logits = _logits(predictions, manifest, classes)
    rows = []
    for split in dict.fromkeys(manifest["split"]):
        chosen = (manifest["split"] == split).to_numpy()
        part = manifest[chosen]
        patients, names = pd.factorize(part["patient_id"], sort=True)
        weights = patient_weights(len(names), replicates, seed)
        labels = part[classes].to_numpy(np.float64)
        rows += _split_rows(
            str(split), classes, logits[chosen], labels, patients, weights, confidence, min_patients
        )
    return _typed(rows)


def _logits(
    predictions: pd.DataFrame, manifest: pd.DataFrame, classes: list[str]
) -> NDArray[np.float64]:
    """Return logits (N, C) in the order of the manifest, after checking that none is missing."""
    for name in classes:
        if name not in manifest:
            raise InputError(f"manifest: no label column {name!r}, which the predictions have")
    if not np.isfinite(predictions["logit"]).all():
        first = predictions[~np.isfinite(predictions["logit"])].iloc[0]
        raise InputError(f"predictions: {first['class']} of {first['image_id']} is not finite")
    if predictions.duplicated(["image_id", "class"]).any():
        first = predictions[predictions.duplicated(["image_id", "class"])].iloc[0]
        raise InputError(f"predictions: {first['class']} of {first['image_id']} is there twice")
    wide = predictions.pivot(index="image_id", columns="class", values="logit")
    for ids, others, what in (
        (manifest["image_id"], wide.index, "has no prediction; run predict again"),
        (wide.index, set(manifest["image_id"]), "is predicted and not in the manifests"),
    ):
        missing = ~pd.Index(ids).isin(others)
        if missing.any():
            raise InputError(f"image {pd.Index(ids)[missing][0]} {what} ({missing.sum()} such)")
    values = wide.loc[manifest["image_id"], classes].to_numpy(np.float64)
    if np.isnan(values).any():
        image, index = np.argwhere(np.isnan(values))[0]
        raise InputError(
            f"predictions: {classes[index]} of {manifest['image_id'].iloc[image]} is missing"
        )
    return values


def _split_rows(
    split: str,
    classes: list[str],
    logits: NDArray[np.float64],
    labels: NDArray[np.float64],
    patients: NDArray[np.intp],
    weights: NDArray[np.float64],
    confidence: float,
    min_patients: int,
) -> list[dict[str, object]]:
    rows, resampled = [], []
    in_mean = np.zeros(len(patients), bool)
    for index, name in enumerate(classes):
        known = np.isin(labels[:, index], (0, 1))
        positive = labels[known, index] == 1
        patient = patients[known]
        row = {
            "split": split,
            "class": name,
            "auroc": np.nan,
            "auprc": np.nan,
            "n_positive": int(positive.sum()),
            "n": int(known.sum()),
            "n_patients": len(np.unique(patient)),
            "note": "",
        }
        rows.append(row)
        if len(positive) == 0:
            row["note"] = "no certain labels"
        elif not positive.any():
            row["note"] = "no positives"
        elif positive.all():
            row["note"] = "no negatives"
        if row["note"]:
            continue
        score = logits[known, index]
        row["auroc"], row["auprc"] = auroc_auprc(score, positive, np.ones((1, len(score))))[:, 0]
        in_mean |= known
        block = max(BLOCK // len(score), 1)
        found = np.concatenate(
            [
                auroc_auprc(score, positive, weights[start : start + block, patient])
                for start in range(0, len(weights), block)
            ],
            axis=1,
        )
        # The mean over classes moves with every class in it, also with one of few patients.
        resampled.append(found)
        row["note"] = too_few(len(np.unique(patient)), min_patients)
        if row["note"]:
            continue
        row |= _interval(found, confidence)
        if lost := int(np.isnan(found[0]).sum()):
            row["note"] = f"{lost} of {len(weights)} resamples have one label only"
    rows.append(_macro(split, rows, resampled, patients[in_mean], confidence, min_patients))
    return rows


def _macro(
    split: str,
    rows: list[dict[str, object]],
    resampled: list[NDArray[np.float64]],
    patients: NDArray[np.intp],
    confidence: float,
    min_patients: int,
) -> dict[str, object]:
    """Return the row with the mean over the classes that are defined, and its interval."""
    table = pd.DataFrame(rows)
    defined = table[table["auroc"].notna()]
    macro = {
        "split": split,
        "class": MACRO,
        "auroc": defined["auroc"].mean(),
        "auprc": defined["auprc"].mean(),
        "n_positive": int(defined["n_positive"].sum()),
        "n": int(defined["n"].sum()),
        "n_patients": len(np.unique(patients)),
        "note": f"mean over {len(defined)} of {len(table)} classes",
    }
    few = too_few(len(np.unique(patients)), min_patients)
    if resampled and few:
        macro["note"] = f"{macro['note']}; {few}"
    elif resampled:
        stacked = np.stack(resampled)
        present = ~np.isnan(stacked)
        counts = present.sum(axis=0)
        sums = np.where(present, stacked, 0).sum(axis=0)
        macro |= _interval(np.where(counts, sums / np.maximum(counts, 1), np.nan), confidence)
    return macro


def _interval(found: NDArray[np.float64], confidence: float) -> dict[str, float]:
    """Return the percentile intervals of AUROC and AUPRC (2, R), where any replicate has them."""
    if np.isnan(found[0]).all():
        return {}
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail], axis=1)
    return {
        "auroc_low": float(low[0]),
        "auroc_high": float(high[0]),
        "auprc_low": float(low[1]),
        "auprc_high": float(high[1]),
    }


def auroc_auprc(
    scores: NDArray[np.floating], positive: NDArray[np.bool_], weights: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return weighted AUROC and average precision under many weightings of the same images.

    With positives P and negatives N of weights w, images of equal score taken together,
    ``AUROC = sum_P w_p (sum_N w_n [s_n < s_p] + w_n [s_n = s_p] / 2) / (W_P W_N)`` (Hanley and
    McNeil, Radiology 1982) and ``AUPRC = sum_k (R_k - R_(k-1)) P_k`` over the thresholds k, with
    recall R and precision P (average precision; no interpolation).

    Parameters
    ----------
    scores : (N,), finite.
    positive : (N,).
    weights : (R, N), not negative.

    Returns
    -------
    (2, R) in [0, 1]; NaN where the positives or the negatives weigh nothing.
    """
    order = np.argsort(scores, kind="stable")
    ordered = np.asarray(scores)[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    weights = weights[:, order]
    # (R, G): weight of the positives and negatives in each group of equal scores, ascending.
    positives = np.add.reduceat(weights * positive[order], starts, axis=1, dtype=np.float64)
    negatives = np.add.reduceat(weights * ~positive[order], starts, axis=1, dtype=np.float64)
    below = np.cumsum(negatives, axis=1) - negatives
    total_positive, total_negative = positives.sum(axis=1), negatives.sum(axis=1)
    auroc = (positives * (below + negatives / 2)).sum(axis=1)
    # At a group's threshold all groups from it upwards are called positive.
    true = np.cumsum(positives[:, ::-1], axis=1)[:, ::-1]
    called = true + np.cumsum(negatives[:, ::-1], axis=1)[:, ::-1]
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    auprc = (positives * precision).sum(axis=1)
    defined = (total_positive > 0) & (total_negative > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.stack([auroc / (total_positive * total_negative), auprc / total_positive])
    return np.where(defined, found, np.nan)


def _typed(rows: list[dict[str, object]]) -> pd.DataFrame:
    text, whole = ("split", "class", "note"), ("n_positive", "n", "n_patients")
    kinds = {
        name: "str" if name in text else "int64" if name in whole else "float64" for name in COLUMNS
    }
    return pd.DataFrame(rows, columns=COLUMNS).astype(kinds)
