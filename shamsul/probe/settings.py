"""Configuration of the probes: questions to the model about finished heatmaps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from shamsul.metrics import PROBED, of_group
from shamsul.settings import Section

Fill = Literal["mean", "blur", "noise"]
if TYPE_CHECKING:
    Probed = str
else:
    # As a Literal, so that the schema lists the names and a misspelt one is told with them.
    Probed = Literal[of_group(*PROBED)]


class Probe(Section):
    """Choice of the heatmaps that are probed, and options of the probes."""

    images: NonNegativeInt = 12
    """Images per shard of test, chosen by a hash of their names; 0 probes none."""
    reexplained_images: NonNegativeInt = 8
    """Images among these that are explained again, for robustness and randomisation."""
    classes: PositiveInt = 2
    """Classes per image: those of the highest probability."""
    metrics: tuple[Probed, ...] = of_group(*PROBED)
    """Metrics to measure; `shamsul/metrics.py` defines each."""
    fills: Annotated[tuple[Fill, ...], Field(min_length=1)] = ("mean", "blur", "noise")
    """Fills for hidden pixels (deletion, insertion, infidelity): the image's mean, its blur, or
    noise of its own mean and deviation."""
    steps: Annotated[int, Field(ge=2)] = 10
    """Steps in which deletion and insertion go through the image."""
    squares: Annotated[int, Field(ge=2)] = 36
    """Number of random squares that are hidden for infidelity."""
    noisy: PositiveInt = 3
    """Number of noisy versions of the image for sensitivity."""
    radius: PositiveFloat = 0.02
    """Largest noise for sensitivity, on the grey scale of 0 to 1."""
    stages: PositiveInt = 4
    """Number of stages in which the network is randomised, from its output down."""

    RENAMED: ClassVar[Mapping[str, str]] = {"again": "reexplained_images"}
