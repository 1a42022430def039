"""Differences between methods, and verdicts on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

OPPOSITE = {"better": "worse", "worse": "better"}
"""Verdict on the second method, by that on the first; the others hold for both."""
UNTESTED = "not tested"


@dataclass(frozen=True)
class Difference:
    """The mean of a method less another's, on the masks that both were scored on.

    Attributes
    ----------
    value, low, high : the difference and its interval, which holds for the whole family at once.
    p_adjusted : p-value for the family; NaN where nothing was tested.
    detectable : difference that would have been found with a chance of 80 %.
    verdict : verdict of `shamsul.evaluate.verdicts`, or `not tested`.
    """

    value: float
    low: float
    high: float
    p_adjusted: float
    detectable: float
    verdict: str

    @classmethod
    def of(cls, row: Mapping[Any, Any], sign: int = 1) -> Difference:
        """Return the difference of a row of `comparisons` or `gains`, negated for sign -1."""
        low, high, verdict = row["low"], row["high"], row["verdict"] or UNTESTED
        if sign < 0:
            low, high, verdict = -high, -low, OPPOSITE.get(verdict, verdict)
        rest = row["p_adjusted"], row["detectable"]
        return cls(sign * row["difference"], low, high, *rest, verdict)


class Lookup:
    """Differences of pairs of methods, whichever of the two the table names first."""

    def __init__(self, comparisons: pd.DataFrame) -> None:
        self.rows = {
            (row["class"], row["method_a"], row["method_b"]): row
            for row in comparisons.to_dict("records")
        }

    def __call__(self, name: str, method: str, other: str | None) -> Difference | None:
        """Return `method` less `other` on a class, None where the table has none."""
        if row := self.rows.get((name, method, other)):
            return Difference.of(row)
        if row := self.rows.get((name, other, method)):
            return Difference.of(row, -1)
        return None
