"""The base of every section of the configuration, and messages for faults in one.

Each stage declares its own section in its package (`shamsul.data.settings`, ...), so that a new
key of one stage leaves the others' code, and with it their results, untouched. `shamsul.config`
puts the sections together.
"""

from __future__ import annotations

import difflib
import functools
import logging
import operator
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError

from shamsul.errors import InputError

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

logger = logging.getLogger(__name__)

Split = Literal["train", "tune", "test"]
SPLITS: tuple[Split, ...] = ("train", "tune", "test")
EXPLAINED: tuple[Split, ...] = ("tune", "test")
"""Splits whose images get heatmaps: thresholds are chosen on the first, reported on the second."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""A name that becomes part of a path: letters, digits, `_`, `.` and `-`."""
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the configuration. Unknown keys are errors, values are immutable."""

    # The text under a field is its description in the schema for editors (`shamsul.schema`).
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """Old names of keys, and the new one of each. `modernise` still reads them, with a warning."""
    REMOVED: ClassVar[Mapping[str, str]] = {}
    """Keys that have no meaning any more, and why. `modernise` leaves them out, with a warning."""


class Variants:
    """A mark of a field whose value is one of several sections, told apart by one key.

    The sections are looked for when the field is first used, so that nobody lists them by hand.

    Parameters
    ----------
    key : name of the key, a `Literal` in each section.
    sections : returns the sections by the key's value.
    """

    def __init__(self, key: str, sections: Callable[[], Mapping[str, type[Section]]]) -> None:
        self.key = key
        self.sections = sections

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema of a union of the sections."""
        sections = list(self.sections().values())
        if len(sections) == 1:  # Pydantic tells no single section apart.
            return handler.generate_schema(sections[0])
        union: Any = functools.reduce(operator.or_, sections)
        return handler.generate_schema(Annotated[union, Field(discriminator=self.key)])


def modernise(raw: Any, annotation: Any, place: tuple[str, ...] = ()) -> Any:
    """Return a configuration with the new names of its renamed keys, and without removed ones.

    `Section.RENAMED` and `Section.REMOVED` name them. Each is told in one warning. Whatever else is
    wrong is left as it is.

    Parameters
    ----------
    raw : the value as read from YAML; it is not changed.
    annotation : a model, or the type of a field of one.
    place : keys that lead to the value.

    Raises
    ------
    InputError
        A key is given under both of its names.
    """
    if isinstance(raw, list | tuple):
        items = ((item, *_inside(annotation, i), str(i)) for i, item in enumerate(raw))
        return [modernise(item, inner, (*place, name)) for item, inner, _, name in items]
    model = _section(annotation, raw)
    if model is None:
        return raw
    renamed: Mapping[str, str] = getattr(model, "RENAMED", {})
    removed: Mapping[str, str] = getattr(model, "REMOVED", {})
    modern = {}
    for key, value in raw.items():
        if key in removed:
            place_of = ".".join((*place, key))
            logger.warning("configuration: %s is ignored: %s", place_of, removed[key])
            continue
        new = renamed.get(key, key)
        if new != key:
            _tell_new_name(raw, ".".join((*place, key)), new)
        modern[new] = modernise(value, _inside(model, new)[0], (*place, str(new)))
    return modern


def _tell_new_name(raw: Mapping[str, Any], old: str, new: str) -> None:
    """Warn of an old name, given with the keys that lead to it."""
    if new in raw:
        raise InputError(f"{old}: is the old name of `{new}`, which is given too; remove the old")
    place = [*old.split(".")[:-1], new]
    logger.warning(
        "configuration: %s is called %s now; the old name is read for one release",
        old, ".".join(place),
    )  # fmt: skip


def explain_errors(error: ValidationError, root: type[BaseModel]) -> Iterator[str]:
    """Yield one readable line for each fault that pydantic found in a `root`."""
    for fault in error.errors():
        place, allowed = _locate(root, fault["loc"])
        key = ".".join(place) or "configuration"
        match fault["type"]:
            case "extra_forbidden":
                yield f"{key}: {unknown(place[-1], allowed, 'key')}"
            case "missing":
                yield f"{key}: is required and missing"
            case "value_error":
                message = str(fault["ctx"]["error"])
                yield message if key == "configuration" else f"{key}: {message}"
            case "union_tag_invalid":
                tag, tags = fault["ctx"]["tag"], fault["ctx"]["expected_tags"]
                yield f"{key}: unknown {_discriminator(fault)} {tag!r}; allowed are {tags}"
            case "union_tag_not_found":
                yield f"{key}: needs `{_discriminator(fault)}:`"
            case _:
                yield f"{key}: {fault['msg'][0].lower()}{fault['msg'][1:]}, not {fault['input']!r}"


def _discriminator(fault: Any) -> str:
    return str(fault["ctx"]["discriminator"]).strip("'")


def unknown(name: str, allowed: Iterable[str], kind: str = "name") -> str:
    """Return a message on a name that is not among the allowed ones."""
    allowed = list(allowed)
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {kind} {name!r}; {hint}allowed are {', '.join(allowed)}"


def _locate(root: Any, loc: tuple[int | str, ...]) -> tuple[list[str], list[str]]:
    """Return the keys that lead to a fault, and the keys that are allowed beside it.

    Pydantic's `loc` has more parts: names of the variants and types that it has tried.
    """
    place: list[str] = []
    beside: list[str] = []
    annotation = root
    for part in loc:
        model = _plain(annotation)
        beside = list(model.model_fields) if _is_model(model) else []
        annotation, is_key = _inside(annotation, part)
        if is_key:
            place.append(str(part))
    return place, beside


def _inside(annotation: Any, part: int | str) -> tuple[Any, bool]:
    """Return the type that one part of a `loc` leads to, and whether the part is a key."""
    if part == "[key]":
        return Any, False
    if variants := _variants(annotation):
        return variants[1].get(str(part), Any), False
    plain = _plain(annotation)
    arguments = typing.get_args(plain)
    origin = typing.get_origin(plain)
    if _is_model(plain):
        field = plain.model_fields.get(part)
        return (field.rebuild_annotation() if field else Any), True
    if origin in (tuple, list):
        return arguments[0], True
    if origin is dict:
        return arguments[1], True
    if origin in (typing.Union, types.UnionType):
        return next((m for m in arguments if _label(m, str(part))), Any), False
    return Any, True


def _label(member: Any, label: str) -> bool:
    """Return whether pydantic calls a member of a union by this label."""
    plain = _plain(member)
    name = getattr(typing.get_origin(plain) or plain, "__name__", "").lower()
    return label.lower().startswith(name)


def _plain(annotation: Any) -> Any:
    """Return a type without its metadata, and without None where it may be absent."""
    if hasattr(annotation, "__metadata__"):
        return _plain(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [m for m in typing.get_args(annotation) if m is not type(None)]
        if len(members) == 1:
            return _plain(members[0])
    return annotation


def _is_model(plain: Any) -> bool:
    return isinstance(plain, type) and issubclass(plain, BaseModel)


def _variants(annotation: Any) -> tuple[str, Mapping[str, type[Section]]] | None:
    """Return the key and the sections of `Variants`, None where there are none."""
    for mark in getattr(annotation, "__metadata__", ()):
        if isinstance(mark, Variants):
            return mark.key, mark.sections()
    return None


def _section(annotation: Any, raw: Any) -> type[BaseModel] | None:
    """Return the model that a value is read as, None where it is no model's."""
    if not isinstance(raw, dict):
        return None
    if variants := _variants(annotation):
        key, sections = variants
        return sections.get(raw.get(key, ""))
    plain = _plain(annotation)
    return plain if _is_model(plain) else None
