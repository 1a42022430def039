"""A table of a run: columns, caption, place in Snakemake's report, and condition."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shamsul.tables.columns import Columns

if TYPE_CHECKING:
    from shamsul.config import Config


def always(config: Config) -> bool:
    """Return true: every run has the table."""
    return True


@dataclass(frozen=True)
class Table:
    """A table of a run.

    Attributes
    ----------
    name : the stem of its file.
    category, subcategory : its place in Snakemake's report.
    description : what a row is and how to read it, a paragraph with code in single backticks.
    columns : in the order of the file.
    when : true for a configuration whose run has the table.
    condition : the same in words, empty where every run has it.
    settings : parameters of its rule that the caption shows, by their names there.
    """

    name: str
    category: str
    subcategory: str | None
    description: str
    columns: Columns
    when: Callable[[Config], bool] = always
    condition: str = ""
    settings: tuple[str, ...] = ("settings",)

    @property
    def caption(self) -> str:
        """The description and the settings as Snakemake's report shows them (reStructuredText)."""
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
