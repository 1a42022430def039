"""Parquet tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shamsul import lazy
from shamsul.storage.files import replacing, unreadable

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

SHAPE = "shape"
"""Attribute of a table in its file: number of rows, and columns."""


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a Parquet table; the same rows give the same bytes."""
    plain = table.reset_index(drop=True)
    plain.attrs = {SHAPE: _shape(plain)}
    with replacing(path) as temporary:
        plain.to_parquet(temporary, index=False, write_page_checksum=True)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a Parquet table.

    Raises
    ------
    InputError
        The file is missing, damaged or not Parquet.
    """
    try:
        table = pd.read_parquet(path, page_checksum_verification=True)
        # Parquet has sums of the values and none of what they are called.
        if table.attrs.pop(SHAPE, None) not in (None, _shape(table)):
            raise ValueError("damaged")
    except (OSError, LookupError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise unreadable(path, "Parquet table", error) from None
    return table


def _shape(table: pd.DataFrame) -> str:
    return f"{len(table)} rows of {', '.join(map(str, table.columns))}"
