"""Settings of the statistics as jobs hand them on: typed, and without the time that pydantic takes.

A user's values are checked by `shamsul.evaluate.settings.Evaluate`, which has the same keys. The
fields of a class are the keys that a rule passes to its program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from shamsul.errors import InputError

Rule = Literal["otsu", "tuned", "fixed", "best"]


class Parameters:
    """Base of the settings that are read from a job's JSON."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the settings."""
        return tuple(field.name for field in fields(cls))  # type: ignore[arg-type]

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings of this class among those that are given.

        Raises
        ------
        InputError
            A setting is missing.
        """
        if missing := [name for name in cls.names() if name not in given]:
            raise InputError(f"settings of the evaluation: {', '.join(missing)} missing")
        return cls(**{name: given[name] for name in cls.names()})


@dataclass(frozen=True)
class Inference(Parameters):
    """Settings of intervals and tests.

    Attributes
    ----------
    confidence : coverage of the intervals, in (0, 1).
    min_patients : fewest patients for an interval or a test.
    """

    confidence: float
    min_patients: int


@dataclass(frozen=True)
class Measurement(Inference):
    """Settings of the values per image, and of what is summarised beside them.

    Attributes
    ----------
    thresholds : rules by which a map is cut.
    fixed_threshold : threshold of the rule `fixed`, as a fraction of the map's range, in (0, 1).
    min_masks : fewest masks on tune for a threshold of the class's own.
    """

    thresholds: tuple[Rule, ...]
    fixed_threshold: float
    min_masks: int


@dataclass(frozen=True)
class Comparison(Inference):
    """Settings of the comparison of methods.

    Attributes
    ----------
    baseline : method that is `method_b` in all its pairs.
    margin : difference of a metric that does not matter.
    """

    baseline: str
    margin: float


@dataclass(frozen=True)
class Stratification(Inference):
    """Settings of strata and regressions.

    Attributes
    ----------
    thresholds : rules by which a map is cut; the first leads.
    true_positive : probability from which a positive image is a true positive, in [0, 1].
    """

    thresholds: tuple[Rule, ...]
    true_positive: float


@dataclass(frozen=True)
class Protocol(Parameters):
    """Settings of CheXlocalize's own scripts.

    Attributes
    ----------
    threshold : Otsu's with filled contours, or tuned for each class.
    smoothing : side of the box filter by method, in pixels; none for methods that are not there.
    probability_cutoff : probability below which a segmentation is empty: none, tuned, or by class.
    true_pos_only : images whose mask or segmentation is empty are left out.
    """

    threshold: Literal["otsu", "tuned"]
    smoothing: Mapping[str, int]
    probability_cutoff: Literal["none", "tuned"] | Mapping[str, float]
    true_pos_only: bool
