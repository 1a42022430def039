"""Join every image with what its file has, and read the masks: rule `manifest`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.data import pseudonyms
from shamsul.data.image_list import Listing
from shamsul.data.manifest import FILE_COLUMNS, PATIENT_COLUMNS, build, by_shard
from shamsul.data.settings import Data
from shamsul.job import program
from shamsul.settings import EXPLAINED
from shamsul.storage.tables import read_table, write_table


def main(
    settings: dict[str, Any],
    roots: dict[str, str],
    listed: Path,
    rejected_rows: Path,
    counts: Path,
    facts: list[Path],
    key: Path | None = None,
    private: Path | None = None,
    *,
    manifest: Path,
    masks: Path,
    masked: Path,
    rejected: Path,
    sources: Path,
    shards: Path,
) -> None:
    """Join every image with what its file has, and read the masks; also by shard.

    Parameters
    ----------
    settings : classes; sources, views, exclude, on_bad_image and shards of the section `data`.
    roots : folder of each source, by the source's name.
    listed : table of the images.
    rejected_rows : table of the rows that were left out of it.
    counts : table of the sources.
    facts : tables of the image files, one for each part.
    key : file of the key by which names are replaced; without it they stay.
    private : folder for the names that were replaced.
    manifest : table to write, a row for each image.
    masks : table to write, a row for each mask.
    masked : table to write, a row for each class that has masks on tune or test.
    rejected : table to write, a row for each image, row or mask that is left out.
    sources : table to write, a row for each source.
    shards : folder to write to, four tables for each shard.
    """
    classes = tuple(settings.pop("classes"))
    data = Data.model_validate(settings)
    folders = {name: Path(folder) for name, folder in roots.items()}
    listing = Listing(read_table(listed), read_table(rejected_rows), read_table(counts))
    read = pd.concat([read_table(file) for file in facts], ignore_index=True)
    with pseudonyms.said_in_private(private):
        made = build(data, classes, folders, listing, read)
    # By the images' own names: the shard of an image does not depend on the key.
    parts = by_shard(made.images, data.shards)
    if key and private:
        hidden = pseudonyms.Pseudonyms.read(key)
        pseudonyms.keep(hidden.names(made.images), private, pseudonyms.NAMES)
        pseudonyms.keep(made.rejected, private, pseudonyms.REJECTED)
        parts = {name: hidden.images(rows) for name, rows in parts.items()}
        made = replace(
            made,
            images=hidden.images(made.images),
            masks=hidden.masks(made.masks),
            rejected=hidden.rejected(made.rejected),
        )
    for name, rows in parts.items():
        drawn = made.masks[made.masks["image_id"].isin(rows["image_id"])]
        write_table(rows, shards / f"{name}.parquet")
        # A corrected label or age changes no pixel, so it must not rerun what reads pixels.
        write_table(rows[FILE_COLUMNS], shards / f"{name}.files.parquet")
        write_table(rows[PATIENT_COLUMNS], shards / f"{name}.patients.parquet")
        write_table(drawn, shards / f"{name}.masks.parquet")
    write_table(made.images, manifest)
    write_table(made.masks, masks)
    write_table(masked_classes(made.images, made.masks, classes), masked)
    write_table(made.rejected, rejected)
    write_table(made.sources, sources)


def masked_classes(
    images: pd.DataFrame, masks: pd.DataFrame, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the classes that have masks on images that are explained, in their order."""
    explained = images.loc[images["split"].isin(EXPLAINED), "image_id"]
    found = set(masks.loc[masks["image_id"].isin(explained), "class"])
    return pd.DataFrame({"class": [name for name in classes if name in found]}, dtype="str")


if __name__ == "__main__":
    program.run(main)
