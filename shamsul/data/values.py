"""Values of patients and views, by the words that tables write them in.

A word that can mean one thing alone is read, and said in the log where it is not the usual one.
Any other counts as missing, which is said once for each column: the number of cells, the first row
and its value.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from shamsul import lazy
from shamsul.data.csv_files import BLANKS, as_numbers, line
from shamsul.settings import Split

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

OLDEST = 120
"""Age in years above which a number is a typing error, as in NIH's 411."""
UNKNOWN = BLANKS | {"unknown", "u", "x", "?", "-", "--", "not specified", "unspecified"}
"""Words, in lower case, that say that a value is not known."""
SEXES = {
    **dict.fromkeys(("f", "female", "w", "woman", "weiblich", "femme", "feminin"), "F"),
    **dict.fromkeys(("m", "male", "man", "männlich", "maennlich", "homme", "masculin"), "M"),
}
"""Sexes `F` and `M`, by word in lower case."""
VIEWS = {
    **dict.fromkeys(("frontal", "ap", "pa", "p.a.", "a.p.", "pa/ap", "ap/pa"), "frontal"),
    **dict.fromkeys(("lateral", "lat", "ll", "rl", "rll", "lll", "l", "profile"), "lateral"),
}
"""Views, by word in lower case."""
SPLIT_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("tune", "val", "valid", "validation", "validate", "dev"), "tune"),
    **dict.fromkeys(("test", "testing", "eval", "holdout"), "test"),
}
"""Splits, by word in lower case."""
_PROJECTION = re.compile(
    r"\b(ap|pa)\b|\b([ap])\.\s?([ap])\.|(antero).?posterior|(postero).?anterior"
)
_AGE = re.compile(r"\s*([+-]?\d+(?:\.\d*)?)\s*(years?|yrs?|y|months?|m|weeks?|w|days?|d)\s*\.?\s*")
_PER_YEAR = {"y": 1.0, "m": 12.0, "w": 365.25 / 7, "d": 365.25}
"""Number of each unit in a year."""


def sexes(table: pd.DataFrame, column: str, file: Path) -> pd.Series:
    """Return `F`, `M` or missing for each row of a column."""
    return _words(table, column, file, SEXES, "F, M, female and male", {"F", "M", "Female", "Male"})


def projections(table: pd.DataFrame, column: str, file: Path) -> pd.Series:
    """Return `AP`, `PA` or missing; `AP SUPINE` is `AP`. A word for a lateral view is missing."""
    words = {word: found for word in _distinct(table[column]) if (found := _projection(word))}
    return _words(table, column, file, words, "AP and PA", {"AP", "PA"}, silent=set(VIEWS))


def views(table: pd.DataFrame, column: str, file: Path) -> pd.Series:
    """Return `frontal`, `lateral` or missing; a projection is a frontal view."""
    words = dict(VIEWS)
    for word in _distinct(table[column]):
        if word not in words and "lateral" in word:
            words[word] = "lateral"
        elif word not in words and _projection(word):
            words[word] = "frontal"
    usual = {"frontal", "lateral", "Frontal", "Lateral", "AP", "PA", "L", "LL", "LATERAL"}
    return _words(table, column, file, words, "frontal, lateral, AP, PA and LL", usual)


def splits(table: pd.DataFrame, column: str, file: Path) -> pd.Series:
    """Return `train`, `tune`, `test` or missing for each row of a column."""
    return _words(table, column, file, SPLIT_NAMES, "train, tune, val and test", set(SPLIT_NAMES))


def ages(table: pd.DataFrame, column: str, file: Path) -> pd.Series:
    """Return ages in years, missing where they are not from 0 to `OLDEST`.

    Units follow DICOM's: `058Y`, `018M` (months), `002W` (weeks), `013D` (days).
    """
    years, wrong = as_numbers(table, column)
    units: dict[str, int] = {}
    for word in table.loc[wrong, column].unique():
        if found := _AGE.fullmatch(word.lower()):
            unit = found[2][0]
            cells = table[column] == word
            years = years.mask(cells, float(found[1]) / _PER_YEAR[unit])
            units[unit] = units.get(unit, 0) + int(cells.sum())
    if units:
        names = {"y": "years", "m": "months", "w": "weeks", "d": "days"}
        told = ", ".join(f"{count} in {names[unit]}" for unit, count in sorted(units.items()))
        logger.info("%s: column %r: ages with units are read as years: %s", file, column, told)
    plausible = years.between(0, OLDEST)
    known = ~table[column].str.strip().str.lower().isin(UNKNOWN)
    tell_missing(table, column, file, known & ~plausible, f"an age from 0 to {OLDEST} years")
    return years.where(plausible)


def tell_missing(
    table: pd.DataFrame, column: str, file: Path, cells: pd.Series, allowed: str
) -> None:
    """Log the cells of a column that count as missing: their number, the first row and value."""
    if cells.any():
        row = int(cells.to_numpy().argmax())
        logger.warning(
            "%s: column %r: values that count as missing: %d, the first in row %d: %r; read is %s",
            file, column, int(cells.sum()), line(table, row), table[column].iloc[row], allowed,
        )  # fmt: skip


def _words(
    table: pd.DataFrame,
    column: str,
    file: Path,
    words: Mapping[str, str],
    allowed: str,
    usual: set[str],
    silent: set[str] = frozenset(),  # type: ignore[assignment]
) -> pd.Series:
    """Return the meaning of each cell by `words`; log what is unusual, and what is not read.

    Parameters
    ----------
    usual : words that need not be said.
    silent : words, in lower case, that count as missing without being said.
    """
    text = table[column].str.strip()
    lower = text.str.lower()
    found = lower.map(words)
    unusual = text[found.notna() & ~text.isin(usual)].value_counts()
    if len(unusual):
        told = ", ".join(f"{w!r} as {words[w.lower()]} ({n})" for w, n in unusual.head(8).items())
        logger.info("%s: column %r: read are %s", file, column, told)
    cells = found.isna() & ~lower.isin(UNKNOWN) & ~lower.isin(silent)
    tell_missing(table, column, file, cells, allowed)
    return found.astype(object).where(found.notna(), None)


def _distinct(column: pd.Series) -> list[str]:
    return sorted(column.str.strip().str.lower().unique())


def _projection(word: str) -> str | None:
    """Return `AP` or `PA` where a word in lower case says one of them alone."""
    found = {
        match[1] or (match[2] or "") + (match[3] or "") or ("ap" if match[4] else "pa")
        for match in _PROJECTION.finditer(word)
    }
    return found.pop().upper() if len(found) == 1 and found <= {"ap", "pa"} else None
