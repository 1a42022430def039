"""Reading a CSV file that cannot be trusted: every fault names file, row and column."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.settings import unknown

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")


def header(path: Path) -> list[str]:
    """Read the column names of a CSV file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV file ({error})") from None


def require_columns(path: Path, wanted: Iterable[str], kind: str) -> None:
    """Raise an InputError where a CSV file lacks one of the wanted columns."""
    columns = header(path)
    for column in wanted:
        if column not in columns:
            raise InputError(f"{path}: {unknown(column, columns, kind)}")


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file as text, every cell a string, empty where it is blank."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            columns, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: not a readable CSV file ({error})") from None
    rows = [row for row in rows if row]
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise InputError(
                f"{path}: row {number + 2}: has {len(row)} fields, the header {len(columns)}"
            )
    return pd.DataFrame(rows, columns=columns, dtype=str)


def numbers(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """Return a column as numbers, missing where blank; a cell that is neither is an InputError."""
    text = table[column].str.strip()
    values = pd.to_numeric(text.where(text != ""), errors="coerce")
    wrong = values.isna() & (text != "")
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise InputError(
            f"{path}: row {row + 2}, column {column!r}: {text.iloc[row]!r} is not a number"
        )
    return values.astype("float64")
