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


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a Parquet table; the same rows give the same bytes."""
    with replacing(path) as temporary:
        table.reset_index(drop=True).to_parquet(temporary, index=False)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a Parquet table.

    Raises
    ------
    InputError
        The file is missing, truncated or not Parquet.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise unreadable(path, "Parquet table", error) from None
