"""Parquet tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shamsul import lazy
from shamsul.storage.files import replacing, unreadable

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

SHAPE = "shape"
"""Attribute of a table in its file: number of rows, and columns."""
DAMAGE = (OSError, LookupError, ValueError, TypeError, RuntimeError, MemoryError)
"""Errors that pandas and pyarrow raise on a damaged file."""


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a Parquet table; the same rows give the same bytes."""
    plain = table.reset_index(drop=True)
    plain.attrs = {SHAPE: _shape(plain)}
    with replacing(path) as temporary:
        plain.to_parquet(temporary, index=False, write_page_checksum=True)


def write_rows(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], path: str | Path
) -> None:
    """Write a Parquet table from rows, for jobs that need no pandas: it takes long to import.

    Parameters
    ----------
    rows : value of each column, by its name.
    columns : type of each column in their order: `str`, `bool`, `int64`, `float64` or `object`, a
        list of int32.
    path : file to write.
    """
    import pyarrow as pa
    from pyarrow import parquet

    def column(name: str, kind: str) -> Any:
        values = [row[name] for row in rows]
        if kind == "object":
            return pa.array(values, pa.list_(pa.int32()))
        return pa.array(values, pa.string()) if kind == "str" else pa.array(np.array(values, kind))

    made = [column(name, kind) for name, kind in columns.items()]
    # Where pandas keeps the attributes of a table.
    attributes = {b"PANDAS_ATTRS": json.dumps({SHAPE: _shape_of(len(rows), columns)})}
    table = pa.table(made, names=list(columns)).replace_schema_metadata(attributes)
    with replacing(path) as temporary:
        parquet.write_table(table, temporary, write_page_checksum=True)


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
    except DAMAGE as error:
        raise unreadable(path, "Parquet table", error) from None
    return table


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """Read the rows of a Parquet table, for jobs that need no pandas; raises as `read_table`."""
    from pyarrow import parquet

    try:
        table = parquet.read_table(path, page_checksum_verification=True)
        stated = json.loads((table.schema.metadata or {}).get(b"PANDAS_ATTRS", b"{}")).get(SHAPE)
        if stated not in (None, _shape_of(table.num_rows, table.column_names)):
            raise ValueError("damaged")
        return list(table.to_pylist())
    except DAMAGE as error:
        raise unreadable(path, "Parquet table", error) from None


def _shape(table: pd.DataFrame) -> str:
    return _shape_of(len(table), table.columns)


def _shape_of(rows: int, columns: Iterable[Any]) -> str:
    return f"{rows} rows of {', '.join(map(str, columns))}"
