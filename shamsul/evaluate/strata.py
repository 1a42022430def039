"""Means in parts of the test set, such as large findings or images with a single label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.evaluate.features import KEY
from shamsul.evaluate.intervals import Bounds, Statistic, interval, why_none
from shamsul.evaluate.means import bounds, estimates
from shamsul.evaluate.parameters import Stratification
from shamsul.evaluate.patients import Array, patient_sums, ratio
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

DIFFERENCE = ("difference", "difference_low", "difference_high")
STRATA = [
    *("variable", "stratum", "class", "method", "threshold_rule", "metric", *NUMBERS),
    *("mean", "low", "high", *DIFFERENCE, "n_classes", "note"),
]


def strata(
    table: pd.DataFrame,
    manifest: pd.DataFrame,
    features: pd.DataFrame,
    settings: Stratification,
) -> pd.DataFrame:
    """Return the mean with its interval over patients in each stratum of test.

    Strata are those of `VARIABLES`. An image or pair of which a variable is not known (such as the
    shape of what has boxes only) is in none of its strata.

    Parameters
    ----------
    table : table that `shamsul.evaluate.per_image.per_image` returns.
    manifest : image_id, view, projection, sex, age, and a column of labels for each class.
    features : table that `shamsul.evaluate.features.of_masks` returns.
    settings : `true_positive`, `confidence` and `min_patients`.

    Returns
    -------
    variable, stratum, class (or `pooled`, or `macro`), method, threshold_rule (`best` is left out,
    since nobody can use it), metric (of `shamsul.metrics.headlines`), n_masks, n_images,
    n_patients, mean, low, high.
    difference, difference_low, difference_high : the stratum less the variable's first (such as
    multi-label less single-label), within classes: strata differ in their mix of classes, and a
    difference of their means would be owed to it. For `pooled` it is ``sum w_c d_c / sum w_c`` over
    the n_classes classes in both strata, with ``w_c = n_c m_c / (n_c + m_c)`` of their n_c and m_c
    masks (Mantel and Haenszel's weights; the estimate of class fixed effects), for `macro` the mean
    of these d_c. Other images, so nothing is paired. NaN for the first stratum, and where no class
    is in both.
    note : why there is no interval.
    """
    headline = table["metric"].map(of_outlines).isin(headlines())
    table = table[(table["split"] == "test") & headline & (table["threshold_rule"] != "best")]
    member = _membership(table, manifest, features, settings)
    parts = [pd.DataFrame(columns=STRATA)]
    for matrix in matrices(table):
        for name, wide in matrix.classes():
            inside = member.loc[pd.MultiIndex.from_frame(wide.pairs[KEY])]
            for part in _of_class(wide, inside, settings):
                parts.append(part.assign(**{"class": name}))
    result = pd.concat(parts[1:] or parts)
    place = {level: number for number, level in enumerate(member.columns)}
    levels = zip(result["variable"], result["stratum"], strict=True)
    result = result.assign(place=[place[level] for level in levels])
    order = ["place", "metric", "threshold_rule", "class", "method"]
    return result.sort_values(order, ignore_index=True)[STRATA]


def _of_class(
    wide: ValueMatrix, inside: pd.DataFrame, settings: Stratification
) -> Iterator[pd.DataFrame]:
    """Yield the rows of each stratum of one class, without the class.

    Parameters
    ----------
    inside : (N, L) bool, membership of N pairs in L strata.
    """
    limits = bounds([metric for _, metric, _ in wide.columns])
    first: dict[str, tuple[str, Array]] = {}
    for (variable, stratum), member in inside.items():
        values = np.where(member.to_numpy(bool)[:, None], wide.values, np.nan)
        name, reference = first.setdefault(variable, (stratum, values))
        found = estimates(values, wide.pairs, limits, settings, macro=wide.macro)
        notes = found.pop("note")
        difference: dict[str, Any] = dict.fromkeys(DIFFERENCE, np.nan)
        if name != stratum:
            difference, notes = _difference(wide, values, reference, limits, settings, notes, name)
        part = wide.index(wide.columns).assign(
            variable=variable, stratum=stratum, **found, **({"n_classes": 0} | difference)
        )
        yield part.assign(note=notes)[part["n_masks"] > 0]


def _difference(
    wide: ValueMatrix,
    values: Array,
    reference: Array,
    limits: Bounds,
    settings: Stratification,
    notes: list[str],
    name: str,
) -> tuple[dict[str, Array], list[str]]:
    """Return values (N, K) of a stratum less those of the first one, `name`, and the notes."""
    codes, _ = pd.factorize(wide.pairs["class"])
    sums, both = [], []
    counts = [np.zeros((1, values.shape[1])), np.zeros((1, values.shape[1]))]
    for code in range(codes.max(initial=-1) + 1):
        here = (codes == code)[:, None]
        own = patient_sums(np.where(here, values, np.nan), wide.patients)
        other = patient_sums(np.where(here, reference, np.nan), wide.patients)
        common = (own[1].sum(axis=0) > 0) & (other[1].sum(axis=0) > 0)
        sums += [np.where(common, part, 0.0) for part in (*own, *other)]
        both.append(common)
        counts = [
            total + np.where(common, part, 0.0)
            for total, part in zip(counts, (own[1], other[1]), strict=True)
        ]
    present, totals = np.array(both), np.stack(sums, axis=1)
    statistic = contrast(present, even=wide.macro)
    span = limits[1] - limits[0]
    low, high = interval(totals, statistic, counts, (-span, span), settings)
    few = [(part > 0).sum(axis=0) for part in counts]
    said = [
        note
        or ("" if shared.any() else f"no class is in {name} too: no difference")
        or why_none(min(numbers), settings.min_patients, known, end)
        for note, shared, numbers, known, end in zip(
            notes, present.T, zip(*few, strict=True), np.isfinite(span), low, strict=True
        )
    ]
    estimate = statistic(totals.sum(axis=0, keepdims=True))[0]
    found = dict(zip(DIFFERENCE, (estimate, low, high), strict=True))
    return found | {"n_classes": present.sum(axis=0)}, said


def contrast(present: NDArray[np.bool_], *, even: bool) -> Statistic:
    """Return the statistic that is a mean less another within C classes.

    It takes the sum and number of the one, then of the other, of class after class, (N, 4 C, K).

    Parameters
    ----------
    present : (C, K) True for the classes in both.
    even : True where classes weigh the same, False where they weigh what they tell.
    """

    def statistic(totals: Array) -> Array:
        parts = totals.reshape(len(totals), *present.shape[:1], 4, -1)
        differences = ratio(parts[:, :, :2]) - ratio(parts[:, :, 2:])
        n, m = parts[:, :, 1], parts[:, :, 3]
        weights = np.where(present, 1.0, 0.0) if even else n * m / np.maximum(n + m, 1)
        # A class that weighs nothing has no difference.
        weighted = np.where(weights > 0, weights * differences, 0.0).sum(axis=1)
        whole = np.broadcast_to(weights, differences.shape).sum(axis=1)
        return np.divide(weighted, whole, out=np.full_like(weighted, np.nan), where=whole > 0)

    return statistic


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
