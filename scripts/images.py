"""Bring the radiographs of one shard to the model's frame, once: rule `images`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shamsul.data.images import shard
from shamsul.data.pseudonyms import located
from shamsul.job import program
from shamsul.storage.images import write_images
from shamsul.storage.tables import read_rows


def main(
    settings: dict[str, Any],
    roots: dict[str, str],
    manifest: Path,
    threads: int = 1,
    private: Path | None = None,
    *,
    images: Path,
) -> None:
    """Bring the radiographs of one shard to the model's frame.

    Parameters
    ----------
    settings : size, geometry, resampling.
    roots : folder of each source, by the source's name.
    manifest : table of the shard's image files.
    threads : images that are read at once.
    private : folder of the names that were replaced, where they were.
    images : shard to write.
    """
    folders = {name: Path(folder) for name, folder in roots.items()}
    frame = tuple(settings["size"]), settings["geometry"], settings["resampling"]
    rows = read_rows(manifest)
    if private:
        paths = located([row["image_id"] for row in rows], private)
        rows = [{**row, "path": path} for row, path in zip(rows, paths, strict=True)]
    made = shard(rows, folders, *frame, threads)
    write_images(made, images)


if __name__ == "__main__":
    program.run(main)
