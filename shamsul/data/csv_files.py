"""Reading tables of text that cannot be trusted: every fault names file, row and column.

The encoding (UTF-8, UTF-16, Windows-1252, with or without a byte order mark) and the separator
(comma, semicolon, tab, bar) are recognised, and said in the log where they are not the usual ones.
"""

from __future__ import annotations

import codecs
import csv
import io
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.settings import unknown

if TYPE_CHECKING:
    import pandas as pd

    from shamsul.data.rejected import Rejections
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

LONGEST_CELL = 1 << 24
"""Longest cell of a table in characters. Run lengths are long; Python's own limit is 131,072."""
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""Characters that may separate cells, and their names; the first that fits is taken."""
BLANKS = frozenset({"", "nan", "na", "n/a", "<na>", "none", "null", "nil"})
"""Cells, in lower case, that say nothing."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 1 << 16
"""Number of characters by which the separator is chosen."""


class Lines:
    """Line numbers of a table's rows in its file, kept in the table's `attrs`.

    A table's `attrs` are copied whenever a column is; this is not, because it never changes.
    """

    def __init__(self, numbers: NDArray[np.int64]) -> None:
        self.numbers = numbers

    def __deepcopy__(self, memo: Any) -> Lines:
        """Return the same object."""
        return self


def line(table: pd.DataFrame, position: int) -> int:
    """Return the line of the file, from 1 with the header, that a row of a table begins at.

    Parameters
    ----------
    table : a table of `read_csv`, its rows neither left out nor in another order.
    position : position of the row, from 0.
    """
    lines = table.attrs.get("lines")
    return int(lines.numbers[position]) if lines is not None else position + 2


def decoded(path: Path) -> tuple[str, str]:
    """Return a file's text, and the name of the encoding that it is in.

    Text that is not UTF-8 and has no byte order mark is taken for UTF-16 where every other byte
    is zero, else for Windows-1252, of which Latin-1 is the greater part.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    if encoding is None:
        start = np.frombuffer(content[: _SAMPLE - 1], np.uint8)
        if len(start) > 3 and (start[1::2] == 0).mean() > 0.6:
            encoding = "utf-16-le"
        elif len(start) > 3 and (start[::2] == 0).mean() > 0.6:
            encoding = "utf-16-be"
    try:
        return content.decode(encoding or "utf-8"), encoding or "utf-8"
    except UnicodeDecodeError as error:
        if encoding:
            raise InputError(f"{path}: is not whole: {error}; save it as UTF-8") from None
    # Five bytes mean nothing in Windows-1252, and control characters in Latin-1.
    return content.decode("cp1252", errors="replace"), "windows-1252"


def header(path: Path) -> list[str]:
    """Read the column names of a table of text, without blanks around them."""
    text, _ = _opened(path)
    try:
        return column_names(path, next(_reader(text[:_SAMPLE], _separator(text)), []))
    except csv.Error as error:
        raise InputError(f"{path}: row 1: not readable as a table ({error})") from None


def require_columns(path: Path, wanted: Iterable[str], kind: str) -> None:
    """Raise an InputError where a table of text lacks one of the wanted columns."""
    require(path, header(path), wanted, kind)


def require(path: Path, columns: Sequence[str], wanted: Iterable[str], kind: str) -> None:
    """Raise an InputError where a file with these columns lacks one of the wanted ones."""
    for column in wanted:
        if column not in columns:
            raise InputError(f"{path}: lacks a column: {unknown(column, columns, kind)}")


def read_csv(path: Path, rejected: Rejections | None = None) -> pd.DataFrame:
    """Read a table of text, every cell a string, empty where it is blank.

    Lines without any content are skipped, and rows keep the number of their line (`line`).

    Parameters
    ----------
    path : the file.
    rejected : takes rows of another length than the header; without it they are errors.

    Raises
    ------
    InputError
        The file is empty, a column is there twice, a cell holds NUL or never ends, or a row has
        another number of cells than the header: names file and row.
    """
    text, encoding = _opened(path)
    separator = _separator(text)
    reader = _reader(text, separator)
    rows: list[list[str]] = []
    lines: list[int] = []
    number, read, empty = 1, 0, 0
    try:
        columns = column_names(path, next(reader, []))
        read = reader.line_num
        for row in reader:
            # A cell may go over several lines: a row is where it begins.
            number, read = read + 1, reader.line_num
            if not any(row):
                empty += bool(row)
                continue
            if len(row) != len(columns):
                said = f"has {len(row)} fields, the header {len(columns)}"
                if rejected is None:
                    raise InputError(f"{path}: row {number}: {said}")
                rejected.add("row", path, said, row=number)
                continue
            rows.append(row)
            lines.append(number)
    except csv.Error as error:
        raise InputError(f"{path}: row {read + 1}: not readable as a table ({error})") from None
    _tell(path, encoding, separator, empty)
    cells = zip(*rows, strict=True) if rows else [[]] * len(columns)
    # By position: columns without a name may be several.
    table = pd.DataFrame({i: pd.Series(list(c), dtype=str) for i, c in enumerate(cells)})
    table.columns = columns
    table.attrs["lines"] = Lines(np.array(lines, np.int64))
    table.attrs["separator"] = separator
    return table


def _opened(path: Path) -> tuple[str, str]:
    """Return text and encoding of a table that is there, and holds no NUL."""
    text, encoding = decoded(path)
    if not text.strip():
        raise InputError(f"{path}: is empty; a table needs a header and a row for each image")
    if (at := text.find("\0")) >= 0:
        number = text.count("\n", 0, at) + 1
        raise InputError(
            f"{path}: row {number}: holds a NUL character; it is damaged, or no text: save the "
            "table as CSV in UTF-8 again"
        )
    return text, encoding


def _reader(text: str, separator: str) -> Any:
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)


def column_names(path: Path, columns: list[str]) -> list[str]:
    """Return the names of columns; a name that is there twice is an InputError."""
    names = [name.strip() for name in columns]
    for position, name in enumerate(names):
        if name and name in names[:position]:
            raise InputError(
                f"{path}: row 1: columns {names.index(name) + 1} and {position + 1} are both "
                f"called {name!r}; rename or remove one"
            )
    return names


def _separator(text: str) -> str:
    """Return the character that separates the cells: most columns, of equal number in each row."""
    sample = text[:_SAMPLE]
    best, most = ",", (0.0, 0)
    for separator in SEPARATORS:
        rows = csv.reader(io.StringIO(sample, newline=""), delimiter=separator)
        try:
            lengths = [len(row) for _, row in zip(range(50), rows, strict=False) if row]
        except csv.Error:
            continue
        if len(sample) == _SAMPLE and len(lengths) < 50:
            lengths = lengths[:-1] or lengths
        if not lengths or lengths[0] < 2:
            continue
        found = float(round(lengths.count(lengths[0]) / len(lengths), 1)), lengths[0]
        if found > most:
            best, most = separator, found
    return best


def _tell(path: Path, encoding: str, separator: str, empty: int) -> None:
    """Log what is not usual in a file."""
    told = []
    if encoding not in ("utf-8", "utf-8-sig"):
        told.append(f"is in {encoding}")
    if separator != ",":
        told.append(f"has cells separated by {SEPARATORS[separator]}")
    if empty:
        told.append(f"has {empty} rows of blank cells alone, which are skipped")
    if told:
        logger.info("%s: %s", path, ", ".join(told))


def numbers(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """Return a column as finite numbers, missing where blank; another cell is an InputError.

    Where semicolons separate the cells, a comma is a decimal point.
    """
    values, wrong = as_numbers(table, column)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise InputError(
            f"{path}: row {line(table, row)}, column {column!r}: {table[column].iloc[row]!r} is "
            "not a number"
        )
    return values


def as_numbers(table: pd.DataFrame, column: str) -> tuple[pd.Series, pd.Series]:
    """Return a column as finite numbers, and True for each cell that is neither that nor blank."""
    text = table[column].str.strip()
    if table.attrs.get("separator") == ";":
        text = text.str.replace(r"^([+-]?\d*),(\d+)$", r"\1.\2", regex=True)
    blank = text.str.lower().isin(BLANKS)
    values = pd.to_numeric(text.where(~blank), errors="coerce").astype("float64")
    values = values.where(np.isfinite(values))
    return values, values.isna() & ~blank
