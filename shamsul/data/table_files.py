"""Tables of any usual form: text with separators, Parquet, and sheets of Excel and LibreOffice.

The form follows from the content of a file, not from its name. Every cell becomes text, so that the
same rules read it wherever it comes from.
"""

from __future__ import annotations

import datetime
import functools
import math
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from shamsul import lazy
from shamsul.data import csv_files
from shamsul.data.csv_files import Lines
from shamsul.errors import InputError, first_line, is_fault
from shamsul.settings import unknown
from shamsul.storage.tables import DAMAGE

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as parquet

    from shamsul.data.rejected import Rejections
else:
    pd = lazy.load("pandas")
    parquet = lazy.load("pyarrow.parquet")

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".xlsx", ".xls", ".ods")
"""Endings of the names of tables."""
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of workbooks: zipped (.xlsx, .ods), and the older form (.xls)."""

LARGEST_SHEET = 50_000_000
"""Cells of the largest sheet that is read, blank ones among them."""
LARGEST_WORKBOOK = 2**30
"""Bytes that a workbook may unpack to."""
_CELL = re.compile(rb' r="([A-Z]{1,3})([0-9]{1,7})"')
"""Place of a cell in the XML of a sheet: letters of its column, and number of its row."""


def read(path: Path, rejected: Rejections | None = None, sheet: str | None = None) -> pd.DataFrame:
    """Read a table, every cell a string, empty where it is blank.

    Parameters
    ----------
    path : the file.
    rejected : takes rows of another length than the header; without it they are errors.
    sheet : name of a workbook's sheet; its first one where absent.

    Raises
    ------
    InputError
        The file is missing, empty or no table: names file, row and column.
    """
    start = _start(path)
    if start == b"PAR1":
        columns, rows = _of_parquet(path)
    elif start in _WORKBOOKS:
        columns, rows = _of_workbook(path, sheet)
    else:
        return csv_files.read_csv(path, rejected)
    names = csv_files.column_names(path, columns)
    kept = [number for number, row in enumerate(rows) if any(row)]
    cells = zip(*(rows[number] for number in kept), strict=True) if kept else [[]] * len(names)
    table = pd.DataFrame({i: pd.Series(list(c), dtype=str) for i, c in enumerate(cells)})
    table.columns = names
    table.attrs["lines"] = Lines(np.array(kept, np.int64) + 2)
    return table


def header(path: Path, sheet: str | None = None) -> list[str]:
    """Read the column names of a table; raises as `read`."""
    start = _start(path)
    if start == b"PAR1":
        return csv_files.column_names(path, _schema(path))
    if start in _WORKBOOKS:
        return csv_files.column_names(path, _of_workbook(path, sheet)[0])
    return csv_files.header(path)


def require_columns(path: Path, wanted: Iterable[str], kind: str, sheet: str | None = None) -> None:
    """Raise an InputError where a table lacks one of the wanted columns."""
    csv_files.require(path, header(path, sheet), wanted, kind)


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _schema(path: Path) -> list[str]:
    try:
        return list(parquet.ParquetFile(path).schema_arrow.names)
    except DAMAGE as error:
        raise InputError(f"{path}: not readable as Parquet ({first_line(error)})") from None


def _of_parquet(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        table = parquet.ParquetFile(path).read()
        columns = [[_text(cell) for cell in column.to_pylist()] for column in table.columns]
    except (*DAMAGE, ArithmeticError) as error:
        raise InputError(f"{path}: not readable as Parquet ({first_line(error)})") from None
    return list(table.column_names), [list(row) for row in zip(*columns, strict=True)]


def _of_workbook(path: Path, sheet: str | None) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a sheet; where it begins lower down, what is above is no row."""
    try:
        import python_calamine as calamine
    except ImportError:
        raise InputError(
            f"{path}: a workbook needs python-calamine: pip install 'shamsul[excel]', or save the "
            "sheet as CSV"
        ) from None
    _check_extent(path)
    try:
        book = calamine.CalamineWorkbook.from_path(path)
        names = book.sheet_names
        if sheet is not None and sheet not in names:
            raise InputError(f"{path}: {unknown(sheet, names, 'sheet')}")
        cells = book.get_sheet_by_name(sheet or names[0]).to_python(skip_empty_area=False)
    except BaseException as error:  # Rust's panics too.
        if isinstance(error, InputError) or not is_fault(error):
            raise
        raise InputError(f"{path}: not readable as a workbook ({first_line(error)})") from None
    rows = [[_text(cell) for cell in row] for row in cells]
    if not rows or not any(rows[0]):
        raise InputError(f"{path}: row 1: is blank; the sheet must begin with a header")
    return rows[0], rows[1:]


def _check_extent(path: Path) -> None:
    """Raise an InputError where a workbook unpacks to too much, or a sheet spans too many cells.

    Memory is taken for all cells between the first and the last, and the program would end without
    a word where there is not enough. A space in the last cell of a sheet is enough for that.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > LARGEST_WORKBOOK:
                raise InputError(f"{path}: unpacks to {size} bytes; save the sheet as CSV")
            for member in members:
                if not member.filename.startswith("xl/worksheets/"):
                    continue
                with archive.open(member) as file:
                    height, width = _extent(file)
                if height * width > LARGEST_SHEET:
                    raise InputError(
                        f"{path}: a sheet has cells as far as row {height} and column {width}; "
                        "delete what is beyond the table, or save the sheet as CSV"
                    )
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError):
        return  # It is read, or refused, as a workbook of another form.


def _extent(file: IO[bytes]) -> tuple[int, int]:
    """Return the last row and column of the cells in a sheet's XML, both from 1; 0 without any."""
    height = width = 0
    rest = b""
    while part := file.read(1 << 20):
        rest += part
        for column, row in _CELL.findall(rest):
            height = max(height, int(row))
            width = max(width, functools.reduce(lambda n, letter: 26 * n + letter - 64, column, 0))
        rest = rest[-64:]
    return height, width


def _text(cell: Any) -> str:
    """Return a cell as it would be written in CSV."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, list | tuple):
        return "|".join(map(_text, cell))
    if isinstance(cell, datetime.datetime | datetime.date | datetime.time):
        return cell.isoformat()
    if isinstance(cell, bytes):
        return cell.decode("utf-8", errors="replace")
    return str(cell)
