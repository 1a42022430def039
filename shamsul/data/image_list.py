"""The list of all images, by the tables of the sources alone; no image file is read for it.

The images are divided into parts by a hash of their names. The files of each part are read by a job
of its own. Splits follow later: which patients have masks may decide on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from shamsul.data.adapter import COLUMNS, DiskSource
from shamsul.data.rejected import REJECTED_COLUMNS, Rejections
from shamsul.data.settings import Data
from shamsul.data.sources import expand
from shamsul.errors import InputError
from shamsul.settings import unknown

LISTED_COLUMNS = [*COLUMNS, "source", "entry"]
"""Columns of the list, before one per class; `entry` is the place of the source, from 0."""
PLACE_COLUMNS = ["image_id", "source", "path"]
"""Columns that the place of an image's file depends on."""


@dataclass(frozen=True)
class Listing:
    """All images that the sources' tables list.

    Attributes
    ----------
    images : columns `LISTED_COLUMNS` and the classes, ordered by image_id; also `split` where a
        source's files say it.
    rejected : columns `shamsul.data.rejected.REJECTED_COLUMNS`; rows that are left out.
    sources : a row for each source: source, quarantine, and the counts listed, rejected_rows,
        other_views and excluded.
    """

    images: pd.DataFrame
    rejected: pd.DataFrame
    sources: pd.DataFrame


def list_images(data: Data, classes: tuple[str, ...], roots: Mapping[str, Path]) -> Listing:
    """List the images of all sources.

    Parameters
    ----------
    data : configuration of the data.
    classes : names of the classes that the model predicts; one label column each.
    roots : folder of each source by its name.

    Raises
    ------
    InputError
        A table is missing or unreadable, a label is not a label, an image is listed twice, a
        patient is in sources of two splits, or `data.exclude` names an image that no source has.
    """
    parts, rejections, counts = [], [], []
    excluded: set[str] = set()
    known: set[str] = set()
    for entry, source in enumerate(expand(data.sources)):
        root = roots[source.name]
        rejected = Rejections(source.name, _quarantine(data))
        images = source.read_images(root, classes, rejected)
        rejected.expect(len(images) + len(rejected.found))
        images = _inside(images, source, root, rejected)
        images = _without_doubles(images, source, root, rejected)
        out = _excluded(images, root, data.exclude, excluded)
        known |= set(images["image_id"]) | {found.image_id for found in rejected.found}
        viewed = images["view"].isin(data.views)
        kept = images[viewed & ~out]
        if kept.empty:
            raise InputError(
                f"data source {source.name}: no image left of views {', '.join(data.views)}; "
                f"its {len(images)} images are of {_told(images['view'])}, {out.sum()} are excluded"
            )
        parts.append(kept.assign(source=source.name, entry=entry))
        rejections.append(rejected.table())
        counts.append(
            {
                "source": source.name,
                "quarantine": bool(rejected.quarantine),
                "listed": len(images) + _rows(rejected),
                "rejected_rows": _rows(rejected),
                "other_views": int((~viewed & ~out).sum()),
                "excluded": int(out.sum()),
            }
        )
    _check_exclude(data, known, excluded)
    listed = pd.concat(parts, ignore_index=True).sort_values("image_id", ignore_index=True)
    _check_once(listed)
    # Those that the configuration alone divides, before any image file is read.
    whole = {n: s.split for n, s in enumerate(expand(data.sources)) if isinstance(s.split, str)}
    divided = listed[listed["entry"].isin(whole)]
    divided = divided.assign(split=divided["entry"].map(whole))
    check_splits(divided, "patient", divided["patient_id"])
    said = [column for column in ("split",) if column in listed]
    return Listing(
        listed[[*LISTED_COLUMNS, *said, *classes]],
        pd.concat(rejections, ignore_index=True)[REJECTED_COLUMNS],
        pd.DataFrame(counts),
    )


def hashed(name: str) -> int:
    """Return a hash of a name: 64 bits, the same everywhere."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def shard(image_id: str, shards: int) -> int:
    """Return the shard or part of an image: adding an image moves no other."""
    return hashed(image_id) % shards


def by_part(images: pd.DataFrame, parts: int) -> dict[str, pd.DataFrame]:
    """Return the places of each part's image files by its name, such as `0000`, in their order."""
    return divided(images[PLACE_COLUMNS], parts, "")


def divided(images: pd.DataFrame, shards: int, prefix: str) -> dict[str, pd.DataFrame]:
    """Return the rows of each shard or part by its name, in the rows' order.

    Parameters
    ----------
    images : table with the column image_id.
    shards : number of shards.
    prefix : beginning of their names, which the number follows.
    """
    numbers = np.array([shard(name, shards) for name in images["image_id"]], dtype=np.int64)
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(shards + 1))
    rows = images.iloc[order]
    return {
        f"{prefix}{number:04d}": rows.iloc[ends[number] : ends[number + 1]]
        for number in range(shards)
    }


def check_splits(images: pd.DataFrame, what: str, key: pd.Series) -> None:
    """Raise an InputError where two splits share a value.

    Parameters
    ----------
    images : columns image_id and split.
    what : name of the value, for the message.
    key : value of each image.
    """
    splits = images.groupby(key)["split"].nunique()
    for value in splits.index[splits > 1]:
        shared = images[key == value]
        listed = ", ".join(f"{row.image_id} ({row.split})" for row in shared.head(4).itertuples())
        raise InputError(
            f"the same {what} is in two splits: {listed}; "
            f"{(splits > 1).sum()} such cases; add the images to data.exclude in one of them"
        )


def _quarantine(data: Data) -> bool | None:
    """Return what `Rejections` takes for `data.on_bad_image`."""
    return None if data.on_bad_image is None else data.on_bad_image == "quarantine"


def _rows(rejected: Rejections) -> int:
    return sum(found.kind == "row" for found in rejected.found)


def _inside(
    images: pd.DataFrame, source: DiskSource, root: Path, rejected: Rejections
) -> pd.DataFrame:
    """Return the images whose paths stay below the folder that the configuration names."""
    own = [PurePosixPath(getattr(source, key, "")) for key in ("directory", "images")]
    up = sum(path.parts.count("..") for path in own)
    whole = any(path.is_absolute() for path in own)
    paths = images["path"].astype(str)
    doubtful = paths.str.contains("..", regex=False) | paths.str.startswith("/")
    out = pd.Series(False, images.index)
    for row, path in paths[doubtful].items():
        parts = PurePosixPath(path)
        out[row] = parts.parts.count("..") > up or (parts.is_absolute() and not whole)
    for found in images[out].itertuples():
        file = next(iter(source.files()), f"data source {source.name}")
        told = f"the image's path {found.path!r} leads out of the folder of images; correct it"
        rejected.add("row", root / file, told, image_id=str(found.image_id))
    return images[~out]


def _without_doubles(
    images: pd.DataFrame, source: DiskSource, root: Path, rejected: Rejections
) -> pd.DataFrame:
    """Return the images without those that a source lists again; the first counts."""
    again = images["image_id"].duplicated()
    numbers = images.loc[images["image_id"].isin(images.loc[again, "image_id"]), "image_id"]
    for image_id, number in numbers.value_counts().sort_index().items():
        told = f"image {image_id} is listed {number} times; list it once"
        for _ in range(int(number) - 1):
            file = next(iter(source.files()), f"data source {source.name}")
            rejected.add("row", root / file, told, image_id=str(image_id))
    return images[~again]


def _excluded(
    images: pd.DataFrame, root: Path, exclude: Sequence[str], found: set[str]
) -> pd.Series:
    """Return True for each image that `data.exclude` names: by image_id or path, also in full.

    The names that were met are added to `found`.
    """
    out = pd.Series(False, images.index)
    if exclude:
        full = pd.Series([str(root / path) for path in images["path"]], images.index)
        for names in (images["image_id"], images["path"], full):
            named = names.isin(exclude)
            found |= set(names[named])
            out |= named
    return out


def _told(values: pd.Series) -> str:
    counts = values.value_counts()
    return ", ".join(f"{value} ({count})" for value, count in counts.items()) or "no view"


def _check_exclude(data: Data, known: set[str], found: set[str]) -> None:
    """Raise an InputError where `data.exclude` names an image that no source has."""
    for name in data.exclude:
        if name not in found and name not in known:
            told = unknown(name, sorted(known), "image").split("allowed are")[0]
            raise InputError(
                f"data.exclude: {told}it takes the image_id, or the path, of an image of a source"
            )


def _check_once(images: pd.DataFrame) -> None:
    """Raise an InputError where two sources list the same image."""
    twice = images[images["image_id"].duplicated(keep=False)].sort_values("image_id")
    if len(twice):
        raise InputError(
            f"image {twice['image_id'].iloc[0]} is listed {len(twice)} times, "
            f"in {' and '.join(sorted(set(twice['source'])))}; list it once"
        )
