"""Selections of a table's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from shamsul.evaluate.value_matrix import POOLED

if TYPE_CHECKING:
    from shamsul.report.views import View


def only(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """Return the rows whose columns have these values."""
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def pooled_test(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the test split with all classes pooled."""
    return only(table, **{"split": "test", "class": POOLED})


def pooled_of(table: pd.DataFrame, view: View) -> pd.DataFrame:
    """Return the rows of a view's metric and threshold rule with all classes pooled."""
    return only(table, **{"metric": view.metric, "threshold_rule": view.rule, "class": POOLED})
