"""Configuration of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from shamsul.evaluate.parameters import Rule
from shamsul.evaluate.sign import Sign
from shamsul.settings import Fraction, Section


class Chexlocalize(Section):
    """Options of CheXlocalize's own scripts, under `protocol: chexlocalize`."""

    threshold: Literal["otsu", "tuned"] = "otsu"
    """Threshold: Otsu's with filled contours, or for each class the best of 0.2, 0.3, ..., 0.8 on
    tune."""
    smoothing: dict[str, NonNegativeInt] = {}
    """Side of the box filter by method; they used 100 for integrated gradients, 50 for DeepLIFT and
    80 for LRP, and none for the others."""
    probability_cutoff: Literal["none", "tuned"] | dict[str, Fraction] = "none"
    """Probability below which a segmentation is empty: none, tuned for each class, or given for
    each."""
    true_pos_only: bool = True
    """Switch that leaves out images whose mask or segmentation is empty, as their default does."""


class Evaluate(Section):
    """Options of segmentations, scores and statistics."""

    classes: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Classes that are scored, where they have masks or boxes; every explained class where
    absent."""
    thresholds: Annotated[tuple[Rule, ...], Field(min_length=1)] = (
        "tuned",
        "otsu",
        "fixed",
        "best",
    )
    """Rules by which a heatmap is cut into a segmentation. The IoU under the first leads the report
    and is what strata and regressions are of. `best` is the best possible threshold of each map,
    which nobody knows beforehand."""
    sign: Sign = "positive"
    """Treatment of negative relevance: keep the positive part, take the absolute value, or count
    from the lowest value (`minmax`)."""
    fixed_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Threshold of the rule `fixed`, as a fraction of the map's range."""
    min_masks: PositiveInt = 10
    """Fewest tuning masks for a threshold of a class's own. A class with fewer uses the threshold
    pooled over all classes."""
    min_patients: Annotated[int, Field(ge=2)] = 5
    """Fewest patients for an interval or a test. With fewer there is neither."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Difference of a metric between 0 and 1 that does not matter; what is shown to differ by less
    is called equivalent."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Coverage of the confidence intervals."""
    baseline: str = "random"
    """Method that the others are compared with first."""
    prior: str | None = None
    """Method that knows where findings usually are; the first `mean_mask` where absent."""
    radiologist: str | None = None
    """Method that is a human reader; the first one that is where absent."""
    true_positive: Fraction = 0.5
    """Least probability at which a positive image counts as a true positive."""
    protocol: Literal["shamsul", "chexlocalize"] = "shamsul"
    """Protocol of the figures; `chexlocalize` adds those of CheXlocalize's own scripts."""
    chexlocalize: Chexlocalize = Chexlocalize()
    """Options of that protocol."""

    RENAMED: ClassVar[Mapping[str, str]] = {"rules": "thresholds"}
    REMOVED: ClassVar[Mapping[str, str]] = {
        "replicates": "intervals come from no bootstrap now",
        "interval": "there is one kind of interval now",
    }

    @field_validator("thresholds")
    @classmethod
    def _rules_differ(cls, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        for rule in rules:
            if rules.count(rule) > 1:
                raise ValueError(f"{rule!r} is listed twice; list each rule once")
        return rules
