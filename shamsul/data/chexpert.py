"""CheXpert's radiographs and labels, CheXlocalize's masks.

Irvin et al., AAAI 2019; Saporta et al., Nature Machine Intelligence 2022. The published archives
disagree about names: paths in the CSV files begin with `CheXpert-v1.0/` or `CheXpert-v1.0-small/`
where the folder on disk often does not, the validation set's folder is `valid` or `val`, and
CheXlocalize writes "Airspace Opacity" for CheXpert's "Lung Opacity".
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from shamsul import lazy
from shamsul.data.adapter import (
    COLUMNS,
    numbers,
    read_csv,
    require_columns,
    require_files,
)
from shamsul.data.masks import MASK_COLUMNS, area, encode, from_polygons
from shamsul.data.settings import ChexpertSource
from shamsul.errors import InputError
from shamsul.labels import CHEXLOCALIZE_NAMES

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

PLACE = re.compile(r"(patient\w+)/(study\w+)/(view\d+_(frontal|lateral))\.\w+$")
MASK_ROW = ["class", "height", "width", "counts", "instances"]
"""What a file of masks says of each of an image's masks."""
LARGEST_SIDE = 16384
"""Pixels; a mask of more is a damaged or hostile file, not a radiograph's."""
SEXES = {"Female": "F", "Male": "M", "F": "F", "M": "M"}


def check(source: ChexpertSource, root: Path, classes: tuple[str, ...]) -> None:
    """Raise an InputError where a file or a label column is missing."""
    require_files(source.name, root, [*source.files(), source.images])
    require_columns(root / source.labels, ["Path", *classes], "label column")


def read(source: ChexpertSource, root: Path, classes: tuple[str, ...]) -> pd.DataFrame:
    """The images that the CSV file lists, as a table (see `shamsul.data.adapter`)."""
    file = root / source.labels
    table = read_csv(file)
    places = [PLACE.search(path) for path in table["Path"]]
    if None in places:
        row = places.index(None)
        raise InputError(
            f"{file}: row {row + 2}, column 'Path': {table['Path'][row]!r} is not of the form "
            ".../patientN/studyN/viewN_frontal.jpg"
        )
    found = [place for place in places if place]
    images = pd.DataFrame(index=table.index)
    images["image_id"] = ["_".join(place.groups()[:3]) for place in found]
    images["patient_id"] = [place[1] for place in found]
    images["study_id"] = [f"{place[1]}_{place[2]}" for place in found]
    images["view"] = [place[4] for place in found]
    images["projection"] = _column(table, "AP/PA").where(lambda text: text.isin(["AP", "PA"]))
    folder = root / source.images
    images["path"] = [
        str(PurePosixPath(source.images) / _on_disk(folder, path, file, row))
        for row, path in enumerate(table["Path"])
    ]
    images["sex"] = _column(table, "Sex").map(SEXES)
    images["age"] = numbers(table, "Age", file) if "Age" in table else float("nan")
    for name in classes:
        images[name] = numbers(table, name, file)
        wrong = ~images[name].isin([1, 0, -1]) & images[name].notna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise InputError(
                f"{file}: row {row + 2}, column {name!r}: {table[name][row]!r}; "
                "allowed are 1, 0, -1 (uncertain) and blank (not mentioned)"
            )
    return images[[*COLUMNS, *classes]]


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name].str.strip() if name in table else pd.Series("", index=table.index)


def _on_disk(folder: Path, path: str, file: Path, row: int) -> str:
    """Where a CSV path lies under `folder`, whichever of its leading folders are missing there."""
    parts = PurePosixPath(path).parts
    if ".." in parts or PurePosixPath(path).is_absolute():
        raise InputError(f"{file}: row {row + 2}: {path!r} leads out of the folder of images")
    for start in range(len(parts) - 2):
        rest = parts[start:]
        for first in (rest[0], {"valid": "val", "val": "valid"}.get(rest[0])):
            if first and (folder / first).joinpath(*rest[1:]).is_file():
                return str(PurePosixPath(first, *rest[1:]))
    raise InputError(
        f"{file}: row {row + 2}: no file for {path!r} under {folder}; "
        "is the folder of images the right one?"
    )


def masks(source: ChexpertSource, root: Path, images: pd.DataFrame) -> pd.DataFrame:
    """Masks of the listed images: run lengths first, polygons where there are none.

    `instances` is the number of polygons wherever there are any, since two that overlap are one
    in the run lengths.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    wanted = set(images["image_id"])
    for file, reader in (
        (source.annotations, read_polygons),
        (source.segmentations, read_run_lengths),
        (source.markers, read_run_lengths),
    ):
        if file:
            content = read_json(root / file)
            if content and not wanted & set(content):
                raise InputError(
                    f"{root / file}: none of its {len(content)} images, such as "
                    f"{next(iter(content))!r}, is among the {len(wanted)} of source {source.name}"
                )
            for image_id in sorted(wanted & set(content)):
                for row in reader(content[image_id], f"{root / file}: {image_id}"):
                    key = image_id, row["class"]
                    drawn = row["instances"] or rows.get(key, {}).get("instances", 0)
                    rows[key] = {"image_id": image_id, **row, "instances": drawn}
    kept = [row for _, row in sorted(rows.items()) if area(row)]
    table = pd.DataFrame(kept, columns=["image_id", *MASK_ROW])
    table["instances"] = table["instances"].astype("int64")
    return table.assign(annotator="chexlocalize", kind="segmentation")[MASK_COLUMNS]


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; anything else in it is an InputError."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected one object with an entry per image")
    return content


def _size(sides: Any) -> tuple[int, int]:
    """Height and width of a mask, refused where drawing it would fill the memory."""
    height, width = (int(side) for side in sides)
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        raise ValueError(f"{height} x {width} pixels are no radiograph's size")
    return height, width


def _row(name: str, height: int, width: int, counts: str, instances: int) -> dict[str, Any]:
    """One mask, under CheXpert's name for its class."""
    values = (CHEXLOCALIZE_NAMES.get(name, name), height, width, counts, instances)
    return dict(zip(MASK_ROW, values, strict=True))


def read_run_lengths(entry: Any, place: str) -> list[dict[str, Any]]:
    """Mask rows of one image in CheXlocalize's form.

    Parameters
    ----------
    entry : {class: {"size": [height, width], "counts": compressed COCO run lengths}}.
    place : file and image, for the message.

    Returns
    -------
    One row of `MASK_ROW` for each class; its run lengths are not decoded, so not checked. The
    number of instances is 0, which is unknown.

    Raises
    ------
    InputError
        The entry has another form.
    """
    rows = []
    try:
        for name, mask in entry.items():
            height, width = _size(mask["size"])
            rows.append(_row(name, height, width, str(mask["counts"]), 0))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{place}: not a COCO run-length mask ({error!r})") from None
    return rows


def read_polygons(entry: Any, place: str) -> list[dict[str, Any]]:
    """Mask rows of one image in the form of CheXlocalize's annotations.

    Parameters
    ----------
    entry : {"img_size": [height, width], class: polygons of (x, y) vertices in pixels}.
    place : file and image, for the message.

    Returns
    -------
    One row of `MASK_ROW` for each class, the polygons drawn and counted.

    Raises
    ------
    InputError
        The entry has another form.
    """
    rows = []
    try:
        height, width = _size(entry["img_size"])
        for name, polygons in entry.items():
            if name != "img_size":
                counts = encode(from_polygons(polygons, height, width))
                rows.append(_row(name, height, width, counts, len(polygons)))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{place}: not a polygon annotation ({error!r})") from None
    return rows
