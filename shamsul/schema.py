"""JSON schema of the configuration for editors, and tables of its keys for people.

Both are made of the typed configuration and the texts under its fields. `make docs` writes them
(`python -m shamsul.reference`). A test fails where they are not what the configuration is today.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from shamsul.config import Config
from shamsul.explain import registry
from shamsul.explain.base import Method
from shamsul.job.fingerprint import PROJECT

SCHEMA = PROJECT / "docs" / "config.schema.json"
TABLES = PROJECT / "config" / "README.md"
"""Page of the keys, where Snakemake's workflow catalogue looks for instructions."""

JsonSchema = dict[str, Any]
Row = tuple[str, str, str, str]
"""Name, type, default and meaning of a key."""

INTRODUCTION = """\
# Configuration

A configuration is one YAML file. `config.yaml` is the default experiment, `configs/` has others,
and `--configfile FILE` takes one of yours instead. Only `run`, `data.sources` and `explain.methods`
are required. A fault is told in one line before any job starts. `shamsul check FILE` tells it
without a run. Editors that know JSON schemas complete and check keys by the file's first line,
`# yaml-language-server: $schema=docs/config.schema.json`.

`make docs` writes this page.
"""
METHODS = """\
### A method of `explain.methods`

An entry `{method: NAME, ...}` with these parameters:
"""


class UntitledSchema(GenerateJsonSchema):
    """Schema generator that gives fields no titles, which would repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False for every field."""
        return False


def schema() -> JsonSchema:
    """Return the JSON schema (draft 7) of a configuration file, one variant for each method."""
    whole = Config.model_json_schema(schema_generator=UntitledSchema)
    variants = [variant(cls) for cls in registry.methods().values()]
    whole["$defs"]["Explain"]["properties"]["methods"]["items"] = {"oneOf": variants}
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
    return {**draft, **whole, "title": "Configuration of shamsul"}


def variant(cls: type[Method]) -> JsonSchema:
    """Return the schema of one entry of `explain.methods`, from a method's typed fields.

    It has the method, the keys that every entry may have, and the method's own parameters.
    """
    own = cls.model_json_schema(schema_generator=UntitledSchema)
    properties: JsonSchema = {
        "method": {"const": cls.method, "description": f"{cls.title} ({cls.citation})"},
        "name": {
            "type": "string",
            "pattern": f"^{registry.NAME.pattern}$",
            "description": "Name of this entry in the run; the method's own name by default.",
        },
    }
    if cls.presets:
        properties["preset"] = {
            "enum": sorted(cls.presets),
            "description": "Named set of parameters; those given beside it win.",
        }
    return {
        **own,
        "title": cls.title,
        "properties": properties | own["properties"],
        "required": ["method", *own.get("required", [])],
    }


def parameters(cls: type[Method]) -> list[Row]:
    """Return name, type, default and meaning of each key of a method's entry, as Markdown."""
    own = variant(cls)
    return list(rows(own, own))


def tables() -> str:
    """Return the page of all keys, as Markdown."""
    whole = schema()
    fields = whole["properties"]
    sections = {name: section for name in fields if (section := _section(fields[name], whole))}
    top = {name: field for name, field in fields.items() if name not in sections}
    parts = [INTRODUCTION, table(rows({**whole, "properties": top}, whole))]
    for name, section in sections.items():
        parts += [f"## {name}\n", f"{section['description']}\n"]
        parts.append(table(rows(section, whole, f"{name}.")))
        if name == "data":
            for source in section["properties"]["sources"]["items"]["oneOf"]:
                own = _resolved(source, whole)
                adapter = own["properties"]["adapter"]["const"]
                parts.append(f"### A source of `adapter: {adapter}`\n")
                parts += [f"{own['description']}\n", table(rows(own, whole))]
                parts += _forms(own, whole)
        if name == "explain":
            variants = section["properties"]["methods"]["items"]["oneOf"]
            parts += [METHODS, _parameters(variants, whole)]
    return "\n".join(parts)


def _forms(source: JsonSchema, whole: JsonSchema) -> list[str]:
    """Return a table of keys for each form of `masks` that a source has."""
    parts: list[str] = []
    for one in source["properties"].get("masks", {}).get("items", {}).get("oneOf", ()):
        own = _resolved(one, whole)
        form = own["properties"]["form"]["const"]
        parts += [f"#### Masks of `form: {form}`\n", f"{own['description']}\n"]
        parts.append(table(rows(own, whole)))
    return parts


def _parameters(variants: list[JsonSchema], whole: JsonSchema) -> str:
    """Return a table of the methods' parameters, those of most methods first."""
    methods = [variant["properties"]["method"]["const"] for variant in variants]
    owners: dict[Row, list[str]] = {}
    for method, one in zip(methods, variants, strict=True):
        for row in rows(one, whole):
            owners.setdefault(row, []).append(method)
    lines = ["| parameter | of | type | default | meaning |", "|---|---|---|---|---|"]
    for (name, *rest), own in sorted(owners.items(), key=lambda item: -len(item[1])):
        others = [f"`{method}`" for method in methods if method not in own]
        of = ", ".join(f"`{method}`" for method in own)
        if len(others) < len(own):
            of = f"all but {', '.join(others)}" if others else "all"
        lines.append(f"| {' | '.join([name, of, *rest])} |")
    return "\n".join(lines) + "\n"


def table(rows: Iterable[Row]) -> str:
    """Return a Markdown table of keys."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def rows(section: JsonSchema, whole: JsonSchema, prefix: str = "") -> Iterator[Row]:
    """Yield a row for each key of a section and of the sections in it.

    A key with only one possible value tells variants apart and gets no row.
    """
    for name, field in section["properties"].items():
        if "const" in field:
            continue
        inner = _section(field, whole)
        told = field.get("description") or (inner or {}).get("description", "")
        meaning = " ".join(told.split()).replace("|", "\\|")
        required = name in section.get("required", ())
        default = "**required**" if required else _value(field.get("default"))
        if inner:
            default = "none" if _nullable(field) else ""
        yield f"`{prefix}{name}`", _type(field), default, meaning
        if inner:
            yield from rows(inner, whole, f"{prefix}{name}.")


def _resolved(field: JsonSchema, whole: JsonSchema) -> JsonSchema:
    return whole["$defs"][field["$ref"].rsplit("/", 1)[1]] if "$ref" in field else field


def _section(field: JsonSchema, whole: JsonSchema) -> JsonSchema | None:
    """Return the section that a field holds, also where it may be absent; None for other fields."""
    for option in (field, *field.get("anyOf", ())):
        if "properties" in (found := _resolved(option, whole)):
            return found
    return None


def _nullable(field: JsonSchema) -> bool:
    return {"type": "null"} in field.get("anyOf", ())


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if value == "":
        return "blank"
    told = value if isinstance(value, str) else json.dumps(value)
    return f"`{told}`".replace("|", "\\|")


def _type(field: JsonSchema) -> str:
    """Return the possible values of a field in words."""
    match field:
        case {"enum": values}:
            return _either([f"`{value}`" for value in values])
        case {"anyOf": options}:
            return _either([_type(option) for option in options if option != {"type": "null"}])
        case {"$ref": _} | {"properties": _}:
            return "section"
        case {"type": "array", "items": {"oneOf": _}}:
            return "list, see below"
        case {"prefixItems": [first, *_] as items}:
            return f"list of {_type(first)}, {len(items)} of them"
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": True}:
            return "mapping"
        case {"type": "object", "additionalProperties": values}:
            keys = f" by {_type(names)}" if (names := field.get("propertyNames")) else ""
            return f"mapping{keys} to {_type(values)}"
        case {"type": "object", "patternProperties": dict(patterns)}:
            return f"mapping to {_type(next(iter(patterns.values())))}"
        case {"type": "boolean"}:
            return "`true` or `false`"
        case {"type": "string"}:
            return "text"
        case _:
            return f"{field['type']} {', '.join(_limits(field))}".strip()


def _limits(field: JsonSchema) -> Iterator[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    yield from (f"{sign} {field[key]:.10g}" for key, sign in signs.items() if key in field)


def _either(options: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(options[:-1]), options[-1]]))


def files() -> dict[Path, str]:
    """Return the schema and the page of keys, each with the file that it belongs in."""
    return {SCHEMA: json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", TABLES: tables()}
