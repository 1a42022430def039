"""Regressions of localisation on the shape of a finding and on the model's confidence.

These are the simple regressions of CheXlocalize (Saporta et al., Nature Machine Intelligence
2022), one predictor at a time, on positives. Their intervals take images as independent. Beside
them stand intervals that resample patients.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.evaluate.features import FEATURES, KEY
from shamsul.evaluate.gains import Roles
from shamsul.evaluate.parameters import Stratification
from shamsul.evaluate.statistics import Array, interval, patient_sums, too_few
from shamsul.evaluate.value_matrix import NUMBERS, POOLED, Column, ValueMatrix, matrices
from shamsul.metrics import kind_of, of_outlines

REGRESSIONS = [
    *("outcome", "threshold_rule", "method", "class", "predictor", "minimum", "maximum", *NUMBERS),
    *("slope", "low", "high", "p", "p_adjusted", "patient_low", "patient_high"),
    *("spearman", "spearman_low", "spearman_high", "spearman_p", "note"),
]


def regressions(
    table: pd.DataFrame, features: pd.DataFrame, settings: Stratification, roles: Roles, seed: int
) -> pd.DataFrame:
    """Return least-squares lines of IoU and hit rate on one predictor, on test.

    Parameters
    ----------
    table : table that `shamsul.evaluate.per_image.per_image` returns.
    features : table that `shamsul.evaluate.features.of_masks` returns.
    settings : `rules`, of which the first is that of the IoU, and `replicates`, `confidence`,
        `interval` and `min_patients`.
    roles : names of methods; that of the `radiologist` counts.

    Returns
    -------
    outcome : `iou`, `hit_rate`, or either with `_gap`, the radiologist's less the method's; of
        other kinds of mask likewise, without the features of shape.
    threshold_rule, method, class : keys of the row; class is `pooled` for the features, and each
        class and `pooled` for the probability.
    predictor : one of `FEATURES`, scaled so that `minimum` is 0 and `maximum` 1 over the masks of
        test, or `probability`, as it is.
    n_masks, n_images, n_patients.
    slope, low, high, p : change of the outcome from predictor 0 to 1; its t interval and test.
    p_adjusted : Bonferroni over the four features; the probability stands alone.
    patient_low, patient_high : patient-bootstrap interval of the slope.
    spearman, spearman_low, spearman_high, spearman_p : rank correlation, NaN where the outcome
        does not vary; interval by Fisher's transformation, ``tanh(atanh(r) +- z / sqrt(n - 3))``.
    note : why there is no interval or no slope.
    """
    headline = [("none", "hit_rate"), (settings.thresholds[0], "iou")]
    metric = table["metric"].map(of_outlines)
    wanted = np.logical_or.reduce(
        [(table["threshold_rule"] == rule) & (metric == name) for rule, name in headline]
    )
    table = table[(table["split"] == "test") & wanted]
    pairs = table[[*KEY, "probability"]].drop_duplicates(KEY).sort_values(KEY)
    known = pairs.merge(features, on=KEY, how="left", validate="one_to_one").set_index(KEY)
    rows: list[dict[str, Any]] = []
    for matrix in matrices(table):
        outlined = kind_of(matrix.columns[0][1]) == "segmentation"
        for name, wide in _with_gaps(matrix, roles.get("radiologist")).classes():
            own = known.loc[pd.MultiIndex.from_frame(wide.pairs[KEY])]
            shape = FEATURES if name == POOLED and outlined else []
            for predictor in [*shape, "probability"]:
                x, low, high = own[predictor].to_numpy(float), 0.0, 1.0
                if np.isnan(x).all():
                    continue
                if predictor in FEATURES:
                    low, high = np.nanmin(x), np.nanmax(x)
                    x = (x - low) / (high - low) if high > low else x - low
                names = {"class": name, "predictor": predictor, "minimum": low, "maximum": high}
                family = len(FEATURES) if predictor in FEATURES else 1
                for row in _lines(wide, x, settings, seed):
                    rows.append(row | names | {"p_adjusted": np.minimum(family * row["p"], 1)})
    result = pd.DataFrame(rows, columns=REGRESSIONS)
    return result.sort_values(
        ["outcome", "threshold_rule", "predictor", "class", "method"], ignore_index=True
    )


def _with_gaps(wide: ValueMatrix, radiologist: str | None) -> ValueMatrix:
    """Return the matrix with the radiologist's less the method's values as further metrics."""
    places = {column: index for index, column in enumerate(wide.columns)}
    columns, values = list(wide.columns), [wide.values]
    for (rule, metric, method), index in places.items():
        human = places.get((rule, metric, radiologist or ""))
        if human is not None and human != index:
            columns.append((rule, f"{metric}_gap", method))
            values.append((wide.values[:, human] - wide.values[:, index])[:, None])
    return ValueMatrix(wide.split, wide.pairs, columns, np.hstack(values))


def _lines(
    wide: ValueMatrix, x: NDArray[np.float64], settings: Stratification, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield the regression of each column on a predictor (N,), NaN where it is not known."""
    values = np.where(np.isnan(x)[:, None], np.nan, wide.values)
    numbers = wide.numbers(values)
    enough = numbers["n_patients"] >= settings.min_patients
    here = ~np.isnan(values)
    centred = np.where(here, (x - np.nanmean(x))[:, None], np.nan)
    products = (np.where(here, 1.0, np.nan), centred, values, centred**2, centred * values)
    totals = np.stack([patient_sums(part, wide.patients)[0] for part in products], axis=1)
    low, high = interval(totals, slope, enough, settings, seed)
    for index, column in enumerate(wide.columns):
        if here[:, index].any():
            rows = here[:, index]
            fit = _fit(x[rows], values[rows, index], settings.confidence)
            note = "" if np.isfinite(fit["slope"]) else "the predictor does not vary: no slope"
            if not enough[index]:
                note = too_few(numbers["n_patients"][index], settings.min_patients)
                fit |= dict.fromkeys(INFERENCE, np.nan)
            counts = {name: count[index] for name, count in numbers.items()}
            limits = {"patient_low": low[index], "patient_high": high[index], "note": note}
            yield _named(column) | counts | fit | limits


INFERENCE = ("low", "high", "p", "spearman_low", "spearman_high", "spearman_p")
"""Columns that are left out where patients are too few."""


def _named(column: Column) -> dict[str, str]:
    return dict(zip(("threshold_rule", "outcome", "method"), column, strict=True))


def _fit(x: Array, y: Array, confidence: float) -> dict[str, float]:
    """Return least squares and rank correlation of n pairs; NaN where not defined."""
    from scipy import stats

    found = dict.fromkeys(("slope", *INFERENCE[:3], "spearman", *INFERENCE[3:]), np.nan)
    if len(x) < 3 or np.ptp(x) == 0:
        return found
    line = stats.linregress(x, y)
    reach = stats.t.ppf((1 + confidence) / 2, len(x) - 2) * line.stderr
    found |= {"slope": line.slope, "p": line.pvalue}
    found |= {"low": line.slope - reach, "high": line.slope + reach}
    if np.ptp(y) > 0:
        rank, p = stats.spearmanr(x, y)
        found |= {"spearman": rank, "spearman_p": p}
        if len(x) > 3:
            z = stats.norm.ppf((1 + confidence) / 2) / np.sqrt(len(x) - 3)
            with np.errstate(divide="ignore"):
                middle = np.arctanh(rank)
            found |= {"spearman_low": np.tanh(middle - z), "spearman_high": np.tanh(middle + z)}
    return found


def slope(totals: Array) -> Array:
    """Return least-squares slopes (N, K) from sums (N, 5, K) of 1, x, y, x^2 and x y.

    A slope is NaN where all x that were drawn are the same, up to rounding.
    """
    n, x, y, xx, xy = np.moveaxis(totals, 1, 0)
    spread = n * xx - x * x
    defined = spread > 1e-9 * n * xx
    return np.divide(n * xy - x * y, spread, out=np.full_like(spread, np.nan), where=defined)
