"""Labels of classes, by the words, numbers and lists that tables write them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.data.csv_files import BLANKS, as_numbers, line
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.settings import unknown

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "ja", "oui", "positive", "pos", "present", "+"), 1.0),
    **dict.fromkeys(("false", "f", "no", "n", "nein", "non", "negative", "neg", "absent"), 0.0),
    **dict.fromkeys(("uncertain", "possible", "maybe", "equivocal"), -1.0),
}
"""Labels, by word in lower case."""
NORMAL = frozenset({"no finding", "no findings", "normal", "none", "healthy"})
"""Names, in lower case, of a list of findings that says that there are none."""


def labels(
    table: pd.DataFrame, column: str, file: Path, threshold: float | None, rejected: Rejections
) -> tuple[pd.Series, NDArray[np.bool_]]:
    """Read a column of labels: 1, 0, -1, words for these, or probabilities.

    Parameters
    ----------
    threshold : smallest probability that counts as positive; None where there are none.
    rejected : takes each cell that is no label.

    Returns
    -------
    labels : 1, 0, -1 uncertain, missing where blank.
    wrong : (N,), True where the cell is no label.

    Raises
    ------
    InputError
        A probability is there, and no threshold: names file, row and column.
    """
    values, strange = as_numbers(table, column)
    lower = table[column].str.strip().str.lower()
    words = lower.where(strange).map(WORDS)
    values = values.fillna(words.astype("float64"))
    between = (values > 0) & (values < 1)
    if between.any() and threshold is None:
        row = int(between.to_numpy().argmax())
        raise InputError(
            f"{file}: row {line(table, row)}, column {column!r}: {table[column].iloc[row]!r} is a "
            "probability; say from which one on a class is present, such as `threshold: 0.5`"
        )
    known = values.isin([1, 0, -1]) | between
    wrong = (~known & ~lower.isin(BLANKS)).to_numpy()
    for row in np.flatnonzero(wrong).tolist():
        rejected.add(
            "row", file, f"{table[column].iloc[row]!r} is no label; labels are 1, 0, -1 "
            "(uncertain), blank (not mentioned), yes, no, true, false, or from 0 to 1 beside "
            "`threshold`", row=line(table, row), field=column,
        )  # fmt: skip
    if threshold is not None:
        positive = (values >= threshold).astype("float64")
        values = positive.where(values.between(0, 1), values)
    return values.where(known), wrong


def lists(
    table: pd.DataFrame,
    column: str,
    file: Path,
    separator: str,
    names: Mapping[str, str],
    classes: Sequence[str],
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read a column of lists of findings: a class that a list does not name is absent.

    Parameters
    ----------
    separator : text between two findings of a list.
    names : classes by the name that the lists give them.
    classes : classes to return.

    Returns
    -------
    labels : a column of 1 and 0 for each class; missing where the list is blank.
    others : number of lists that name it, by each name that is no class.

    Raises
    ------
    InputError
        No list names any of the classes, or one by its other name.
    """
    found = {
        text: {part.strip().strip("'\"[]").strip() for part in text.split(separator)} - {""}
        for text in table[column].unique()
    }
    counts = table[column].value_counts()
    others: dict[str, int] = {}
    for text, listed in found.items():
        for name in listed - set(names):
            others[name] = others.get(name, 0) + int(counts[text])
    wanted = {name: {k for k, v in names.items() if v == name} for name in classes}
    present = set().union(*found.values())
    strangers = sorted(name for name in others if name.lower() not in NORMAL)
    for name, own in wanted.items():
        if present and not own & present:
            raise InputError(
                f"{file}: column {column!r} never names class {name!r}: "
                f"{unknown(min(own, default=name), strangers or sorted(present), 'finding')}; map "
                f"it by `labels: {{NAME IN THE FILE: {name}}}`, or leave the class out"
            )
    labels = {
        name: table[column].map({text: float(bool(own & found[text])) for text in found})
        for name, own in wanted.items()
    }
    frame = pd.DataFrame(labels, index=table.index)
    return frame.where(table[column].str.strip() != ""), others
