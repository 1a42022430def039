"""Performance of the classifier: AUROC and AUPRC of each class, with intervals.

Their variances are the jackknife's over patients, or over a hundred groups of them. A class is
sorted once, and what is left without each group are cumulative sums over it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.errors import InputError
from shamsul.evaluate.auroc_interval import auroc_limits
from shamsul.evaluate.intervals import GROUPS, jackknife_variance, limits
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.patients import too_few

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
"""Number of weights (groups x images) held at once."""


def classification_table(
    predictions: pd.DataFrame, manifest: pd.DataFrame, settings: Inference
) -> pd.DataFrame:
    """Return AUROC and AUPRC of each split and class, and their mean over classes.

    Labels that are uncertain or missing are left out of their class. The interval of an AUROC is
    `shamsul.evaluate.auroc_interval`'s, that of the others `shamsul.evaluate.intervals`'.

    Parameters
    ----------
    predictions : image_id, class, logit.
    manifest : image_id, patient_id, source, split, and a column per class.
    settings : `confidence`, and `min_patients` of each label for an interval; where there are
        fewer, `note` says so.

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
    logits = matched_logits(predictions, manifest, classes)
    rows = []
    for split in dict.fromkeys(manifest["split"]):
        chosen = (manifest["split"] == split).to_numpy()
        part = manifest[chosen]
        patients, names = pd.factorize(part["patient_id"], sort=True)
        labels = part[classes].to_numpy(np.float64)
        rows += _split_rows(str(split), classes, logits[chosen], labels, patients, settings)
    return _typed(rows)


def matched_logits(
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
    settings: Inference,
) -> list[dict[str, object]]:
    rows, without, known_patients = [], [], []
    in_mean = np.zeros(len(patients), bool)
    groups = patients % GROUPS
    names = np.unique(groups)
    for index, name in enumerate(classes):
        known = np.isin(labels[:, index], (0, 1))
        positive = labels[known, index] == 1
        score, patient = logits[known, index], patients[known]
        row = {
            "split": split,
            "class": name,
            "auroc": np.nan,
            "auprc": np.nan,
            "n_positive": int(positive.sum()),
            "n": int(known.sum()),
            "n_patients": len(np.unique(patient)),
            "note": _undefined(positive),
        }
        rows.append(row)
        if row["note"]:
            continue
        found = auroc_auprc(score, positive, np.ones((1, len(score))))[:, 0]
        row["auroc"], row["auprc"] = found
        in_mean |= known
        left_out = _without_groups(score, positive, groups[known], names)
        least = min(len(np.unique(patient[positive])), len(np.unique(patient[~positive])))
        without.append(left_out)
        known_patients.append(least)
        row["note"] = too_few(least, settings.min_patients)
        if row["note"]:
            row["note"] = f"of one label {row['note']}"
            continue
        variance = _variance(left_out, np.isin(names, groups[known]))
        counts = [
            (int(is_label.sum()), len(np.unique(patient[is_label])))
            for is_label in (positive, ~positive)
        ]
        estimate, precision = (float(value) for value in found)
        low, high = auroc_limits(estimate, variance[0], counts[0], counts[1], settings.confidence)
        row |= {"auroc_low": low, "auroc_high": high}
        row |= _limits("auprc", precision, variance[1], least, settings.confidence)
    rows.append(_macro(split, rows, without, known_patients, patients[in_mean], settings))
    return rows


def _undefined(positive: NDArray[np.bool_]) -> str:
    """Return why there is neither AUROC nor AUPRC; empty where there are both labels."""
    if len(positive) == 0:
        return "no certain labels"
    if not positive.any():
        return "no positives"
    return "no negatives" if positive.all() else ""


def _without_groups(
    score: NDArray[np.float64],
    positive: NDArray[np.bool_],
    groups: NDArray[np.intp],
    names: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return AUROC and AUPRC without each of G groups of patients in turn, (2, G)."""
    block = max(BLOCK // len(score), 1)
    found = [
        auroc_auprc(score, positive, groups != names[start : start + block, None])
        for start in range(0, len(names), block)
    ]
    return np.concatenate(found, axis=1)


def _variance(without: NDArray[np.float64], present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the variances of AUROC and AUPRC from those without each group, (2, G).

    Parameters
    ----------
    present : (G,) True where the group has an image of the class.
    """
    return jackknife_variance(without.T, np.broadcast_to(present[:, None], without.T.shape))


def _macro(
    split: str,
    rows: list[dict[str, object]],
    without: list[NDArray[np.float64]],
    known: list[int],
    patients: NDArray[np.intp],
    settings: Inference,
) -> dict[str, object]:
    """Return the row with the mean over the classes that are defined, and its interval.

    Classes are taken as independent where the degrees of freedom are counted (Satterthwaite,
    Biometrics 1946), and not where the variance is.

    Parameters
    ----------
    without : (2, G) AUROC and AUPRC without a group of patients, for each class in the mean.
    known : numbers of patients with the rarer label, for each class in the mean.
    """
    table = pd.DataFrame(rows)
    defined = table[table["auroc"].notna()]
    macro: dict[str, object] = {
        "split": split,
        "class": MACRO,
        "auroc": defined["auroc"].mean(),
        "auprc": defined["auprc"].mean(),
        "n_positive": int(defined["n_positive"].sum()),
        "n": int(defined["n"].sum()),
        "n_patients": len(np.unique(patients)),
        "note": f"mean over {len(defined)} of {len(table)} classes",
    }
    if not without:
        return macro
    if min(known) < 2:
        macro["note"] = f"{macro['note']}, one of which too few patients have: no interval"
        return macro
    stacked, present = np.stack(without), np.ones(without[0].shape[1], bool)
    whole = _variance(stacked.mean(axis=0), present)
    own = np.array([_variance(part, present) for part in stacked])
    freedom = np.array(known)[:, None] - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        shared = own.sum(axis=0) ** 2 / (own**2 / freedom).sum(axis=0)
    for place, name in enumerate(("auroc", "auprc")):
        number = min(known) if np.isnan(shared[place]) else shared[place] + 1
        macro |= _limits(name, macro[name], whole[place], number, settings.confidence)
    return macro


def _limits(
    name: str, estimate: Any, variance: float, patients: float, confidence: float
) -> dict[str, object]:
    """Return the limits of one estimate in [0, 1], named after it."""
    mean, spread, known = (np.array([float(value)]) for value in (estimate, variance, patients))
    low, high = limits(mean, spread, known, (np.zeros(1), np.ones(1)), confidence)
    return {f"{name}_low": float(low[0]), f"{name}_high": float(high[0])}


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


def reversed_classes(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the classes whose AUROC on test is below one half, interval and all.

    Outputs that are mapped to other classes, or a reversed sign, show so.

    Parameters
    ----------
    table : table that `classification_table` returns.
    """
    return table[
        (table["split"] == "test") & (table["class"] != MACRO) & (table["auroc_high"] < 0.5)
    ]


def _typed(rows: list[dict[str, object]]) -> pd.DataFrame:
    text, whole = ("split", "class", "note"), ("n_positive", "n", "n_patients")
    kinds = {
        name: "str" if name in text else "int64" if name in whole else "float64" for name in COLUMNS
    }
    return pd.DataFrame(rows, columns=COLUMNS).astype(kinds)
