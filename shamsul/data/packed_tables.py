"""Tables of published data sets, packed or not: every fault names file, row and column."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")


def read(path: Path, columns: Sequence[str] | None = None, rows: int | None = None) -> pd.DataFrame:
    """Read a CSV file as text, also packed (`.gz`, `.zip`), every cell a string without its blanks.

    Parameters
    ----------
    path : the file.
    columns : columns to read, where not all.
    rows : number of rows to read, where not all.

    Returns
    -------
    One row per row of the file that is not blank; its index is its last line less 2.

    Raises
    ------
    InputError
        The file is unreadable, lacks a column, or has a row of another length than the header.
    """
    found: list[list[str]] = []
    lines: list[int] = []
    try:
        with _open(path) as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            if not header:
                raise InputError(f"{path}: is empty")
            wanted = list(header if columns is None else columns)
            if lacking := [name for name in wanted if name not in header]:
                raise InputError(
                    f"{path}: lacks the column {lacking[0]!r}; it has {', '.join(header)}"
                )
            places = [header.index(name) for name in wanted]
            for row in itertools.islice(reader, rows):
                if len(row) != len(header) and row:
                    raise InputError(
                        f"{path}: row {reader.line_num}: has {len(row)} fields, the header "
                        f"{len(header)}"
                    )
                if row:
                    found.append([row[place].strip() for place in places])
                    lines.append(reader.line_num - 2)
    except (OSError, ValueError, EOFError, csv.Error, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable CSV file ({error})") from None
    return pd.DataFrame(found, columns=wanted, index=lines, dtype=str)


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    """Open a text file, or the text file in a packed one."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise ValueError(f"the archive holds {len(names)} files, not one")
            with archive.open(names[0]) as inner:
                yield io.TextIOWrapper(inner, encoding="utf-8-sig", newline="")
    else:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file


def values(table: pd.DataFrame, column: str, path: Path) -> NDArray[np.float64]:
    """Return a column as numbers, missing where blank; another cell is an InputError."""
    found = pd.to_numeric(table[column].where(table[column] != ""), errors="coerce")
    wrong = found.isna() & (table[column] != "")
    if wrong.any():
        line = int(wrong.index[wrong][0])
        raise InputError(
            f"{path}: row {line + 2}, column {column!r}: {table[column][line]!r} is not a number"
        )
    return found.to_numpy("float64")
