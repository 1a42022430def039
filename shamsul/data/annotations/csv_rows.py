"""Boxes and run lengths in tables: a row for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, field_validator

from shamsul.data import table_files
from shamsul.data.annotations.base import Annotation, AnnotationFile, Boxes
from shamsul.data.annotations.json_files import said, size_of
from shamsul.data.annotations.runs import Runs
from shamsul.data.csv_files import BLANKS, line
from shamsul.data.rejected import Rejections

if TYPE_CHECKING:
    import pandas as pd

Sides = tuple[PositiveInt, PositiveInt]
"""Height and width in pixels."""
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_EMPTY = BLANKS | {"-1", "[]"}
"""Cells, in lower case, of an image without any finding."""


class TableRows(AnnotationFile):
    """Rows of a table, each of which belongs to an image."""

    file: str
    """CSV, TSV, Parquet or Excel file, relative to `data.root`."""
    sheet: str | None = None
    """Sheet of a workbook; its first one where absent."""
    image: str
    """Column of the image's name or path."""
    label: str = ""
    """Column of the finding's name, or the name itself where there is no such column."""
    reader: str = ""
    """Column of the reader's name, or the name itself where there is no such column."""
    frame: Sides | tuple[str, str] | None = None
    """Height and width in pixels of the image that was marked, or the two columns that say it; the
    image's own where absent."""

    def files(self) -> list[str]:
        """Return the table."""
        return [self.file]

    def check(self, root: Path) -> None:
        """Check that the columns are there."""
        table_files.require_columns(root / self.file, self._columns(), "column", self.sheet)

    def _columns(self) -> list[str]:
        names = [name for name in self.frame or () if isinstance(name, str)]
        return [self.image, *names]

    def _rows(self, root: Path, rejected: Rejections) -> pd.DataFrame:
        self.check(root)
        return table_files.read(root / self.file, rejected, self.sheet)

    def _cells(self, table: pd.DataFrame, name: str) -> list[str]:
        """Return the cells of a column, or the name itself for each row if there is no column."""
        return table[name].str.strip().tolist() if name and name in table else [name] * len(table)

    def _size(self, table: pd.DataFrame, row: int) -> tuple[int, int] | None:
        """Return the height and width that the frame of a row has; raises a ValueError."""
        if self.frame is None:
            return None
        height, width = (
            int(float(table[side].iloc[row])) if isinstance(side, str) else side
            for side in self.frame
        )
        return size_of((height, width))


class BoxRows(TableRows):
    """Bounding boxes in a table, one in each row."""

    form: Literal["boxes"]
    box: Literal["xywh", "xyxy", "cxcywh"] = "xywh"
    """Numbers of a box: left, top, width and height; left, top, right and bottom; or the centre's
    x and y, width and height."""
    columns: Annotated[tuple[str, ...], Field(min_length=1)] = ("x", "y", "w", "h")
    """Four columns of these numbers, or one that holds all four."""
    unit: Literal["pixels", "fraction"] = "pixels"
    """Unit of the numbers: pixels, or shares of the image's width and height."""

    @field_validator("columns")
    @classmethod
    def _four_or_one(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if len(columns) not in (1, 4):
            raise ValueError(f"are four columns or one, not {len(columns)}")
        return columns

    def _columns(self) -> list[str]:
        return [*super()._columns(), *self.columns]

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield the boxes; a row with blank numbers has none; as `AnnotationFile.read`."""
        file = root / self.file
        table = self._rows(root, rejected)
        images, labels, readers = (
            self._cells(table, name) for name in (self.image, self.label, self.reader)
        )
        cells = list(zip(*(table[name].tolist() for name in self.columns), strict=True))
        for row, numbers in enumerate(cells):
            text = " ".join(numbers)
            if all(cell.strip().lower() in BLANKS for cell in numbers):
                continue
            found = _NUMBER.findall(text)
            try:
                if len(found) != 4 or _NUMBER.sub("", text).strip(" \t\n,;:()[]{}'\""):
                    raise ValueError(f"{text!r} are not four numbers")
                corners = self._corners(*map(float, found))
                size = self._size(table, row)
            except (ValueError, OverflowError) as error:
                rejected.add(
                    "mask", file, said(error), row=line(table, row), field=", ".join(self.columns)
                )
                continue
            yield Annotation(
                file, images[row], labels[row], Boxes(corners), self.unit, size, readers[row],
                line(table, row),
            )  # fmt: skip

    def _corners(self, a: float, b: float, c: float, d: float) -> NDArray[np.float64]:
        """Return left, top, right and bottom of a box."""
        if self.box == "xyxy":
            return np.array([[a, b, c, d]])
        if self.box == "cxcywh":
            return np.array([[a - c / 2, b - d / 2, a + c / 2, b + d / 2]])
        return np.array([[a, b, a + c, b + d]])


class RunLengthRows(TableRows):
    """Run lengths in a table: pairs of a start and a number of pixels, as competitions write."""

    form: Literal["rle"]
    counts: str
    """Column of the run lengths."""
    order: Literal["row", "column"]
    """Order in which pixels are counted: along the rows, or down the columns."""
    start: Literal["absolute", "relative"]
    """Starts that are counted from the first pixel, or from the end of the run before."""
    first: Literal[0, 1]
    """Number of the first pixel; of relative starts usually 0."""

    def _columns(self) -> list[str]:
        return [*super()._columns(), self.counts]

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield the masks; a blank cell or -1 is none; as `AnnotationFile.read`."""
        file = root / self.file
        table = self._rows(root, rejected)
        images, labels, readers, cells = (
            self._cells(table, name) for name in (self.image, self.label, self.reader, self.counts)
        )
        for row, cell in enumerate(cells):
            if cell.lower() in _EMPTY:
                continue
            try:
                numbers = np.array(re.sub(r"[\[\],;]", " ", cell).split(), np.int64)
                size = self._size(table, row)
            except (ValueError, OverflowError) as error:
                told = f"are no run lengths: {said(error)}"
                rejected.add("mask", file, told, row=line(table, row), field=self.counts)
                continue
            yield Annotation(
                file, images[row], labels[row], Runs(numbers, self.order, self.start, self.first),
                size=size, reader=readers[row], row=line(table, row), field=self.counts,
            )  # fmt: skip
