"""Confidence interval of an AUROC whose images come from fewer patients."""

from __future__ import annotations

import math
from collections.abc import Callable

Counts = tuple[int, int]
"""Number of images with a label, and of the patients that they come from."""


def auroc_limits(
    auroc: float, variance: float, positives: Counts, negatives: Counts, confidence: float
) -> tuple[float, float]:
    """Return the limits of an AUROC, between which they never are the same.

    They are the g at which ``|auroc - g| = t sqrt(d V(g))``, where V is the variance of Hanley and
    McNeil (Radiology 1982) as Newcombe has it (Statistics in Medicine 2006, method 5). It depends
    on the true AUROC, and so is not 0 where the estimate is 1. The design effect d is the variance
    that was measured over V at the estimate, and at least 1. Where nothing was measured, since the
    estimate is 0 or 1, patients count instead of images.

    Parameters
    ----------
    auroc : estimate in [0, 1].
    variance : variance of the estimate over patients; NaN makes limits of NaN.
    positives, negatives : numbers of images and of patients.
    confidence : coverage in (0, 1); t has one degree of freedom less than the fewer patients.
    """
    from scipy.special import stdtrit

    if math.isnan(variance):
        return math.nan, math.nan
    images, patients = (positives[0], negatives[0]), (positives[1], negatives[1])
    t = float(stdtrit(max(min(patients) - 1, 1), (1 + confidence) / 2))
    numbers = images if variance > 0 else patients
    at_estimate = hanley_mcneil(auroc, *numbers)
    effect = max(variance / at_estimate, 1.0) if at_estimate > 0 else 1.0

    def beyond(g: float) -> bool:
        """Return whether g is too far from the estimate."""
        return abs(auroc - g) > t * math.sqrt(effect * hanley_mcneil(g, *numbers))

    low = _edge(beyond, 0.0, auroc) if auroc > 0 else 0.0
    return low, _edge(beyond, 1.0, auroc) if auroc < 1 else 1.0


def hanley_mcneil(auroc: float, positives: int, negatives: int) -> float:
    """Return the variance of an AUROC of this true value, with Newcombe's one number for both."""
    more = (positives + negatives) / 2 - 1
    spread = 1 + more * (1 - auroc) / (2 - auroc) + more * auroc / (1 + auroc)
    return auroc * (1 - auroc) * spread / (positives * negatives)


def _edge(beyond: Callable[[float], bool], outside: float, inside: float) -> float:
    """Return where `beyond` turns, between a point beyond and one that is not, by bisection."""
    # At 0 and 1 the variance is 0, and so is the reach.
    inside += (outside - inside) * 1e-12
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if beyond(middle) else (outside, middle)
    return (outside + inside) / 2
