"""Columns of the result tables: type, meaning, unit and range; and those that many tables share.

Snakemake imports this module while it reads the rules, so nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Type = Literal["text", "integer", "number", "flag"]
"""Type of a column: strings, whole numbers, floating-point numbers, or true and false."""


@dataclass(frozen=True)
class Column:
    """Column of a table.

    Attributes
    ----------
    type : type of its values.
    meaning : one sentence or phrase, with code between single backticks.
    unit : unit of a quantity that has one.
    low, high : smallest and largest possible value, None where there is no limit.
    values : possible values of a text that is a choice; empty where it is free.
    """

    type: Type
    meaning: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()

    @property
    def range(self) -> str:
        """Possible values in words, empty where anything is possible."""
        if self.values:
            return ", ".join(f"`{value}`" if value else "empty" for value in self.values)
        match self.low, self.high:
            case None, None:
                return ""
            case low, None:
                return f"≥ {low:g}"
            case None, high:
                return f"≤ {high:g}"
            case low, high:
                return f"{low:g} to {high:g}"


Columns = Mapping[str, Column]
"""Columns by name, in the order of the table."""


def text(meaning: str, *values: str) -> Column:
    """Return a column of text; `values` are its possible values, where it is a choice."""
    return Column("text", meaning, values=values)


def count(meaning: str) -> Column:
    """Return a column of whole numbers from 0."""
    return Column("integer", meaning, low=0)


def number(
    meaning: str, low: float | None = None, high: float | None = None, unit: str = ""
) -> Column:
    """Return a column of floating-point numbers; NaN is always possible."""
    return Column("number", meaning, unit, low, high)


def share(meaning: str) -> Column:
    """Return a column of floating-point numbers from 0 to 1."""
    return number(meaning, 0, 1)


IMAGE_ID = text("Image, by its path without ending or its file name.")
PATIENT_ID = text("Patient, the unit of intervals and tests.")
SPLIT = text("Part of the data.", "train", "tune", "test")
TEST = text("Part of the data: always the test split.", "test")
CLASS = text("Finding, one of `classes`.")
CLASS_OR_POOLED = text(
    "Finding; `pooled`: every drawn mask counts once; `macro`: mean over classes."
)
METHOD = text("Name of the method in the run.")
RULE = text(
    "Rule of the threshold; `none` where the metric needs no threshold.",
    *("otsu", "tuned", "fixed", "best", "none"),
)
METRIC = text("Name of the metric; those of boxes begin with `box_`, of evidence with `evidence_`.")
NOTE = text("Reason why there is no interval; empty where there is one.")
NUMBERS: Columns = {
    "n_masks": count("Pairs of image and class behind the row."),
    "n_images": count("Images behind the row."),
    "n_patients": count("Patients behind the row."),
}
LIMITS: Columns = {
    "low": number("Lower end of the interval over patients."),
    "high": number("Upper end of the interval over patients."),
}
MEAN: Columns = {"mean": number("Mean of the metric over those pairs."), **LIMITS}
"""Columns of a mean with its interval."""
TESTED: Columns = {
    "difference": number("Mean of the first less that of the second on the same pairs."),
    "low": number("Lower end of the interval that holds for the row's family at once."),
    "high": number("Upper end of the interval that holds for the row's family at once."),
    "p": share("Two-sided p-value, from flipping the signs of whole patients."),
    "p_adjusted": share("The p-value for the row's family, by step-down max-T."),
    "p_least": share("Least `p_adjusted` that the patients allow, were they all to agree."),
    "p_equivalent": share("p-value of a difference of `evaluate.margin` or more; for the family."),
    "detectable": number("Difference that would be found with a chance of 80 %.", 0),
    "verdict": text(
        "Verdict on the first method.",
        *("better", "worse", "equivalent", "not distinguishable"),
        *("cannot be told", "the same", ""),
    ),
}
PAIR: Columns = {
    "method_a": text("First method of the pair."),
    "method_b": text("Second method of the pair."),
}
PROBED_MEAN: Columns = {
    "n_maps": count("Pairs of image and class with a value."),
    "n_missing": count("Pairs of `n_maps` without a map, which count as maps of zeros."),
    "n_undefined": count("Pairs for which the metric is not defined."),
    "n_images": NUMBERS["n_images"],
    "n_patients": NUMBERS["n_patients"],
    **MEAN,
}
"""Columns of the numbers and the mean of a metric for which the model was asked again."""
PROBED: Columns = {**PROBED_MEAN, "note": NOTE}
"""The same with the note."""
