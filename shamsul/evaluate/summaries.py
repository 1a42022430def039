"""What the values per image amount to: means with intervals, and differences between methods."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pandas as pd

from shamsul.evaluate.statistics import bootstrap_interval, holm, sign_flip_test
from shamsul.evaluate.tables import PREFIX, Settings

POOLED = "pooled"
"""Stands for all image x class pairs where a class's name would be."""
FEW = "fewer than 2 patients: no interval"

GROUP = ["metric", "threshold_rule", "class"]
NUMBERS = ["n_masks", "n_images", "n_patients"]
LOCALISATION = [
    *("split", "class", "method", "threshold_rule", "metric", *NUMBERS),
    *("mean", "low", "high", "median", "q1", "q3", "note"),
]
COMPARISONS = [
    *(*GROUP, "method_a", "method_b", *NUMBERS),
    *("difference", "low", "high", "p", "p_adjusted", "note"),
]


def localisation(table: pd.DataFrame, settings: Settings, seed: int) -> pd.DataFrame:
    """Mean with its patient-bootstrap interval, and quartiles over images.

    Parameters
    ----------
    table : as `per_image` returns it.
    settings : `replicates` and `confidence`.

    Returns
    -------
    split, class (`pooled`: every image x class pair counts once), method, threshold_rule, metric,
    n_masks (image x class pairs), n_images, n_patients, mean, low, high, median, q1, q3, note.
    """
    rows: list[dict[str, Any]] = []
    for group, wide in _groups(table):
        patients = wide.index.get_level_values("patient_id").to_numpy()
        images = wide.index.get_level_values("image_id").to_numpy()
        values = wide.to_numpy(float)
        low, high = bootstrap_interval(
            values, patients, settings["replicates"], settings["confidence"], seed
        )
        for column, (rule, metric, method) in enumerate(_columns(wide)):
            has = ~np.isnan(values[:, column])
            own = values[has, column]
            q1, median, q3 = np.quantile(own, [0.25, 0.5, 0.75])
            rows.append(
                group
                | {
                    "method": method,
                    "threshold_rule": rule,
                    "metric": metric,
                    "n_masks": len(own),
                    "n_images": len(set(images[has])),
                    "n_patients": len(set(patients[has])),
                    "mean": own.mean(),
                    "low": low[column],
                    "high": high[column],
                    "median": median,
                    "q1": q1,
                    "q3": q3,
                    "note": FEW if np.isnan(low[column]) else "",
                }
            )
    result = pd.DataFrame(rows, columns=LOCALISATION)
    return result.sort_values(
        ["split", "metric", "threshold_rule", "class", "method"], ignore_index=True
    )


def comparisons(table: pd.DataFrame, settings: Settings, seed: int) -> pd.DataFrame:
    """Differences between all pairs of methods on the masks of test that both were scored on.

    Parameters
    ----------
    table : as `per_image` returns it.
    settings : `replicates`, `confidence` and `baseline`, which is `method_b` in all its pairs.

    Returns
    -------
    metric, threshold_rule, class, method_a, method_b, n_masks, n_images, n_patients, difference
    (mean of a - b), low, high (patient bootstrap), p (`sign_flip_test`), p_adjusted (Holm over the
    pairs of the same metric, threshold_rule and class), note.
    """
    rows: list[dict[str, Any]] = []
    for group, wide in _groups(table[table["split"] == "test"]):
        patients = wide.index.get_level_values("patient_id").to_numpy()
        images = wide.index.get_level_values("image_id").to_numpy()
        pairs = list(_pairs(_columns(wide), settings["baseline"]))
        if not pairs:
            continue
        difference = np.column_stack([wide[a] - wide[b] for a, b in pairs])
        low, high = bootstrap_interval(
            difference, patients, settings["replicates"], settings["confidence"], seed
        )
        p = sign_flip_test(difference, patients, seed)
        for column, ((rule, metric, method_a), (*_, method_b)) in enumerate(pairs):
            has = ~np.isnan(difference[:, column])
            if not has.any():
                continue
            rows.append(
                {
                    "metric": metric,
                    "threshold_rule": rule,
                    "class": group["class"],
                    "method_a": method_a,
                    "method_b": method_b,
                    "n_masks": int(has.sum()),
                    "n_images": len(set(images[has])),
                    "n_patients": len(set(patients[has])),
                    "difference": difference[has, column].mean(),
                    "low": low[column],
                    "high": high[column],
                    "p": p[column],
                    "p_adjusted": np.nan,
                    "note": FEW if np.isnan(low[column]) else "",
                }
            )
    result = pd.DataFrame(rows, columns=COMPARISONS)
    for _, family in result.groupby(GROUP):
        result.loc[family.index, "p_adjusted"] = holm(family["p"])
    return result.sort_values([*GROUP, "method_a", "method_b"], ignore_index=True)


Column = tuple[str, str, str]
"""threshold_rule, metric, method."""


def _groups(table: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """The values whose patients are resampled together, image x class by rule, metric, method."""
    boxes = table["metric"].str.startswith(PREFIX["box"])
    for (split, _), part in table.groupby(["split", boxes]):
        by_class = [(str(name), group) for name, group in part.groupby("class")]
        for name, group in [*by_class, (POOLED, part)]:
            wide = group.pivot(
                index=["patient_id", "image_id", "class"],
                columns=["threshold_rule", "metric", "method"],
                values="value",
            )
            yield {"split": str(split), "class": name}, wide.sort_index().sort_index(axis=1)


def _columns(wide: pd.DataFrame) -> list[Column]:
    return cast(list[Column], wide.columns.to_list())


def _pairs(columns: list[Column], baseline: str) -> Iterator[tuple[Column, Column]]:
    """Pairs of methods under the same rule and metric, the baseline second."""
    for _, group in itertools.groupby(columns, key=lambda column: column[:2]):
        ordered = sorted(group, key=lambda column: (column[2] == baseline, column[2]))
        yield from itertools.combinations(ordered, 2)
