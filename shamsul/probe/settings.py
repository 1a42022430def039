"""Configuration of what is asked of the model about finished heatmaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

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
    """How many heatmaps are probed, and how."""

    images: NonNegativeInt = 12
    """Images per shard of test, chosen by a hash of their names; 0 probes none."""
    again: NonNegativeInt = 8
    """How many of these are explained again, for sensitivity and randomisation."""
    classes: PositiveInt = 2
    """Classes per image: those of the highest probability."""
    metrics: tuple[Probed, ...] = of_group(*PROBED)
    """What is asked; `shamsul/metrics.py` says what each means."""
    fills: Annotated[tuple[Fill, ...], Field(min_length=1)] = ("mean", "blur", "noise")
    """What stands where pixels are hidden (deletion, insertion, infidelity): the image's mean, its
    blur, or noise of its own mean and deviation."""
    steps: Annotated[int, Field(ge=2)] = 10
    """Steps in which deletion and insertion go through the image."""
    squares: Annotated[int, Field(ge=2)] = 36
    """Random squares that are hidden for infidelity."""
    noisy: PositiveInt = 3
    """Noisy versions of the image for sensitivity."""
    radius: PositiveFloat = 0.02
    """Largest noise for sensitivity, on the grey scale of 0 to 1."""
    stages: PositiveInt = 4
    """Stages in which the network is randomised, from its output down."""
