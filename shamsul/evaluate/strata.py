"""Means in parts of the test set, such as large findings or images with a single label."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.evaluate.features import KEY
from shamsul.evaluate.parameters import Stratification
from shamsul.evaluate.statistics import Array, interval, patient_sums, ratio, too_few
from shamsul.evaluate.value_matrix import NUMBERS, ValueMatrix, matrices
from shamsul.labels import CLASSES, PARENTS
from shamsul.metrics import headlines, of_outlines

VARIABLES = {
    "labels": "Number of positive labels of the image that are pathologies, so neither No Finding "
    "nor Support Devices: single, exactly one; multi, two or more.",
    "findings": "The same without labels that another positive one implies, as Cardiomegaly "
    "implies Enlarged Cardiomediastinum; else a child in CheXpert's hierarchy is never single.",
    "slice": "All positives, and of these the true positives: the model's probability reaches "
    "evaluate.true_positive.",
    "area": "Thirds of the masks of the same class, by share of the image: like is compared with "
    "like, since a small cardiomegaly is larger than a large nodule.",
    "instances": "Number of outlines that the radiologist drew.",
    "elongation": "Thirds of the masks of the same class, by long over short side of the rectangle "
    "of least area.",
    "probability": "The model's probability of the class.",
    "view": "Frontal or lateral.",
    "projection": "Of frontal views: from front to back (AP) or from back to front (PA).",
    "sex": "As recorded.",
    "age": "In years.",
}
"""Variables by which images or image x class pairs are divided, in the order of the table."""

STRATA = [
    *("variable", "stratum", "class", "method", "threshold_rule", "metric", *NUMBERS),
    *("mean", "low", "high", "difference", "difference_low", "difference_high", "note"),
]


def strata(
    table: pd.DataFrame,
    manifest: pd.DataFrame,
    features: pd.DataFrame,
    settings: Stratification,
    seed: int,
) -> pd.DataFrame:
    """Return the mean with its patient-bootstrap interval in each stratum of test.

    Strata are those of `VARIABLES`. An image or pair of which a variable is not known (such as the
    shape of what has boxes only) is in none of its strata.

    Parameters
    ----------
    table : table that `shamsul.evaluate.per_image.per_image` returns.
    manifest : image_id, view, projection, sex, age, and a column of labels for each class.
    features : table that `shamsul.evaluate.features.of_masks` returns.
    settings : `true_positive`, and `replicates`, `confidence`, `interval` and `min_patients`.

    Returns
    -------
    variable, stratum, class (or `pooled`), method, threshold_rule (`best` is left out, since nobody
    can use it), metric (of `shamsul.metrics.headlines`), n_masks, n_images, n_patients, mean, low,
    high.
    difference, difference_low, difference_high : the mean less that of the variable's first
    stratum (such as multi-label less single-label), on the same resamples of all patients of the
    class; other images, so nothing is paired. NaN for the first stratum.
    note : why there is no interval.
    """
    headline = table["metric"].map(of_outlines).isin(headlines())
    table = table[(table["split"] == "test") & headline & (table["threshold_rule"] != "best")]
    member = _membership(table, manifest, features, settings)
    parts = [pd.DataFrame(columns=STRATA)]
    for matrix in matrices(table):
        for name, wide in matrix.classes():
            inside = member.loc[pd.MultiIndex.from_frame(wide.pairs[KEY])]
            parts.append(_of_class(wide, inside, settings, seed).assign(**{"class": name}))
    result = pd.concat(parts[1:] or parts)
    place = {level: number for number, level in enumerate(member.columns)}
    levels = zip(result["variable"], result["stratum"], strict=True)
    result = result.assign(place=[place[level] for level in levels])
    order = ["place", "metric", "threshold_rule", "class", "method"]
    return result.sort_values(order, ignore_index=True)[STRATA]


def _of_class(
    wide: ValueMatrix, inside: pd.DataFrame, settings: Stratification, seed: int
) -> pd.DataFrame:
    """Return the rows of one class, without the class; all its strata are resampled together.

    Parameters
    ----------
    inside : (N, L) bool, membership of N pairs in L strata.
    """
    levels, columns = list(inside), len(wide.columns)
    chosen = inside.to_numpy(bool)[:, :, None]
    values = np.where(chosen, wide.values[:, None], np.nan).reshape(len(chosen), -1)
    numbers = wide.numbers(values)
    totals = np.stack(patient_sums(values, wide.patients), axis=1)
    enough = numbers["n_patients"] >= settings.min_patients
    low, high = interval(totals, ratio, enough, settings, seed)

    variables = [variable for variable, _ in levels]
    first = np.array([variables.index(variable) for variable in variables])
    reference = (first[:, None] * columns + np.arange(columns)).ravel()
    other = reference != np.arange(len(reference))
    both = np.concatenate([totals, totals[:, :, reference]], axis=1)
    difference = np.where(other, contrast(both.sum(axis=0, keepdims=True))[0], np.nan)
    limits = interval(both, contrast, enough & enough[reference] & other, settings, seed)
    notes = [too_few(count, settings.min_patients) for count in numbers["n_patients"]]
    part = wide.index(wide.columns * len(levels)).assign(
        variable=np.repeat(variables, columns),
        stratum=np.repeat([level for _, level in levels], columns),
        **numbers,
        **{"mean": ratio(totals.sum(axis=0, keepdims=True))[0], "low": low, "high": high},
        **{"difference": difference, "difference_low": limits[0], "difference_high": limits[1]},
        note=[
            own or (levels[at // columns][1] + ": " + notes[at] if notes[at] else "")
            for own, at in zip(notes, reference, strict=True)
        ],
    )
    return part[part["n_masks"] > 0]


def contrast(totals: Array) -> Array:
    """Return a mean less another; (N, 4, K) sum and number of the one, then of the other."""
    return ratio(totals[:, :2]) - ratio(totals[:, 2:])


def _membership(
    table: pd.DataFrame, manifest: pd.DataFrame, features: pd.DataFrame, settings: Stratification
) -> pd.DataFrame:
    """Return membership of pairs: bool columns by (variable, stratum), rows by image and class."""
    pairs = table[[*KEY, "probability", "n_labels"]].drop_duplicates(KEY).sort_values(KEY)
    known = manifest[["image_id", "view", "projection", "sex", "age"]]
    known = known.assign(implied=_implied(manifest))
    pairs = pairs.merge(known, on="image_id", how="left", validate="many_to_one")
    pairs = pairs.merge(features, on=KEY, how="left", validate="one_to_one").set_index(KEY)
    labels, probability, age = pairs["n_labels"], pairs["probability"], pairs["age"]
    findings, instances = labels - pairs["implied"], pairs["instances"]
    found: dict[tuple[str, str], NDArray[np.bool_] | pd.Series] = {
        ("labels", "single"): labels == 1,
        ("labels", "multi"): labels >= 2,
        ("findings", "single"): findings == 1,
        ("findings", "multi"): findings >= 2,
        ("slice", "all positives"): labels >= 0,
        ("slice", "true positives"): probability >= settings.true_positive,
    }
    found |= _thirds(pairs, "area_ratio", "area", ("small", "medium", "large"))
    found |= {
        ("instances", "1"): instances == 1,
        ("instances", "2"): instances == 2,
        ("instances", "3 or more"): instances >= 3,
    }
    found |= _thirds(pairs, "elongation", "elongation", ("low", "middle", "high"))
    found |= {
        ("probability", "below 0.25"): probability < 0.25,
        ("probability", "0.25 to 0.5"): (probability >= 0.25) & (probability < 0.5),
        ("probability", "0.5 to 0.75"): (probability >= 0.5) & (probability < 0.75),
        ("probability", "0.75 and above"): probability >= 0.75,
        ("view", "frontal"): pairs["view"] == "frontal",
        ("view", "lateral"): pairs["view"] == "lateral",
        ("projection", "AP"): pairs["projection"] == "AP",
        ("projection", "PA"): pairs["projection"] == "PA",
        ("sex", "F"): pairs["sex"] == "F",
        ("sex", "M"): pairs["sex"] == "M",
        ("age", "under 40"): age < 40,
        ("age", "40 to 59"): (age >= 40) & (age < 60),
        ("age", "60 to 79"): (age >= 60) & (age < 80),
        ("age", "80 and over"): age >= 80,
    }
    return pd.DataFrame({key: np.asarray(value, bool) for key, value in found.items()}, pairs.index)


def _implied(manifest: pd.DataFrame) -> pd.Series:
    """Return the number of positive labels of an image that are ancestors of another one."""
    positive = manifest[[name for name in CLASSES if name in manifest]] == 1
    implied = pd.DataFrame(False, positive.index, positive.columns)
    for child in positive:
        parent = PARENTS.get(child)
        while parent:
            if parent in positive:
                implied[parent] |= positive[child] & positive[parent]
            parent = PARENTS.get(parent)
    return implied.sum(axis=1)


def _thirds(
    pairs: pd.DataFrame, feature: str, variable: str, names: tuple[str, str, str]
) -> dict[tuple[str, str], pd.Series]:
    """Return strata by the terciles of each class's masks; a tercile itself is in the lower one."""
    by_class = pairs.groupby("class")[feature]
    lower, upper = (by_class.transform("quantile", q) for q in (1 / 3, 2 / 3))
    value = pairs[feature]
    inside = (value <= lower, (value > lower) & (value <= upper), value > upper)
    return {(variable, name): part for name, part in zip(names, inside, strict=True)}
