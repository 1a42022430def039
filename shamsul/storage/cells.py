"""Cells of CSV files that a spreadsheet would take for formulas.

A spreadsheet that opens a CSV file computes the cells that begin with certain characters, which can
start programs (OWASP, CSV Injection). Names of files and images come from others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Characters that begin a formula in Excel, LibreOffice or Google Sheets, or hide one."""
QUOTE = "'"
"""Character before a cell, by which a spreadsheet knows it for text."""


def escape(cell: str) -> str:
    """Return the cell as a spreadsheet shows it and does not compute it.

    A cell that begins with a quote gets another one, so that `restore` knows which is which.

    Examples
    --------
    >>> escape("=1+1"), escape("a=b"), escape("'x")
    ("'=1+1", 'a=b', "''x")
    """
    return QUOTE + cell if cell.startswith((*FORMULA, QUOTE)) else cell


def restore(cell: str) -> str:
    """Return what `escape` was given.

    Examples
    --------
    >>> restore("'=1+1"), restore("a=b")
    ('=1+1', 'a=b')
    """
    return cell.removeprefix(QUOTE)


def to_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV for people who open it in a spreadsheet; texts are escaped."""
    safe = table.copy()
    for column in safe.select_dtypes(["object", "string"]):
        safe[column] = safe[column].astype("str").map(escape, na_action="ignore")
    return str(safe.to_csv(index=False, lineterminator="\n"))
