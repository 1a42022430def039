"""Things left out of a source because they cannot be read or do not fit, and the reasons."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shamsul import lazy
from shamsul.errors import InputError, printable

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

Kind = Literal["image", "row", "mask"]
"""Kind of thing that is rejected: a radiograph, a row of a table, or a mask or box."""

MANY = 100
"""Number of images of a source up to which the first bad one stops the run, by default."""


@dataclass(frozen=True)
class Rejection:
    """One thing that was left out.

    Attributes
    ----------
    source : name of the source.
    kind : kind of thing that is left out.
    image_id : the image that it is or belongs to; empty where it names none.
    file : the file that is wrong, or that says it.
    row : line of the file, from 1 with the header; 0 where it is not a table.
    field : column or key; empty where it is the whole row or file.
    reason : fault of it, and the remedy.
    """

    source: str
    kind: Kind
    image_id: str
    file: str
    row: int
    field: str
    reason: str

    def __str__(self) -> str:
        """Return the line that tells a reader of it."""
        row = f": row {self.row}" if self.row else ""
        name = f", column {self.field!r}" if self.row else f": {self.field}"
        field = name if self.field else ""
        return f"{self.file}{row}{field}: {self.reason}"


REJECTED_COLUMNS = list(Rejection.__dataclass_fields__)
"""Columns of the table of what was rejected."""


class Rejections:
    """Collects what is left out of one source, or stops at the first.

    Parameters
    ----------
    source : name of the source.
    quarantine : True to leave out and go on, False to stop; None to go on where the source has
        more than `MANY` images.
    """

    def __init__(self, source: str, quarantine: bool | None = False) -> None:
        self.source = source
        self.quarantine = quarantine
        self.found: list[Rejection] = []

    def expect(self, images: int) -> None:
        """Decide between going on and stopping, now that the number of images is known."""
        if self.quarantine is None:
            self.quarantine = images > MANY

    def add(
        self,
        kind: Kind,
        file: Path | str,
        reason: str,
        *,
        row: int = 0,
        field: str = "",
        image_id: str = "",
    ) -> None:
        """Leave something out; parameters as the attributes of `Rejection`.

        Raises
        ------
        InputError
            The source is not to be read in part.
        """
        rejection = Rejection(self.source, kind, image_id, str(file), row, field, printable(reason))
        if not self.quarantine:
            raise InputError(str(rejection))
        self.found.append(rejection)

    def table(self) -> pd.DataFrame:
        """Return a row of `REJECTED_COLUMNS` for each thing that was left out, in their order."""
        rows = [astuple(rejection) for rejection in self.found]
        return pd.DataFrame(rows, columns=REJECTED_COLUMNS)
