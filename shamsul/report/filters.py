"""Selections of a table's rows."""

from __future__ import annotations

import pandas as pd

from shamsul.evaluate.value_matrix import POOLED


def only(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """Return the rows whose columns have these values."""
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def pooled_test(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the test split with all classes pooled."""
    return only(table, **{"split": "test", "class": POOLED})
