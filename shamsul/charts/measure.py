"""The measure that figures show, and the rows of a run's tables that have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shamsul.errors import InputError
from shamsul.metrics import METRICS, PREFIX
from shamsul.settings import unknown

if TYPE_CHECKING:
    import pandas as pd

JOINED = ("pooled", "macro")
"""Names that stand for all classes: means over all masks, and over the classes' means."""


@dataclass(frozen=True)
class Measure:
    """A metric and the rule by which its threshold is found.

    Attributes
    ----------
    metric : name of the metric in the tables.
    rule : threshold rule; `none` where the metric needs no threshold.
    """

    metric: str
    rule: str = "none"

    @classmethod
    def of(cls, text: str, per_image: pd.DataFrame) -> Measure:
        """Return the measure that is written like `iou:tuned` or `auprc`.

        Parameters
        ----------
        text : metric, and after a colon the threshold rule where the metric has several.
        per_image : table of that name, whose metrics and rules there are.

        Raises
        ------
        InputError
            The run has no such metric, or the metric no such threshold rule.
        """
        metric, _, rule = text.partition(":")
        there = sorted(set(per_image["metric"]))
        if metric not in there:
            raise InputError(f"--measure {text}: {unknown(metric, there, 'metric')}")
        rules = sorted(set(per_image.loc[per_image["metric"] == metric, "threshold_rule"]))
        if not rule and len(rules) > 1:
            raise InputError(f"--measure {text}: say by which threshold: {metric}:{rules[0]}, ...")
        if rule and rule not in rules:
            raise InputError(f"--measure {text}: {unknown(rule, rules, 'threshold rule')}")
        return cls(metric, rule or rules[0])

    @property
    def title(self) -> str:
        """Return the name for an axis, such as `IoU (tuned)`."""
        for prefix in sorted(PREFIX.values(), key=len, reverse=True):
            name = self.metric.removeprefix(prefix)
            if self.metric.startswith(prefix) and name in METRICS:
                kind = f"{prefix.rstrip('_')} " if prefix else ""
                rule = "" if self.rule == "none" else f" ({self.rule})"
                return f"{kind}{METRICS[name].title}{rule}"
        return self.metric

    @property
    def falls(self) -> bool:
        """Return whether less is better."""
        names = [self.metric.removeprefix(prefix) for prefix in PREFIX.values()]
        return any(METRICS[name].better == "lower" for name in names if name in METRICS)

    def rows(self, table: pd.DataFrame, split: str = "test") -> pd.DataFrame:
        """Return the rows of a table that have the measure, of one split where it has several."""
        found = table[table["metric"] == self.metric]
        if "threshold_rule" in found:
            found = found[found["threshold_rule"] == self.rule]
        if "split" in found:
            found = found[found["split"] == split]
        return found


def ranked(means: pd.DataFrame, measure: Measure, by: str = "pooled") -> list[str]:
    """Return the methods of a table of means, the best first; those of equal means by name."""
    found = means[means["class"] == by].dropna(subset="mean").sort_values("method")
    order = found.sort_values("mean", ascending=measure.falls, kind="stable")
    return list(order["method"])
