"""Configuration of the evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from shamsul.labels import LOCALISED
from shamsul.settings import Section


class Evaluate(Section):
    """How heatmaps become segmentations and scores."""

    classes: tuple[str, ...] = LOCALISED
    """Classes that are scored, where they have masks."""
    rules: tuple[Literal["otsu", "fixed", "tuned"], ...] = ("otsu", "fixed", "tuned")
    fixed_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    min_masks: PositiveInt = 10
    """Fewer masks than this on tune, and a class takes the threshold of all classes pooled."""
    replicates: PositiveInt = 1000
    """Patient-bootstrap replicates."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    baseline: str = "random"
    """Method that the others are compared with first."""
