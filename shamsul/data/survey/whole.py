"""Survey of a folder: its radiographs, tables, masks and boxes, and what nobody can tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from shamsul.data import table_files
from shamsul.data.listing import files_below
from shamsul.data.matching import IMAGE_ENDINGS, Names
from shamsul.data.survey import annotation_files, columns, mask_images
from shamsul.data.survey.annotation_files import Annotations
from shamsul.data.survey.columns import Table
from shamsul.data.survey.mask_images import MaskImages
from shamsul.errors import InputError

OTHER_IMAGES = frozenset({".bmp", ".gif"})
"""Endings of image files that may be masks, and are no radiographs."""


@dataclass
class Survey:
    """Contents that a folder seems to have.

    Attributes
    ----------
    root : the folder.
    images : paths of the radiographs in it.
    folder : folder that all of them are in.
    table : table of the radiographs, None where there is none.
    boxes, runs : tables of boxes and of run lengths.
    masks : groups of image files of masks.
    annotations : files of annotation programs.
    others : files that are nothing that is known.
    """

    root: Path
    images: list[str]
    folder: str
    table: Table | None = None
    boxes: list[Table] = field(default_factory=list)
    runs: list[Table] = field(default_factory=list)
    masks: list[MaskImages] = field(default_factory=list)
    annotations: list[Annotations] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def survey(root: Path) -> Survey:
    """Look at a folder.

    Raises
    ------
    InputError
        There is no such folder, or no radiograph in it.
    """
    if not root.is_dir():
        raise InputError(f"{root}: is no folder; give the one that radiographs and tables are in")
    files = files_below(root)
    endings = {path: PurePosixPath(path).suffix.lower() for path in files}
    pictures = [path for path in files if endings[path] in IMAGE_ENDINGS | OTHER_IMAGES]
    images, masks = mask_images.split_off(root, pictures)
    images = [path for path in images if endings[path] in IMAGE_ENDINGS]
    if not images:
        raise InputError(
            f"{root}: holds no radiograph; endings of images are {', '.join(sorted(IMAGE_ENDINGS))}"
        )
    folder = mask_images._common([str(PurePosixPath(path).parent) for path in images])
    found = Survey(root, images, folder, masks=masks)
    names = Names([PurePosixPath(path).relative_to(folder).as_posix() for path in images])
    _look_at_tables(found, [p for p in files if endings[p] in table_files.SUFFIXES], names)
    found.annotations, unknown = annotation_files.look_at(
        root, [p for p in files if endings[p] in (".json", ".xml")], names
    )
    found.others += unknown
    return found


def _look_at_tables(found: Survey, files: list[str], names: Names) -> None:
    """Add the tables: of the radiographs the one with most rows that say something of them."""
    candidates: list[Table] = []
    for file in files:
        try:
            table = columns.look_at(found.root, file, names)
        except InputError:
            found.others.append(file)
            continue
        if table.path is None:
            found.others.append(file)
        elif table.box:
            found.boxes.append(table)
        elif table.runs:
            found.runs.append(table)
        else:
            candidates.append(table)
    candidates.sort(key=lambda t: (bool(t.labels or t.lists), len(t.columns), t.rows))
    if candidates:
        found.table = candidates.pop()
    elif found.boxes:
        # A table may list radiographs and boxes at once, as RSNA's does.
        table = found.boxes[0]
        if table.labels and not table.repeated:
            found.table = table
    found.others += [table.file for table in candidates]
