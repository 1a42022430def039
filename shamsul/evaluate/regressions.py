"""Regressions of localisation on the shape of a finding and on the model's confidence.

They ask what CheXlocalize asked (Saporta et al., Nature Machine Intelligence 2022), one predictor
at a time, on positives. Lines over all classes have an intercept for each class: classes differ in
size, difficulty and confidence, and a line through all of them would find that mix of classes, also
for a map that never saw the image. The patient is the unit of every interval and p-value. Those of
CheXlocalize, which take images as independent and classes as one, stand beside them by name.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.evaluate.features import FEATURES, KEY
from shamsul.evaluate.gains import Roles
from shamsul.evaluate.intervals import interval, why_none
from shamsul.evaluate.parameters import Stratification
from shamsul.evaluate.patients import Array, patient_sums
from shamsul.evaluate.sign_flips import sign_flips
from shamsul.evaluate.value_matrix import MACRO, NUMBERS, POOLED, ValueMatrix, matrices
from shamsul.metrics import kind_of, of_outlines

REGRESSIONS = [
    *("outcome", "threshold_rule", "method", "class", "predictor", "minimum", "maximum", *NUMBERS),
    *("slope", "low", "high", "p", "p_adjusted"),
    *("spearman", "spearman_low", "spearman_high", "spearman_p"),
    *("images_slope", "images_low", "images_high", "images_p", "note"),
]


def regressions(
    table: pd.DataFrame, features: pd.DataFrame, settings: Stratification, roles: Roles, seed: int
) -> pd.DataFrame:
    """Return least-squares lines of IoU and hit rate on one predictor, on test.

    Parameters
    ----------
    table : table that `shamsul.evaluate.per_image.per_image` returns.
    features : table that `shamsul.evaluate.features.of_masks` returns.
    settings : `thresholds`, of which the first is that of the IoU, `confidence`, `min_patients`.
    roles : names of methods; that of the `radiologist` counts.

    Returns
    -------
    outcome : `iou`, `hit_rate`, or either with `_gap`, the radiologist's less the method's; of
        other kinds of mask likewise, without the features of shape.
    threshold_rule, method, class : keys of the row; class is `pooled`, with an intercept for each
        class, for the features, and each class and `pooled` for the probability.
    predictor : one of `FEATURES`, scaled so that `minimum` is 0 and `maximum` 1 over the masks of
        test, or `probability`, as it is.
    n_masks, n_images, n_patients.
    slope, low, high : change of the outcome from predictor 0 to 1 within a class, and its interval.
    p, p_adjusted : p-value of no slope, by flipping the signs of the patients' scores (Kline and
        Santos, Journal of Econometric Methods 2012), and for the family of all methods, and all
        features, of the outcome.
    spearman, spearman_low, spearman_high, spearman_p : correlation of the ranks within classes,
        NaN where the outcome does not vary.
    images_slope, images_low, images_high, images_p : line through all classes, as
        CheXlocalize has it; its t interval and test, which take images as independent.
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
    parts = [pd.DataFrame(columns=REGRESSIONS)]
    for matrix in matrices(table):
        outlined = kind_of(matrix.columns[0][1]) == "segmentation"
        for name, wide in _with_gaps(matrix, roles.get("radiologist")).classes():
            if name == MACRO:
                continue  # A line within classes is what `pooled` has.
            own = known.loc[pd.MultiIndex.from_frame(wide.pairs[KEY])]
            families = [["probability"]]
            if name == POOLED and outlined:
                families.append(FEATURES)
            for predictors in families:
                for part in _family(wide, own[predictors], settings, seed):
                    parts.append(part.assign(**{"class": name})[REGRESSIONS])
    result = pd.concat(parts[1:] or parts)
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


def _family(
    wide: ValueMatrix, predictors: pd.DataFrame, settings: Stratification, seed: int
) -> Iterator[pd.DataFrame]:
    """Yield the lines of all columns on each of some predictors, corrected together by outcome."""
    lines, scores, places = [], [], []
    for name in predictors:
        x = predictors[name].to_numpy(float)
        if np.isnan(x).all():
            continue
        low, high = (0.0, 1.0) if name not in FEATURES else (np.nanmin(x), np.nanmax(x))
        x = (x - low) / (high - low) if high > low else x - low
        line, score = _lines(wide, x, settings, seed)
        lines.append(line.assign(predictor=name, minimum=low, maximum=high))
        scores.append(score)
        places += list(range(len(wide.columns)))
    if not lines:
        return
    table, stacked = pd.concat(lines, ignore_index=True), np.hstack(scores)
    outcome = pd.Series([wide.columns[place][:2] for place in places])
    for _, members in table.groupby(outcome):
        columns = members.index.to_numpy()
        tested = sign_flips(stacked[:, columns], wide.patients, settings, seed)
        defined = members["slope"].notna()
        yield members.assign(
            p=np.where(defined, tested.p, np.nan),
            p_adjusted=np.where(defined, tested.p_adjusted, np.nan),
        )[members["n_masks"] > 0]


def _lines(
    wide: ValueMatrix, x: NDArray[np.float64], settings: Stratification, seed: int
) -> tuple[pd.DataFrame, Array]:
    """Return the line of each column on a predictor (N,), and the scores (N, K) of its test."""
    values = np.where(np.isnan(x)[:, None], np.nan, wide.values)
    numbers = wide.numbers(values)
    codes, _ = pd.factorize(wide.pairs["class"])
    here = ~np.isnan(values)
    x = np.where(here, x[:, None], np.nan)
    counts = patient_sums(values, wide.patients)[1]
    endless, one = np.full(values.shape[1], np.inf), np.ones(values.shape[1])
    totals = _by_class(_products(x, values), codes, wide.patients)
    low, high = interval(totals, slope, [counts], (-endless, endless), settings)
    ranks = [_ranks(part, codes) for part in (x, values)]
    ranked = _by_class(_products(*ranks), codes, wide.patients)
    rank_low, rank_high = interval(ranked, correlation, [counts], (-one, one), settings)
    centred = [_centred(part, codes) for part in ranks]
    whole = sign_flips(centred[0] * centred[1], wide.patients, settings, seed)
    estimate = slope(totals.sum(axis=0, keepdims=True))[0]
    rank = correlation(ranked.sum(axis=0, keepdims=True))[0]
    number = numbers["n_patients"]
    table = wide.index(wide.columns).rename(columns={"metric": "outcome"})
    table = table.assign(
        **numbers,
        **{"slope": estimate, "low": low, "high": high},
        **{"spearman": rank, "spearman_low": rank_low, "spearman_high": rank_high},
        spearman_p=np.where(np.isnan(rank), np.nan, whole.p),
        note=[
            "the predictor does not vary within a class: no slope"
            if np.isnan(line)
            else why_none(patients, settings.min_patients, False, end)
            for line, patients, end in zip(estimate, number, low, strict=True)
        ],
    )
    naive = [
        _of_images(x[rows, index], values[rows, index], settings.confidence)
        for index, rows in enumerate(here.T)
    ]
    naive_columns = pd.DataFrame(naive, columns=REGRESSIONS[-5:-1])
    scores = _centred(x, codes) * _centred(values, codes)
    return pd.concat([table, naive_columns], axis=1), scores


def _products(x: Array, y: Array) -> list[Array]:
    """Return the values (N, K) whose sums a line and a correlation are made of."""
    here = np.where(np.isnan(y), np.nan, 1.0)
    return [here, x, y, x * x, x * y, y * y]


def _by_class(products: list[Array], codes: NDArray[np.intp], patients: Array) -> Array:
    """Return the sums over patients of 6 products in C classes, (P, 6 C, K), class after class."""
    parts = [
        patient_sums(np.where((codes == code)[:, None], part, np.nan), patients)[0]
        for code in range(codes.max(initial=-1) + 1)
        for part in products
    ]
    return np.stack(parts, axis=1)


def _centred(values: Array, codes: NDArray[np.intp]) -> Array:
    """Return values (N, K) less the mean of their class."""
    table = pd.DataFrame(values)
    return (table - table.groupby(codes).transform("mean")).to_numpy()


def _ranks(values: Array, codes: NDArray[np.intp]) -> Array:
    """Return ranks (N, K) within the class, from 0 to 1; ties share their mean."""
    return pd.DataFrame(values).groupby(codes).rank(pct=True).to_numpy()


def _within(totals: Array) -> tuple[Array, Array, Array]:
    """Return the sums (N, K) of x^2, x y and y^2 about the means of classes, from (N, 6 C, K)."""
    parts = totals.reshape(len(totals), -1, 6, totals.shape[2])
    n, x, y, xx, xy, yy = (parts[:, :, place] for place in range(6))
    number = np.maximum(n, 1)
    spread = [xx - x * x / number, xy - x * y / number, yy - y * y / number]
    # A sum that is 0 on paper is 0 here.
    exact = [xx, np.sqrt(np.maximum(xx * yy, 0)), yy]
    small = [np.abs(a) <= 1e-9 * np.abs(b) for a, b in zip(spread, exact, strict=True)]
    first, both, second = (
        np.where(zero, 0.0, part).sum(axis=1) for zero, part in zip(small, spread, strict=True)
    )
    return first, both, second


def slope(totals: Array) -> Array:
    """Return least-squares slopes (N, K) with an intercept for each class.

    Parameters
    ----------
    totals : (N, 6 C, K) sums of 1, x, y, x^2, x y and y^2 in each of C classes.

    Returns
    -------
    NaN where x does not vary within any class, up to rounding.
    """
    xx, xy, _ = _within(totals)
    return np.divide(xy, xx, out=np.full_like(xy, np.nan), where=xx > 0)


def correlation(totals: Array) -> Array:
    """Return correlations (N, K) within classes; see `slope`. NaN where x or y does not vary."""
    xx, xy, yy = _within(totals)
    length = np.sqrt(xx * yy)
    return np.divide(xy, length, out=np.full_like(xy, np.nan), where=length > 0)


def _of_images(x: Array, y: Array, confidence: float) -> list[float]:
    """Return slope, interval and p of a line through n pairs as if they were independent."""
    from scipy import stats

    if len(x) < 3 or np.ptp(x) == 0:
        return [np.nan] * 4
    line = stats.linregress(x, y)
    reach = stats.t.ppf((1 + confidence) / 2, len(x) - 2) * line.stderr
    return [line.slope, line.slope - reach, line.slope + reach, line.pvalue]
