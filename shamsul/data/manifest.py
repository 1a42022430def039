"""The manifest: one row per image, the split and shard that it belongs to, and its masks.

No image, patient or file of the tune or test split may train. The manifest is where this is
made so: patients are divided as a whole, by a hash of their name, and what two sources share is
an error that names it.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from PIL import Image

from shamsul.data.adapter import DiskSource
from shamsul.data.body import tell_outside
from shamsul.data.images import FORMATS, UNREADABLE
from shamsul.data.joining import check_masks, divide, share_of
from shamsul.data.rejected import Rejections
from shamsul.data.settings import Data
from shamsul.data.sources import expand
from shamsul.errors import InputError
from shamsul.job.progress import track
from shamsul.labels import MARKER
from shamsul.settings import SPLITS, Split

MANIFEST_COLUMNS = [
    "image_id",
    "patient_id",
    "study_id",
    "view",
    "projection",
    "split",
    "source",
    "path",
    "height",
    "width",
    "sha256",
    "sex",
    "age",
]
"""Columns of the manifest, before one per class; see `shamsul.data.adapter.COLUMNS`."""


FILE_COLUMNS = ["image_id", "source", "path", "height", "width", "sha256"]
"""Columns of the manifest that the pixels depend on."""
PATIENT_COLUMNS = ["image_id", "patient_id", "view", "split"]
"""Columns that methods which learn from masks, and CheXlocalize's protocol, depend on."""


def build(
    data: Data, classes: tuple[str, ...], roots: dict[str, Path], threads: int = 1
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the manifest and the masks of all sources.

    Parameters
    ----------
    data : configuration of the data.
    classes : names of the classes that the model predicts; one label column each.
    roots : folder of each source by its name.
    threads : files read at once.

    Returns
    -------
    manifest : columns `MANIFEST_COLUMNS` and the classes, ordered by split and image_id.
    masks : columns `shamsul.data.masks.MASK_COLUMNS`, ordered by image_id, class and kind.

    Raises
    ------
    InputError
        A file is missing or unreadable, a label is not a label, an image or patient is in two
        splits, or a mask is of another shape than its image.
    """
    parts, masks = [], []
    for source in expand(data.sources):
        root = roots[source.name]
        rejected = Rejections(source.name)
        images = source.read_images(root, classes, rejected)
        images = images[images["view"].isin(data.views) & ~images["image_id"].isin(data.exclude)]
        if images.empty:
            raise InputError(
                f"data source {source.name}: no image left of views {', '.join(data.views)}"
            )
        images = images.assign(source=source.name).reset_index(drop=True)
        images = _with_files(images, root, threads)
        drawn = source.read_masks(root, images, rejected)
        parts.append(images.assign(split=divide(source, images, drawn, classes)))
        masks.append(drawn)
    manifest = pd.concat(parts, ignore_index=True)
    _check_disjoint(manifest)
    _check_present(manifest)
    order = manifest["split"].map(SPLITS.index)
    manifest = manifest.assign(order=order).sort_values(["order", "image_id"])
    all_masks = pd.concat(masks, ignore_index=True).sort_values(["image_id", "class", "kind"])
    check_masks(manifest, all_masks, classes)
    tell_outside(manifest, all_masks, roots)
    return (
        manifest[[*MANIFEST_COLUMNS, *classes]].reset_index(drop=True),
        all_masks[all_masks["class"].isin([*classes, MARKER])].reset_index(drop=True),
    )


def assign(source: DiskSource, patient_id: str) -> Split:
    """Return the split of a patient; under fractions it follows from a hash of the name."""
    return source.split if isinstance(source.split, str) else share_of(source.split, patient_id)


def shard(image_id: str, shards: int) -> int:
    """Return the shard of an image, a hash of its name: adding an image moves no other."""
    return _hash(image_id) % shards


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _with_files(images: pd.DataFrame, root: Path, threads: int) -> pd.DataFrame:
    """Add height, width and sha256 of each image's file."""
    paths = [root / path for path in images["path"]]
    with ThreadPoolExecutor(threads) as pool:
        facts = list(track(pool.map(_file_facts, paths), "manifest: images read", len(paths)))
    found = pd.DataFrame(facts, columns=["height", "width", "sha256"], index=images.index)
    return pd.concat([images, found], axis=1)


def _file_facts(path: Path) -> tuple[int, int, str]:
    try:
        content = path.read_bytes()
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
    except UNREADABLE as error:
        raise InputError(
            f"{path}: not a readable image ({error}); replace it, or add it to data.exclude"
        ) from None
    return height, width, hashlib.sha256(content).hexdigest()


def _check_disjoint(manifest: pd.DataFrame) -> None:
    """Raise an InputError where an image is listed twice, or splits share a patient or a file."""
    twice = manifest[manifest["image_id"].duplicated(keep=False)].sort_values("image_id")
    if len(twice):
        raise InputError(
            f"image {twice['image_id'].iloc[0]} is listed {len(twice)} times, "
            f"in {' and '.join(sorted(set(twice['source'])))}; list it once"
        )
    for what, key in (
        ("patient", manifest["patient_id"]),
        ("file content (sha256)", manifest["sha256"]),
    ):
        splits = manifest.groupby(key)["split"].nunique()
        for value in splits.index[splits > 1]:
            shared = manifest[key == value]
            listed = ", ".join(
                f"{row.image_id} ({row.split})" for row in shared.head(4).itertuples()
            )
            raise InputError(
                f"the same {what} is in two splits: {listed}; "
                f"{(splits > 1).sum()} such cases; add the images to data.exclude in one of them"
            )


def _check_present(manifest: pd.DataFrame) -> None:
    for split in SPLITS:
        if not (manifest["split"] == split).any() and split != "train":
            raise InputError(
                f"no image is in the {split} split; give one of data.sources `split: {split}`"
            )
