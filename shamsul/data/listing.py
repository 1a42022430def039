"""The list of all images, by the tables of the sources alone; no image file is read for it.

No image or patient of the tune or test split may train. Patients are divided as a whole, by a hash
of their name, and what two splits share is an error that names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from shamsul.data.adapter import COLUMNS, DiskSource
from shamsul.data.rejected import REJECTED_COLUMNS, Rejections
from shamsul.data.settings import Data
from shamsul.data.sources import expand
from shamsul.errors import InputError
from shamsul.settings import SPLITS, Split, unknown

LISTED_COLUMNS = [*COLUMNS, "split", "source", "entry"]
"""Columns of the list, before one per class; `entry` is the place of the source, from 0."""
PLACE_COLUMNS = ["image_id", "source", "path"]
"""Columns that the place of an image's file depends on."""


@dataclass(frozen=True)
class Listing:
    """All images that the sources' tables list.

    Attributes
    ----------
    images : columns `LISTED_COLUMNS` and the classes, ordered by split and image_id.
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
        patient is in two splits, or `data.exclude` names an image that no source has.
    """
    parts, rejections, counts = [], [], []
    excluded: set[str] = set()
    known: set[str] = set()
    for entry, source in enumerate(expand(data.sources)):
        root = roots[source.name]
        rejected = Rejections(source.name, _quarantine(data))
        images = source.read_images(root, classes, rejected)
        rejected.expect(len(images) + len(rejected.found))
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
        split = [assign(source, name) for name in kept["patient_id"]]
        parts.append(kept.assign(source=source.name, split=split, entry=entry))
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
    listed = pd.concat(parts, ignore_index=True)
    _check_once(listed)
    check_splits(listed, "patient", listed["patient_id"])
    order = listed["split"].map(SPLITS.index)
    listed = listed.assign(order=order).sort_values(["order", "image_id"], ignore_index=True)
    return Listing(
        listed[[*LISTED_COLUMNS, *classes]],
        pd.concat(rejections, ignore_index=True)[REJECTED_COLUMNS],
        pd.DataFrame(counts),
    )


def assign(source: DiskSource, patient_id: str) -> Split:
    """Return the split of a patient; under fractions it follows from a hash of the name."""
    if isinstance(source.split, str):
        return source.split
    at = _hash(patient_id) / 2**64
    for split, fraction in source.split.items():
        at -= fraction
        if at < 0:
            return split
    return split  # the fractions' rounding error


def shard(image_id: str, shards: int) -> int:
    """Return the shard of an image, a hash of its name: adding an image moves no other."""
    return _hash(image_id) % shards


def by_shard(images: pd.DataFrame, shards: Mapping[Split, int]) -> dict[str, pd.DataFrame]:
    """Return the rows of each shard by its name, such as `test-0000`, in the rows' order."""
    found = {}
    for split in SPLITS:
        part = images[images["split"] == split]
        numbers = np.array([shard(name, shards[split]) for name in part["image_id"]])
        for number in range(shards[split]):
            found[f"{split}-{number:04d}"] = part[numbers == number]
    return found


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


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _quarantine(data: Data) -> bool | None:
    """Return what `Rejections` takes for `data.on_bad_image`."""
    return None if data.on_bad_image is None else data.on_bad_image == "quarantine"


def _rows(rejected: Rejections) -> int:
    return sum(found.kind == "row" for found in rejected.found)


def _without_doubles(
    images: pd.DataFrame, source: DiskSource, root: Path, rejected: Rejections
) -> pd.DataFrame:
    """Return the images without those that a source lists again; the first counts."""
    again = images["image_id"].duplicated()
    numbers = images.loc[images["image_id"].isin(images.loc[again, "image_id"]), "image_id"]
    for image_id, number in numbers.value_counts().sort_index().items():
        told = f"image {image_id} is listed {number} times; list it once"
        for _ in range(int(number) - 1):
            rejected.add("row", root / source.files()[0], told, image_id=str(image_id))
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
