"""Cells of CSV files that a spreadsheet would take for formulas.

A spreadsheet that opens a CSV file computes the cells that begin with certain characters, which can
start programs (OWASP, CSV Injection). Names of files and images come from others.
"""

from __future__ import annotations

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
