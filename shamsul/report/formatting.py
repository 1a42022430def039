"""Numbers and names as the report writes them."""

from __future__ import annotations

import math

import pandas as pd

from shamsul.metrics import METRICS, Metric, kind_of, of_outlines, of_table

RULES = {"otsu": "Otsu", "tuned": "tuned", "fixed": "fixed", "best": "best possible", "none": ""}
"""Names of the threshold rules, in the order of the report."""
BETTER = {"higher": "more is better", "lower": "less is better", "neither": "describes only"}
"""Words for a metric's direction."""
MISSING = "–"


def definitions(*tables: pd.DataFrame) -> list[Metric]:
    """Return the metrics that tables hold, in the order of `METRICS`."""
    names = {of_outlines(str(name)) for table in tables for name in set(table["metric"])}
    return [metric for name, metric in METRICS.items() if name in names]


def metric_of(metric: str) -> Metric:
    """Return the record of a metric, of any kind of mask."""
    return of_table(metric)


def title(metric: str) -> str:
    """Return the title of a metric, which says where it is one of boxes or of evidence."""
    kind = kind_of(metric)
    return metric_of(metric).title + (f" ({kind})" if kind != "segmentation" else "")


def view_name(metric: str, rule: str) -> str:
    """Return the title of a metric under a threshold rule."""
    return f"{title(metric)}, {RULES[rule]}" if rule != "none" else title(metric)


def span(metric: Metric) -> str:
    """Return the range of a metric in words."""
    if math.isinf(metric.high):
        return "any number" if math.isinf(metric.low) else f"{metric.low:g} and above"
    return f"{metric.low:g} to {metric.high:g}".replace("-", "−")


def number(value: float, digits: int = 2) -> str:
    """Return a number with a true minus, a dash where there is none."""
    # Adding zero turns the minus of a rounded zero away.
    return MISSING if math.isnan(value) else _true(f"{round(value, digits) + 0.0:.{digits}f}")


def signed(value: float, digits: int = 3) -> str:
    """Return a difference with its sign, a true minus."""
    return MISSING if math.isnan(value) else _true(f"{round(value, digits) + 0.0:+.{digits}f}")


def _true(text: str) -> str:
    return text.replace("-", "−")


def interval(low: float, high: float, digits: int = 2) -> str:
    """Return an interval, a dash where there is none."""
    if math.isnan(low) or math.isnan(high):
        return MISSING
    return f"{number(low, digits)} to {number(high, digits)}"


def p_value(p: float) -> str:
    """Return a p-value to the precision that it has."""
    if math.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_says(p: float) -> str:
    """Return a p-value as part of a sentence."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def duration(seconds: float) -> str:
    """Return seconds as a person would say them."""
    if math.isnan(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
