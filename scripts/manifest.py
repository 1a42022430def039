"""List every image with its split, labels and file facts, and every mask: rule `manifest`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shamsul.data import image_changes
from shamsul.data.manifest import FILE_COLUMNS, PATIENT_COLUMNS, build, shard
from shamsul.data.settings import Data
from shamsul.job import program
from shamsul.settings import EXPLAINED, SPLITS
from shamsul.storage.tables import write_table


def main(
    settings: dict[str, Any],
    roots: dict[str, str],
    threads: int = 1,
    *,
    manifest: Path,
    masks: Path,
    masked: Path,
    shards: Path,
    record: Path,
) -> None:
    """List every image with its split, labels and file facts, and every mask; also by shard.

    Parameters
    ----------
    settings : classes; sources, views, exclude and shards of the section `data`.
    roots : folder of each source, by the source's name.
    threads : image files that are read at once.
    manifest : table to write, a row for each image.
    masks : table to write, a row for each mask.
    masked : table to write, a row for each class that has masks on tune or test.
    shards : folder to write to, four tables for each shard.
    record : file to write, with sizes and time stamps of the image files.
    """
    started = time.time()
    classes = tuple(settings.pop("classes"))
    data = Data.model_validate(settings)
    folders = {name: Path(folder) for name, folder in roots.items()}
    images, drawn = build(data, classes, folders, threads)
    for split in SPLITS:
        part = images[images["split"] == split]
        numbers = np.array([shard(name, data.shards[split]) for name in part["image_id"]])
        for number in range(data.shards[split]):
            rows = part[numbers == number]
            name = f"{split}-{number:04d}"
            write_table(rows, shards / f"{name}.parquet")
            # A corrected label or age changes no pixel, so it must not rerun what reads pixels.
            write_table(rows[FILE_COLUMNS], shards / f"{name}.files.parquet")
            write_table(rows[PATIENT_COLUMNS], shards / f"{name}.patients.parquet")
            write_table(
                drawn[drawn["image_id"].isin(rows["image_id"])], shards / f"{name}.masks.parquet"
            )
    write_table(images, manifest)
    write_table(drawn, masks)
    write_table(masked_classes(images, drawn, classes), masked)
    image_changes.record(images, folders, started, record)


def masked_classes(
    images: pd.DataFrame, masks: pd.DataFrame, classes: Sequence[str]
) -> pd.DataFrame:
    """Return the classes that have masks on images that are explained, in their order."""
    explained = images.loc[images["split"].isin(EXPLAINED), "image_id"]
    found = set(masks.loc[masks["image_id"].isin(explained), "class"])
    return pd.DataFrame({"class": [name for name in classes if name in found]}, dtype="str")


if __name__ == "__main__":
    program.run(main)
