"""Configuration of the evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from shamsul.evaluate.sign import Sign
from shamsul.labels import LOCALISED
from shamsul.settings import Fraction, Section

Rule = Literal["otsu", "tuned", "fixed", "best"]


class Chexlocalize(Section):
    """Options of CheXlocalize's own scripts, under `protocol: chexlocalize`."""

    threshold: Literal["otsu", "tuned"] = "otsu"
    """Otsu with filled contours, or for each class the best of 0.2, 0.3, ..., 0.8 on tune."""
    smoothing: dict[str, NonNegativeInt] = {}
    """Side of the box filter by method; they used 100 for integrated gradients, 50 for DeepLIFT and
    80 for LRP, and none for the others."""
    probability_cutoff: Literal["none", "tuned"] | dict[str, Fraction] = "none"
    """Below it the segmentation is empty: none, tuned on tune for each class, or given by class."""
    true_pos_only: bool = True
    """Leave out the images where mask or segmentation is empty, as their default does."""


class Evaluate(Section):
    """How heatmaps become segmentations and scores."""

    classes: tuple[str, ...] = LOCALISED
    """Classes that are scored, where they have masks."""
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)] = ("otsu", "tuned", "fixed", "best")
    """Thresholds; `best` is the best possible one of each map, which nobody knows beforehand."""
    sign: Sign = "positive"
    """What of a signed map is relevance: its positive part, its absolute value, or all of it from
    its lowest value (`minmax`)."""
    fixed_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Of the rule `fixed`, as a fraction of the map's range."""
    min_masks: PositiveInt = 10
    """Fewer masks than this on tune, and a class takes the threshold of all classes pooled."""
    min_patients: Annotated[int, Field(ge=2)] = 5
    """Fewer patients than this, and there is no interval and no test."""
    replicates: PositiveInt = 1000
    """Patient-bootstrap replicates."""
    interval: Literal["bca", "percentile"] = "bca"
    """Bias-corrected and accelerated, or plain percentiles of the replicates."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Coverage of the intervals."""
    baseline: str = "random"
    """Method that the others are compared with first."""
    prior: str | None = None
    """Method that knows where findings usually are; the first `mean_mask` where absent."""
    radiologist: str | None = None
    """Method that is a human reader; the first one that is where absent."""
    true_positive: Fraction = 0.5
    """Probability from which a positive image is a true positive."""
    protocol: Literal["shamsul", "chexlocalize"] = "shamsul"
    """`chexlocalize` adds the figures that CheXlocalize's own scripts would give."""
    chexlocalize: Chexlocalize = Chexlocalize()

    @field_validator("rules")
    @classmethod
    def _rules_differ(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        for rule in rules:
            if rules.count(rule) > 1:
                raise ValueError(f"{rule!r} is listed twice; list each rule once")
        return rules
