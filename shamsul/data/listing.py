"""Lists of images from tables and file names of any kind: paths, ids, patients and repeats."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shamsul.data.csv_files import line
from shamsul.data.matching import Names
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

LONGEST_PATH = 1024
"""Longest path in characters; a longer one is no path."""


def files_below(folder: Path) -> list[str]:
    """Return the paths of all files in a folder and those in it, sorted; hidden ones are left out.

    Links to folders are followed where they do not lead out of the folder or back into it.
    """

    def walk(place: Path, below: str) -> Iterator[str]:
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from walk(Path(entry.path), f"{below}{entry.name}/")
                elif entry.is_file():
                    yield f"{below}{entry.name}"

    return list(walk(folder, ""))


def image_ids(paths: Sequence[str]) -> list[str]:
    """Return a name of an image for each path: letters, digits, `_`, `.` and `-`, and unique.

    It is the path without its ending, with `_` for each other character. Where two paths have the
    same one, each gets a part of its checksum.
    """
    from shamsul.data.matching import stem

    plain = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        whole = f"{folder}/{stem(name)}" if folder else stem(name)
        plain.append(re.sub(r"[^\w.-]+", "_", whole).strip("_.-") or "image")
    seen: dict[str, int] = {}
    for name in plain:
        seen[name.lower()] = seen.get(name.lower(), 0) + 1
    return [
        name if seen[name.lower()] == 1 else f"{name}-{_checksum(path)}"
        for name, path in zip(plain, paths, strict=True)
    ]


def _checksum(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:8]


def on_disk(
    table: pd.DataFrame, column: str, file: Path, folder: Path, names: Names, rejected: Rejections
) -> list[str | None]:
    """Return the path of each row's image in the folder of images, None where it is rejected.

    Raises
    ------
    InputError
        No row at all has an image there.
    """
    cells = table[column].str.strip().tolist()
    paths: list[str | None] = []
    faults: list[tuple[int, str]] = []
    for row, cell in enumerate(cells):
        usable = 0 < len(cell) <= LONGEST_PATH and ".." not in cell.replace("\\", "/").split("/")
        found = names.find(cell) if usable else []
        paths.append(found[0] if len(found) == 1 else None)
        if len(found) != 1:
            faults.append((row, _missing(cell, found, folder)))
    if cells and len(faults) == len(cells):
        row, said = faults[0]
        raise InputError(
            f"{file}: row {line(table, row)}, column {column!r}: {said}{names.near(cells[row])}; "
            f"so in all {len(cells)} rows: are column and folder the right ones?"
        )
    for row, said in faults:
        near = names.near(cells[row]) if len(faults) <= 20 else ""
        rejected.add("row", file, f"{said}{near}", row=line(table, row), field=column)
    return paths


def _missing(cell: str, found: Sequence[str], folder: Path) -> str:
    """Return why a cell is the path of no image."""
    if not cell:
        return "is blank, where the image's path should be"
    if len(cell) > LONGEST_PATH:
        return f"holds {len(cell):,} characters, which is no path"
    if found:
        return f"{cell!r} may be {found[0]!r} or {found[1]!r}; write the folder too"
    if ".." in cell.replace("\\", "/").split("/"):
        return f"{cell!r} leads out of the folder of images"
    return f"no image {cell!r} in {folder}"


def without_repeats(images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
    """Return images without those that are listed again.

    Equal rows are one, which is said. Rows that say different things of one image are all rejected,
    since nobody knows which is right.

    Parameters
    ----------
    images : columns of `shamsul.data.adapter.COLUMNS` and classes, `file` and `row`.
    rejected : takes the rows that contradict one another.
    """
    again = images["path"].duplicated(keep=False)
    if not again.any():
        return images
    told = [name for name in images.columns if name not in ("file", "row")]
    repeats = images[again]
    same = repeats.duplicated(told, keep="first")
    left = repeats[~same]
    contrary = left[left["path"].duplicated(keep=False)]
    if same.any():
        first = repeats[same].iloc[0]
        logger.warning(
            "data source %s: %d rows repeat another one and are left out, first %s: row %d",
            rejected.source, int(same.sum()), first["file"], first["row"],
        )  # fmt: skip
    for row in contrary.itertuples():
        rejected.add(
            "row",
            row.file,
            f"{row.path!r} is in several rows that say different things of it; keep the right one, "
            "or name the column of readers (`columns.reader`), whose labels are averaged then",
            row=row.row,
            image_id=row.image_id,
        )
    return images.drop(repeats.index[same]).drop(contrary.index)
