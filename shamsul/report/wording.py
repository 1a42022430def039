"""How the report writes numbers and names."""

from __future__ import annotations

import math

METRICS = {
    "iou": "IoU",
    "dice": "Dice",
    "hit_rate": "Hit rate",
    "box_iou": "Box IoU",
    "box_dice": "Box Dice",
    "box_hit_rate": "Box hit rate",
}
"""Names of the metrics of localisation, in the order of the report."""
RULES = {"otsu": "Otsu", "fixed": "fixed", "tuned": "tuned", "none": ""}
"""Names of the threshold rules, in the order of the report."""
MISSING = "–"


def view_name(metric: str, rule: str) -> str:
    """Name of a metric under a threshold rule."""
    name = METRICS.get(metric, metric)
    return f"{name}, {RULES.get(rule, rule)}" if rule != "none" else name


def number(value: float, digits: int = 2) -> str:
    """A number, or a dash where there is none."""
    return MISSING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign, a true minus."""
    return MISSING if math.isnan(value) else f"{value:+.{digits}f}".replace("-", "−")


def interval(low: float, high: float, digits: int = 2) -> str:
    """An interval, or a dash where there is none."""
    if math.isnan(low) or math.isnan(high):
        return MISSING
    return f"{number(low, digits)} to {number(high, digits)}".replace("-", "−")


def p_value(p: float) -> str:
    """A p-value to the precision that it has."""
    if math.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_says(p: float) -> str:
    """A p-value in a sentence."""
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    if math.isnan(seconds):
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
