"""Read the image files of one part, once: rule `read`."""

from __future__ import annotations

import time
from pathlib import Path

from shamsul.data import image_changes
from shamsul.data.pseudonyms import said_in_private
from shamsul.data.reading.part import FACTS_COLUMNS, facts
from shamsul.job import program
from shamsul.storage.tables import read_rows, write_rows


def main(
    roots: dict[str, str],
    listed: Path,
    threads: int = 1,
    private: Path | None = None,
    *,
    facts_table: Path,
    record: Path,
) -> None:
    """Read the image files of one part: sizes, grey values, checksums, and why not.

    Parameters
    ----------
    roots : folder of each source, by the source's name.
    listed : table of the places of the part's image files.
    threads : image files that are read at once.
    private : folder for what names images, where pseudonyms take the place of names.
    facts_table : table to write, a row for each image file.
    record : file to write, with sizes and time stamps of the image files.
    """
    started = time.time()
    folders = {name: Path(folder) for name, folder in roots.items()}
    with said_in_private(private):
        rows = list(facts(read_rows(listed), folders, threads))
    write_rows(rows, FACTS_COLUMNS, facts_table)
    read = ((row["source"], row["path"], row["sha256"]) for row in rows)
    image_changes.record(read, folders, started, record)


if __name__ == "__main__":
    program.run(main)
