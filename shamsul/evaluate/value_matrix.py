"""Matrix of the values of several metrics: image x class pairs by rule, metric and method.

What is compared lies in one matrix. Metrics of each kind of mask, and of radiographs without the
finding, have matrices of their own, since each is of other image x class pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.metrics import FALSE_ALARMS, kind_of, of_outlines

POOLED = "pooled"
"""Name that stands for all image x class pairs where a class's name would be.

Every pair counts once, and so does every drawn mask: see `repeats` of the matrix.
"""
MACRO = "macro"
"""Name that stands for the mean over classes of their means, where a class's name would be."""
NUMBERS = ["n_masks", "n_images", "n_patients"]
"""Numbers of image x class pairs, their images and their patients behind a row of a table."""

Column = tuple[str, str, str]
"""Name of a column: threshold_rule, metric, method."""


@dataclass(frozen=True)
class ValueMatrix:
    """A matrix of values, NaN where one is missing.

    Attributes
    ----------
    split : split of all its images.
    pairs : (N rows) patient_id, image_id, class, repeats; sorted by them. repeats : class of the
        same image whose mask this one repeats, empty where none is.
    columns : (K) names of the columns, sorted.
    values : (N, K), NaN where one is missing.
    macro : True where means are those over classes of their means.
    """

    split: str
    pairs: pd.DataFrame
    columns: list[Column]
    values: NDArray[np.float64]
    macro: bool = False

    def classes(self) -> Iterator[tuple[str, ValueMatrix]]:
        """Yield the rows of each class, then all as `pooled`, then all as `macro`.

        A class's columns without a value are left out. What repeats another class's mask is not
        pooled, since the same drawing would count twice.
        """
        for name in sorted(set(self.pairs["class"])):
            yield name, self._rows((self.pairs["class"] == name).to_numpy())
        yield POOLED, self._rows((self.pairs["repeats"] == "").to_numpy())
        yield MACRO, replace(self, macro=True)

    def _rows(self, chosen: NDArray[np.bool_]) -> ValueMatrix:
        """Return some rows, and the columns that have a value in them."""
        values = self.values[chosen]
        kept = np.flatnonzero(~np.isnan(values).all(axis=0))
        columns = [self.columns[index] for index in kept]
        return replace(self, pairs=self.pairs[chosen], columns=columns, values=values[:, kept])

    def weights(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the weights (N, K) under which the mean of values of the same rows is taken.

        They are 1, or for `macro` one over the number of values of the class, so that all classes
        weigh the same.
        """
        if not self.macro:
            return np.ones_like(values)
        codes, _ = pd.factorize(self.pairs["class"])
        present = ~np.isnan(values)
        number = np.zeros((codes.max(initial=-1) + 1, values.shape[1]))
        np.add.at(number, codes, present)
        return 1 / np.maximum(number, 1)[codes]

    @property
    def patients(self) -> NDArray[Any]:
        """Names of patients, (N,)."""
        return self.pairs["patient_id"].to_numpy(object)

    def numbers(self, values: NDArray[np.float64]) -> dict[str, NDArray[np.int64]]:
        """Return `NUMBERS` of each column of values (N, K) of the same rows: (K,) each."""
        return count(values, self.pairs)

    def index(self, columns: list[Column]) -> pd.DataFrame:
        """Return the names of columns as columns of a table."""
        return pd.DataFrame(columns, columns=["threshold_rule", "metric", "method"])


def count(values: NDArray[np.float64], pairs: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    """Return `NUMBERS` of each column of values, (K,) each.

    Parameters
    ----------
    values : (N, K), NaN where one is missing.
    pairs : (N rows) image_id and patient_id.
    """
    present = ~np.isnan(values)
    counts = [present.sum(axis=0)]
    for name in ("image_id", "patient_id"):
        codes, names = pd.factorize(pairs[name])
        seen = np.zeros((len(names), values.shape[1]), bool)
        np.logical_or.at(seen, codes, present)
        counts.append(seen.sum(axis=0))
    return dict(zip(NUMBERS, counts, strict=True))


def matrices(table: pd.DataFrame) -> Iterator[ValueMatrix]:
    """Yield the matrices of a table that `shamsul.evaluate.per_image.per_image` returns."""
    kinds = table["metric"].map(kind_of)
    negatives = table["metric"].map(of_outlines) == FALSE_ALARMS
    groups = ["split", kinds.rename("kind"), negatives.rename("negatives")]
    for (split, *_), part in table.groupby(groups):
        wide = part.pivot(
            index=["patient_id", "image_id", "class", "repeats"],
            columns=["threshold_rule", "metric", "method"],
            values="value",
        )
        wide = wide.sort_index().sort_index(axis=1)
        columns = cast(list[Column], wide.columns.to_list())
        yield ValueMatrix(
            str(split), wide.index.to_frame(index=False), columns, wide.to_numpy(float)
        )


def stacked(parts: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return parts of a table, one below the other; thousands of small tables would take seconds.

    Parameters
    ----------
    parts : columns by name: sequences of a part's length, or one value for all of its rows.
    columns : names of the columns, in their order.
    """
    lists: dict[str, list[Any]] = {name: [] for name in columns}
    for part in parts:
        arrays = {name: value for name, value in part.items() if not np.isscalar(value)}
        length = len(next(iter(arrays.values())))
        for name in columns:
            lists[name].extend(arrays[name] if name in arrays else [part[name]] * length)
    return pd.DataFrame(lists, columns=columns, dtype=None if parts else object)
