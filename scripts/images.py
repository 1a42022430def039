"""Bring the radiographs of one shard to the model's frame, once."""

import argparse
import json
from pathlib import Path

from shamsul.data import images
from shamsul.job import program
from shamsul.storage.images import write_images
from shamsul.storage.tables import read_table


def main() -> None:
    """Parse the arguments and write the image shard."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="size, geometry (JSON)")
    parser.add_argument("--roots", type=json.loads, required=True, help="source: folder (JSON)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    arguments = parser.parse_args()
    shard = images.shard(
        read_table(arguments.manifest),
        {name: Path(folder) for name, folder in arguments.roots.items()},
        arguments.settings["size"],
        arguments.settings["geometry"],
        arguments.threads,
    )
    write_images(shard, arguments.images)


if __name__ == "__main__":
    program.run(main)
