"""List every image by the tables of its source: rule `listing`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shamsul.data.image_list import PLACE_COLUMNS, by_part, list_images
from shamsul.data.pseudonyms import said_in_private
from shamsul.data.settings import Data
from shamsul.job import program
from shamsul.storage.tables import write_table


def main(
    settings: dict[str, Any],
    roots: dict[str, str],
    private: Path | None = None,
    *,
    listed: Path,
    rejected_rows: Path,
    counts: Path,
    parts: Path,
) -> None:
    """List every image by the tables of its source; no image file is read.

    Parameters
    ----------
    settings : classes; sources, views, exclude, on_bad_image and shards of the section `data`.
    roots : folder of each source, by the source's name.
    private : folder for what names images, where pseudonyms take the place of names.
    listed : table to write, a row for each image.
    rejected_rows : table to write, a row for each row that is left out.
    counts : table to write, a row for each source.
    parts : folder to write to, the places of the image files of each part.
    """
    classes = tuple(settings.pop("classes"))
    data = Data.model_validate(settings)
    folders = {name: Path(folder) for name, folder in roots.items()}
    with said_in_private(private):
        listing = list_images(data, classes, folders)
    for name, rows in by_part(listing.images, data.parts).items():
        # A corrected label reads no image file again.
        write_table(rows[PLACE_COLUMNS], parts / f"{name}.parquet")
    write_table(listing.images, listed)
    write_table(listing.rejected, rejected_rows)
    write_table(listing.sources, counts)


if __name__ == "__main__":
    program.run(main)
