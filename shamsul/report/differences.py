"""Differences between methods, and verdicts on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from shamsul.report.formatting import metric_of


@dataclass(frozen=True)
class Difference:
    """The mean of a method less another's, on the masks that both were scored on.

    Attributes
    ----------
    value, low, high : the difference and its interval.
    p_adjusted : p-value, corrected for multiple comparisons; NaN where nothing was tested.
    alpha : level in (0, 1) below which the p-value is said to distinguish.
    better : sign that speaks for the method, `higher` or `lower`.
    """

    value: float
    low: float
    high: float
    p_adjusted: float
    alpha: float
    better: str = "higher"

    @classmethod
    def of(cls, row: Mapping[Any, Any], alpha: float, sign: int = 1) -> Difference:
        """Return the difference of a row of `comparisons` or `gains`, negated for sign -1."""
        low, high = (row["low"], row["high"]) if sign > 0 else (-row["high"], -row["low"])
        better = metric_of(row["metric"]).better
        return cls(sign * row["difference"], low, high, row["p_adjusted"], alpha, better)

    @property
    def verdict(self) -> str:
        """Verdict after the correction for multiple comparisons, in words."""
        if math.isnan(self.p_adjusted):
            return "not tested"
        if self.p_adjusted >= self.alpha:
            return "not distinguishable"
        return "better" if (self.value > 0) == (self.better == "higher") else "worse"


class Lookup:
    """Differences of pairs of methods, whichever of the two the table names first."""

    def __init__(self, comparisons: pd.DataFrame, alpha: float) -> None:
        self.alpha = alpha
        self.rows = {
            (row["class"], row["method_a"], row["method_b"]): row
            for row in comparisons.to_dict("records")
        }

    def __call__(self, name: str, method: str, other: str | None) -> Difference | None:
        """Return `method` less `other` on a class, None where the table has none."""
        if row := self.rows.get((name, method, other)):
            return Difference.of(row, self.alpha)
        if row := self.rows.get((name, other, method)):
            return Difference.of(row, self.alpha, -1)
        return None
