"""Reliability of probabilities: how often what is predicted with probability p is there.

Temperatures are chosen on the tune split, and the expected calibration error says, on either split,
how far predictions with and without them are from the frequencies that they claim.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.evaluate.classification import matched_logits
from shamsul.evaluate.intervals import interval, mean_interval, why_none
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.patients import Array, patient_sums

BINS = 10
"""Number of bins of equal width between 0 and 1, each without its lower end."""
POOLED = "pooled"
"""Name of the rows of all labels of all classes together."""
SCALINGS = ("none", "shared", "class")
"""Temperatures by which logits are divided: none, one for all classes, or the class's own."""
REACH = (math.exp(-5), math.exp(5))
"""Least and largest factor of the logits that is looked for, the inverse of a temperature."""
KEY = ["split", "class", "scaling"]
RELIABILITY = [
    *KEY,
    *("temperature", "loss", "ece", "ece_low", "ece_high", "ece_by_chance"),
    *("n_positive", "n", "n_patients", "note"),
]
BIN_COLUMNS = [
    *KEY,
    *("bin_low", "bin_high", "probability", "positive", "positive_low", "positive_high"),
    *("n", "n_patients", "note"),
]


def temperature(logits: Array, labels: Array) -> float:
    """Return the temperature T by which logits are divided to have the least cross-entropy.

    Its inverse b solves ``sum z (sigmoid(b z) - y) = 0``, whose left side grows with b (Guo et al.,
    ICML 2017, section 4.2, for two classes).

    Parameters
    ----------
    logits, labels : (N,), labels 0 or 1.

    Returns
    -------
    T > 0; NaN where there is none: no label, logits that are on the right side of 0 throughout, so
    that the colder the better, or logits that tell no more than 0 would.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    def slope(inverse: float) -> float:
        # An exact sum, which no order of the images changes.
        return math.fsum(logits * (expit(inverse * logits) - labels))

    if not len(logits) or not slope(REACH[0]) < 0 < slope(REACH[1]):
        return math.nan
    return 1 / float(brentq(slope, *REACH, xtol=1e-12, rtol=1e-12))


def reliability(
    predictions: pd.DataFrame, manifest: pd.DataFrame, settings: Inference
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return calibration errors, and the bins that they are made of.

    Labels that are uncertain or missing are left out. A bin's probability is the mean of its
    predictions, and the expected calibration error is ``sum_b |sum_(i in b) (y_i - p_i)| / N``
    (Naeini et al., AAAI 2015; Guo et al., ICML 2017, eq. 3), with the probability of the finding
    rather than that of the more probable answer. Intervals are over patients. It is never negative,
    and labels drawn from the probabilities themselves have one of about ``sum_b sqrt(2 / pi sum_(i
    in b) p_i (1 - p_i)) / N`` too: `ece_by_chance`.

    Parameters
    ----------
    predictions : image_id, class, logit.
    manifest : image_id, patient_id, split, and a column per class.
    settings : `confidence` and `min_patients`.

    Returns
    -------
    errors : columns `RELIABILITY`, a row for each split, class (and `pooled`) and scaling; `loss`
        is the mean cross-entropy, `temperature` is 1 without scaling, and `pooled` under `class`
        takes each class's own.
    bins : columns `BIN_COLUMNS`, a row for each bin with a prediction.

    Raises
    ------
    InputError
        As `classification_table`.
    """
    classes = list(dict.fromkeys(predictions["class"]))
    rows, bins = [], []
    if len(manifest):
        logits = matched_logits(predictions, manifest, classes)
        labels = manifest[classes].to_numpy(np.float64)
        labels = np.where(np.isin(labels, (0, 1)), labels, np.nan)
        tune = (manifest["split"] == "tune").to_numpy()
        scalings = _temperatures(logits[tune], labels[tune])
        for split in dict.fromkeys(manifest["split"]):
            chosen = (manifest["split"] == split).to_numpy()
            patients = manifest.loc[chosen, "patient_id"].to_numpy(dtype=object)
            for scaling, found in scalings.items():
                part = _Part(logits[chosen] / found, labels[chosen], patients, classes)
                key = {"split": str(split), "scaling": scaling}
                rows += [{**key, **row} for row in part.errors(found, scaling, settings)]
                bins += [{**key, **row} for row in part.bins(settings)]
    return _typed(rows, RELIABILITY), _typed(bins, BIN_COLUMNS)


def _temperatures(logits: Array, labels: Array) -> dict[str, Array]:
    """Return the C temperatures of each of `SCALINGS`."""
    known = ~np.isnan(labels)
    shared = temperature(logits[known], labels[known])
    own = [temperature(z[k], y[k]) for z, y, k in zip(logits.T, labels.T, known.T, strict=True)]
    count = logits.shape[1]
    return {"none": np.ones(count), "shared": np.full(count, shared), "class": np.array(own)}


class _Part:
    """The predictions of a split under one scaling.

    Attributes
    ----------
    probability, label : (N, C), NaN where the label is not certain, or there is no temperature.
    loss : (N, C) cross-entropy.
    patients : (N,) names.
    groups : columns of each class, and of all of them, by name.
    """

    def __init__(
        self, logits: Array, labels: Array, patients: NDArray[np.object_], classes: list[str]
    ) -> None:
        from scipy.special import expit

        known = ~np.isnan(labels) & ~np.isnan(logits)
        self.label = np.where(known, labels, np.nan)
        self.probability = np.where(known, expit(logits), np.nan)
        margin = np.where(known, logits * (2 * labels - 1), 0.0)
        self.loss = np.where(known, np.logaddexp(0, -margin), np.nan)
        self.patients = patients
        self.groups = {name: [number] for number, name in enumerate(classes)}
        self.groups[POOLED] = list(range(len(classes)))
        edges = np.linspace(0, 1, BINS + 1)
        self.bin = np.where(known, np.searchsorted(edges[1:-1], self.probability), -1)

    def errors(
        self, temperatures: Array, scaling: str, settings: Inference
    ) -> Iterator[dict[str, Any]]:
        """Yield a row of `RELIABILITY` for each class and for all."""
        for name, columns in self.groups.items():
            label = self.label[:, columns]
            surplus = label - self.probability[:, columns]
            variance = self.probability[:, columns] * (1 - self.probability[:, columns])
            own = np.array([np.where(self.bin[:, columns] == b, 1, np.nan) for b in range(BINS)])
            sums = np.stack([_total(surplus * inside, self.patients)[0] for inside in own], 1)
            _, counts = _total(surplus, self.patients)
            count = counts.sum()
            low, high = interval(
                np.concatenate([sums, counts[:, None]], 1)[..., None],
                _error,
                [counts[:, None]],
                (np.zeros(1), np.ones(1)),
                settings,
            )
            drawn = sum(math.sqrt(2 / math.pi * math.fsum(_known(variance * b))) for b in own)
            present = int((counts > 0).sum())
            single = len(columns) == 1 or scaling != "class"
            yield {
                "class": name,
                "temperature": temperatures[columns[0]] if single else np.nan,
                "loss": math.fsum(_known(self.loss[:, columns])) / count if count else np.nan,
                "ece": float(np.abs(sums.sum(0)).sum() / count) if count else np.nan,
                "ece_low": low[0],
                "ece_high": high[0],
                "ece_by_chance": drawn / count if count else np.nan,
                "n_positive": int(np.nansum(label)),
                "n": int(count),
                "n_patients": present,
                "note": why_none(present, settings.min_patients, True, low[0])
                if count
                else "no certain label, or no temperature on tune",
            }

    def bins(self, settings: Inference) -> Iterator[dict[str, Any]]:
        """Yield a row of `BIN_COLUMNS` for each bin with a prediction."""
        for name, columns in self.groups.items():
            patients = np.repeat(self.patients, len(columns))
            label, probability = (
                self.label[:, columns].ravel(),
                self.probability[:, columns].ravel(),
            )
            place = self.bin[:, columns].ravel()
            for number in np.unique(place[place >= 0]):
                inside = place == number
                count = int(inside.sum())
                bounds = np.zeros(1), np.ones(1)
                low, high = mean_interval(label[inside, None], patients[inside], bounds, settings)
                present = len(set(patients[inside]))
                yield {
                    "class": name,
                    "bin_low": number / BINS,
                    "bin_high": (number + 1) / BINS,
                    "probability": math.fsum(probability[inside]) / count,
                    "positive": label[inside].sum() / count,
                    "positive_low": low[0],
                    "positive_high": high[0],
                    "n": count,
                    "n_patients": present,
                    "note": why_none(present, settings.min_patients, True, low[0]),
                }


def _total(values: Array, patients: NDArray[np.object_]) -> tuple[Array, Array]:
    """Return the sum and the number of each patient's values (N, C), both (P,)."""
    sums, counts = patient_sums(values, patients)
    return sums.sum(axis=1), counts.sum(axis=1)


def _error(totals: Array) -> Array:
    """Return the calibration error of the sums of each bin and the number of labels."""
    above, count = np.abs(totals[:, :-1]).sum(axis=1), totals[:, -1]
    return np.divide(above, count, out=np.full_like(above, np.nan), where=count > 0)


def _known(values: Array) -> Array:
    return values[~np.isnan(values)]


def _typed(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    text, whole = ("split", "class", "scaling", "note"), ("n_positive", "n", "n_patients")
    kinds = {c: "str" if c in text else "int64" if c in whole else "float64" for c in columns}
    return pd.DataFrame(rows, columns=columns).astype(kinds)
