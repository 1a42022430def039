"""List every image with its split, labels and file facts, and every mask; per run and per shard."""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from shamsul.data import image_changes, manifest
from shamsul.data.settings import Data
from shamsul.job import program
from shamsul.settings import SPLITS
from shamsul.storage.tables import write_table


def main() -> None:
    """Parse the arguments, build the manifest, write it whole and in shards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="classes, and of data: sources, views, exclude, shards (JSON)",
    )
    parser.add_argument("--roots", type=json.loads, required=True, help="source: folder (JSON)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--shards", type=Path, required=True, help="folder of the shards' tables")
    parser.add_argument("--record", type=Path, required=True, help="sizes and time stamps to write")
    arguments = parser.parse_args()
    started = time.time()
    classes = tuple(arguments.settings.pop("classes"))
    data = Data.model_validate(arguments.settings)
    roots = {name: Path(folder) for name, folder in arguments.roots.items()}
    images, masks = manifest.build(data, classes, roots, arguments.threads)
    for split in SPLITS:
        part = images[images["split"] == split]
        shards = data.shards[split]
        numbers = np.array([manifest.shard(name, shards) for name in part["image_id"]])
        for shard in range(shards):
            rows = part[numbers == shard]
            name = f"{split}-{shard:04d}"
            write_table(rows, arguments.shards / f"{name}.parquet")
            # A corrected label or age changes no pixel, so it must not rerun what reads pixels.
            write_table(rows[manifest.FILE_COLUMNS], arguments.shards / f"{name}.files.parquet")
            write_table(
                rows[manifest.PATIENT_COLUMNS], arguments.shards / f"{name}.patients.parquet"
            )
            write_table(
                masks[masks["image_id"].isin(rows["image_id"])],
                arguments.shards / f"{name}.masks.parquet",
            )
    write_table(images, arguments.manifest)
    write_table(masks, arguments.masks)
    image_changes.record(images, roots, started, arguments.record)


if __name__ == "__main__":
    program.run(main)
