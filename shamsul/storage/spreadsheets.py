"""Tables as CSV for people who open them in a spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def to_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV; an apostrophe is put before what would be a spreadsheet's formula."""
    safe = table.copy()
    for column in safe.select_dtypes(["object", "string"]):
        text = safe[column].astype("str")
        safe[column] = text.where(~text.str.match(r"[=+\-@\t\r]"), "'" + text)
    return str(safe.to_csv(index=False, lineterminator="\n"))
