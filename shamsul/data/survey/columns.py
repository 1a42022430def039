"""Columns of a table by their names and cells: paths, patients, labels, boxes, run lengths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shamsul import lazy
from shamsul.data import label_values, table_files, values
from shamsul.data.csv_files import BLANKS, as_numbers
from shamsul.data.matching import Names

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

MATCHED = 0.5
"""Share of a column's distinct cells that are names of images, from which it is the path."""
HEADERS: dict[str, str] = {
    "patient": r"patient|pat|subject|person|mrn|pid|patient ?(id|no|nr|number|name)|subject ?id",
    "study": r"study|exam|accession|study ?(id|uid|instance ?uid)|exam ?id|accession ?(no|number)",
    "sex": r"(patient ?)?(sex|gender)|geschlecht|sexe",
    "age": r"(patient ?)?(age|alter)( ?(in )?years)?|years",
    "projection": r"ap/?pa|projection|view ?position|position|proj",
    "view": r"view|frontal/?lateral|orientation",
    "split": r"split|subset|fold|partition|dataset|set",
    "reader": r"(reader|rater|annotator|radiologist|rad|expert|observer)( ?(id|name))?",
    "finding": r"(class|cls|label|finding|category|pathology|diagnos[ie]s)( ?(name|label|type))?s?"
    r"|finding labels",
}
"""Names of columns in lower case, with spaces for other signs, by what they usually hold."""
BOXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("xyxy", ("x1|x ?min|left|xtl|x ?start", "y1|y ?min|top|ytl|y ?start",
              "x2|x ?max|right|xbr|x ?end", "y2|y ?max|bottom|ybr|y ?end")),
    ("cxcywh", ("cx|x ?cent(er|re)|cent(er|re) ?x", "cy|y ?cent(er|re)|cent(er|re) ?y",
                "w|width", "h|height")),
    ("xywh", ("x|x1|x ?min|left", "y|y1|y ?min|top", "w|(box ?)?width", "h|(box ?)?height")),
)  # fmt: skip
"""Forms of a box, with the names of its four columns in lower case."""
_RUNS = re.compile(r"\s*\d+(?:[\s,]+\d+){3,}\s*")


@dataclass
class Table:
    """A table and what its columns seem to be.

    Attributes
    ----------
    file : path in the folder.
    path : column of the images' names; None where there is none.
    columns : other columns by what they hold, a key of `HEADERS`.
    labels : columns of labels, each of one finding.
    lists : column of lists of findings, and the text between two.
    findings : number of rows of each finding, of `labels` or `lists`.
    box : form and four columns of boxes.
    runs : column of run lengths.
    probabilities : True where labels are between 0 and 1.
    rows : number of rows.
    repeated : True where several rows are of one image.
    unused : columns that seem to be none of these.
    frame : columns of height and width.
    fractions : True where boxes are shares of the sides.
    """

    file: str
    path: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    lists: tuple[str, str] | None = None
    findings: dict[str, int] = field(default_factory=dict)
    box: tuple[str, tuple[str, ...]] | None = None
    runs: str | None = None
    probabilities: bool = False
    rows: int = 0
    repeated: bool = False
    unused: list[str] = field(default_factory=list)
    frame: tuple[str, str] | None = None
    fractions: bool = False


def look_at(root: Path, file: str, names: Names) -> Table:
    """Return what the columns of a table seem to be.

    Parameters
    ----------
    root : folder that the file is in.
    file : path of the table in the folder.
    names : paths of the images, by what tables call them.
    """
    table = table_files.read(root / file, _NoFault())  # type: ignore[arg-type]
    columns = [name for name in table.columns if name]
    table = table[columns]
    found = Table(file, rows=len(table))
    found.path = _path_column(table, names)
    if found.path is None:
        found.unused = columns
        return found
    found.repeated = bool(table[found.path].duplicated().any())
    rest = [name for name in columns if name != found.path]
    found.columns = _by_header(table, rest)
    found.box = _box(table, rest)
    if found.box:
        found.fractions = _are_fractions(table, found.box[1])
        taken = set(found.box[1])
        found.frame = _frame([name for name in rest if name not in taken])
    found.runs = next((name for name in rest if _are_runs(table[name])), None)
    used = {*found.columns.values(), *(found.box[1] if found.box else ()), found.runs}
    free = [name for name in rest if name not in used]
    finding = found.columns.pop("finding", None)
    if found.box or found.runs:
        few = [name for name in free if 0 < table[name].nunique() <= 40]
        # The one column of few words beside boxes names what they mark.
        finding = finding or (few[0] if len(few) == 1 and found.path else None)
        if finding:
            found.columns["finding"] = finding
            found.findings = _counts(table[finding])
        found.unused = [name for name in free if name not in (found.frame or ())]
        return found
    if finding:
        free.append(finding)
    _find_labels(table, free, finding, found)
    known = {*found.labels, *found.columns.values(), *(found.lists or ())[:1], found.path}
    found.unused = [name for name in columns if name not in known]
    return found


class _NoFault:
    """Stand-in for `Rejections` while a table is only looked at."""

    def add(self, *_: Any, **__: Any) -> None:
        """Leave a row out."""


def plain(name: str) -> str:
    """Return a column's name in lower case, with a space for each sign between words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.sub(r"[\s_.\-\[\]()]+", " ", spaced).strip().lower()


def _path_column(table: pd.DataFrame, names: Names) -> str | None:
    """Return the column whose cells are most often names of images."""
    shares = {}
    for name in table.columns:
        cells = [cell for cell in table[name].unique()[:500] if cell.strip()]
        if cells:
            shares[name] = sum(len(names.find(cell)) == 1 for cell in cells) / len(cells)
    best = max(shares, key=lambda name: shares[name], default=None)
    return best if best is not None and shares[best] >= MATCHED else None


def _by_header(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, str]:
    """Return columns by what their names say, where their cells do not gainsay it."""
    found: dict[str, str] = {}
    for key, pattern in HEADERS.items():
        for name in columns:
            if name in found.values() or not re.fullmatch(pattern, plain(name)):
                continue
            if _fits(table[name], key):
                found[key] = name
                break
    return found


def _fits(cells: pd.Series, key: str) -> bool:
    """Return whether most cells of a column are what its name says."""
    words: dict[str, Mapping[str, str]] = {
        "sex": values.SEXES,
        "view": values.VIEWS,
        "split": values.SPLIT_NAMES,
    }
    lower = cells.str.strip().str.lower()
    known = lower[~lower.isin(values.UNKNOWN)]
    if known.empty:
        return key not in ("reader", "finding", "patient")
    if key in words:
        fitting = known.isin(words[key])
    elif key == "projection":
        fitting = known.map(lambda word: values._projection(word) is not None)
        fitting |= known.isin(values.VIEWS)
    elif key == "age":
        fitting = known.str.fullmatch(r"\d+(\.\d*)?\s*[a-z]*")
    else:
        return True
    return bool(fitting.mean() >= 0.8)


def _box(table: pd.DataFrame, columns: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    """Return form and columns of boxes, None where the table has none."""
    for form, patterns in BOXES:
        found = [
            next((name for name in columns if re.fullmatch(pattern, plain(name))), None)
            for pattern in patterns
        ]
        names = tuple(name for name in found if name is not None)
        if len(set(names)) == 4 and not any(as_numbers(table, n)[1].any() for n in names):
            return form, names
    for name in columns:
        cells = table[name].str.strip()
        cells = cells[~cells.str.lower().isin(BLANKS)]
        if (
            len(cells)
            and cells.str.fullmatch(r"[\[(]?\s*[-\d.]+(?:[\s,;]+[-\d.]+){3}\s*[\])]?").all()
        ):
            return "xywh", (name,)
    return None


def _are_fractions(table: pd.DataFrame, columns: Sequence[str]) -> bool:
    if len(columns) != 4:
        return False
    return all((as_numbers(table, name)[0].max() or 0) <= 1 for name in columns)


def _frame(columns: Sequence[str]) -> tuple[str, str] | None:
    """Return the columns of an image's height and width."""
    sides = [
        next(
            (n for n in columns if re.fullmatch(rf"(image |img |original )?{side}", plain(n))), None
        )
        for side in ("height", "width")
    ]
    return (sides[0], sides[1]) if sides[0] and sides[1] else None


def _are_runs(cells: pd.Series) -> bool:
    lower = cells.str.strip().str.lower()
    known = cells[~lower.isin(BLANKS | {"-1"})]
    return bool(len(known) and known.str.fullmatch(_RUNS).mean() > 0.9)


def _find_labels(
    table: pd.DataFrame, columns: Sequence[str], finding: str | None, found: Table
) -> None:
    """Add the columns of labels, or of lists of findings."""
    for name in columns:
        lower = table[name].str.strip().str.lower()
        known = lower[~lower.isin(BLANKS)]
        numbers, _ = as_numbers(table, name)
        is_word = known.isin(label_values.WORDS)
        is_number = numbers[known.index].between(0, 1) | (numbers[known.index] == -1)
        if known.empty or not (is_word | is_number).all():
            continue
        positive = (numbers >= 0.5) | lower.map(label_values.WORDS).eq(1)
        if not positive.any():
            continue
        found.labels.append(name)
        found.findings[name] = int(positive.sum())
        found.probabilities |= bool(((numbers > 0) & (numbers < 1)).any())
    if found.labels and not finding:
        return
    for name in [finding] if finding else columns:
        if name in found.labels or not finding:
            continue
        text = "".join(table[name].head(2000))
        separator = max(("|", ";", ",", "/"), key=lambda sign: text.count(sign))
        separator = separator if separator in text else "|"
        counts: dict[str, int] = {}
        for cell, number in table[name].value_counts().items():
            for part in {part.strip() for part in str(cell).split(separator)} - {""}:
                counts[part] = counts.get(part, 0) + int(number)
        if 1 < len(counts) <= max(40, len(table) // 20):
            found.labels, found.lists, found.findings = [], (name, separator), counts


def _counts(cells: pd.Series) -> dict[str, int]:
    return {str(n): int(c) for n, c in cells[cells.str.strip() != ""].value_counts().items()}
