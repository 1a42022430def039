"""The sections of the report: one module and one template of the same name each.

A module `sections/gains.py` beside its template `sections/gains.html` is a section. The module has

- ``TITLE``: the section's name in the navigation,
- ``AFTER``: the section that it follows, None for the first one,
- ``NEEDS``: the tables and other inputs (`INPUTS`) that it reads,
- ``context(run)``: the variables of its template, or None where the section is left out.

`SECTIONS` lists them all in the order of the page. Navigation, page, the tables that the report
reads and the inputs of rule `report` follow from it, so that a new section is its two files. The
three constants are literals and are read without an import: Snakemake asks for them while it reads
the rules, and needs no pandas for that.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shamsul.tables import TABLES

if TYPE_CHECKING:
    from shamsul.report.run import Run

FOLDER = Path(__file__).parent
INPUTS = ("predictions", "manifest", "masks", "masked", "heatmaps", "images", "roots", "provenance")
"""Inputs of the report that are no tables of `shamsul.tables`."""
DECLARED = ("TITLE", "AFTER", "NEEDS")
"""Constants that every section's module declares."""
HEAD = ("localisation", "comparisons", "per_image", "manifest")
"""Tables that the head of the page and the choice of the main view read."""


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes
    ----------
    name : name of its module, its template and its anchor in the page.
    title : name in the navigation.
    after : the section that it follows, None for the first one.
    needs : tables of `shamsul.tables` and names among `INPUTS`.
    """

    name: str
    title: str
    after: str | None
    needs: tuple[str, ...]

    @property
    def template(self) -> str:
        """Name of the template, relative to the package of the report."""
        return f"{FOLDER.name}/{self.name}.html"

    def context(self, run: Run) -> dict[str, Any] | None:
        """Return the variables of the template, None where the section is left out."""
        module = importlib.import_module(f"{__name__}.{self.name}")
        found: dict[str, Any] | None = module.context(run)
        return found


def declared(file: Path) -> Section:
    """Read what a section's module says of it, without importing it.

    Raises
    ------
    ValueError
        TITLE, AFTER or NEEDS is missing or no literal, a needed table or input is not known, or
        the template is missing.
    """
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8"), filename=str(file)).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in DECLARED:
                try:
                    found[name] = ast.literal_eval(value)
                except ValueError:
                    raise ValueError(f"{file}: {name} is to be a literal") from None
    if lost := set(DECLARED) - found.keys():
        raise ValueError(f"{file}: a section declares {', '.join(sorted(lost))}")
    if unknown := set(found["NEEDS"]) - TABLES.keys() - set(INPUTS):
        raise ValueError(f"{file}: NEEDS: no such table or input: {', '.join(sorted(unknown))}")
    if not file.with_suffix(".html").is_file():
        raise ValueError(f"{file}: its template {file.stem}.html is missing")
    return Section(file.stem, found["TITLE"], found["AFTER"], tuple(found["NEEDS"]))


def arranged(sections: Iterable[Section]) -> tuple[Section, ...]:
    """Return the sections in the order of the page: each behind the one that it follows.

    Of several that follow the same one, the first by name comes first, with all that follow it.

    Raises
    ------
    ValueError
        A section follows one that does not exist, or sections follow each other in a circle.
    """
    followers: dict[str | None, list[Section]] = {}
    sections = sorted(sections, key=lambda section: section.name)
    for section in sections:
        followers.setdefault(section.after, []).append(section)
    found: list[Section] = []
    todo = followers.get(None, [])[::-1]
    while todo:
        found.append(todo.pop())
        todo += followers.get(found[-1].name, [])[::-1]
    if lost := [section for section in sections if section not in found]:
        told = ", ".join(f"{section.name} after {section.after}" for section in lost)
        raise ValueError(f"sections that follow none of the page: {told}")
    return tuple(found)


SECTIONS = arranged(declared(file) for file in FOLDER.glob("*.py") if not file.name.startswith("_"))
"""All sections in the order of the page."""


def needed(sections: Iterable[Section] = SECTIONS) -> list[str]:
    """Return the tables and inputs that the report reads, once each, in the order of the page."""
    return list(dict.fromkeys([*HEAD, *(name for one in sections for name in one.needs)]))
