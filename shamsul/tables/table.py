"""Declaration of a table: columns, caption, place in Snakemake's report, and condition."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from shamsul.tables.columns import Columns


class Configuration(Protocol):
    """Parts of the checked configuration (`shamsul.config.Config`) that conditions look at."""

    @property
    def probe(self) -> Any:
        """Return the section `probe`."""

    @property
    def evaluate(self) -> Any:
        """Return the section `evaluate`."""


def always(config: Configuration) -> bool:
    """Return true: every run has the table."""
    return True


@dataclass(frozen=True)
class Table:
    """Table of a run.

    Attributes
    ----------
    name : stem of its file's name.
    category, subcategory : place in Snakemake's report.
    description : meaning of a row and how to read it; one paragraph, code in single backticks.
    columns : columns in the order of the file.
    when : function that is true for a configuration whose run has the table.
    condition : the same condition in words, empty where every run has the table.
    settings : parameters of its rule that the caption shows, by their names there.
    """

    name: str
    category: str
    subcategory: str | None
    description: str
    columns: Columns
    when: Callable[[Configuration], bool] = always
    condition: str = ""
    settings: tuple[str, ...] = ("settings",)

    @property
    def caption(self) -> str:
        """Description and settings as Snakemake's report shows them (reStructuredText)."""
        shown = [
            f"{name.capitalize()}: `{{{{ snakemake.params.{name} }}}}`" for name in self.settings
        ]
        paragraphs = [
            textwrap.fill(
                paragraph.replace("`", "``"), 98, break_long_words=False, break_on_hyphens=False
            )
            for paragraph in (self.description, ". ".join(shown))
            if paragraph
        ]
        return "\n\n".join(paragraphs) + "\n"
