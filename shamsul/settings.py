"""What every section of the configuration is made of, and how its faults are told.

Each stage declares its own section in its package (`shamsul.data.settings`, ...), so that a new
key of one stage leaves the others' code, and with it their results, untouched. `shamsul.config`
puts the sections together.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Split = Literal["train", "tune", "test"]
SPLITS: tuple[Split, ...] = ("train", "tune", "test")
EXPLAINED: tuple[Split, ...] = ("tune", "test")
"""Splits whose images get heatmaps: thresholds are chosen on the first, reported on the second."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""What becomes part of a path: letters, digits, `_`, `.` and `-`."""
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the configuration. Unknown keys are errors, values are immutable."""

    # The text under a field is its description in the schema for editors (`shamsul.schema`).
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def explain_errors(error: ValidationError, root: type[BaseModel]) -> Iterator[str]:
    """One readable line for each fault that pydantic found in a `root`."""
    for fault in error.errors():
        place = [str(part) for part in fault["loc"] if part not in ("phantom", "chexpert", "nih")]
        key = ".".join(place) or "configuration"
        match fault["type"]:
            case "extra_forbidden":
                yield f"{key}: {unknown(place[-1], _keys(root, fault['loc'][:-1]), 'key')}"
            case "missing":
                yield f"{key}: is required and missing"
            case "value_error":
                message = str(fault["ctx"]["error"])
                yield message if key == "configuration" else f"{key}: {message}"
            case "union_tag_invalid":
                yield f"{key}: unknown adapter; allowed are {fault['ctx']['expected_tags']}"
            case _:
                yield f"{key}: {fault['msg'][0].lower()}{fault['msg'][1:]}, not {fault['input']!r}"


def unknown(name: str, allowed: Iterable[str], kind: str = "name") -> str:
    """What to say of a name that is not among the allowed ones."""
    allowed = list(allowed)
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {kind} {name!r}; {hint}allowed are {', '.join(allowed)}"


def _keys(model: Any, place: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the model that `place` leads to from `model`."""
    for part in place:
        if isinstance(part, int):
            continue
        members = [m for m in _models(model) if part in m.model_fields]
        tagged = [
            m
            for m in _models(model)
            if "adapter" in m.model_fields
            and part in typing.get_args(m.model_fields["adapter"].annotation)
        ]
        model = tagged[0] if tagged else members[0].model_fields[part].annotation
    return [name for member in _models(model) for name in member.model_fields]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _models(argument)]
