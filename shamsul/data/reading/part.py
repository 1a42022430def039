"""The image files of one part, each read once, and the table of what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shamsul.data.reading.files import examine
from shamsul.job.progress import track

FACTS_COLUMNS = {
    "image_id": "str",
    "source": "str",
    "path": "str",
    "sha256": "str",
    "height": "int64",
    "width": "int64",
    "bits": "int64",
    "own_range": "bool",
    "highest": "int64",
    "notes": "str",
    "reason": "str",
}
"""Columns and types of the table of image files; see `shamsul.data.reading.files.Facts`."""


def facts(
    listed: Iterable[Mapping[str, Any]], roots: Mapping[str, Path], threads: int = 1
) -> Iterator[dict[str, Any]]:
    """Read the image files of a part and yield the facts of each.

    Parameters
    ----------
    listed : images with the keys image_id, source and path.
    roots : folder of each source by its name.
    threads : files read at once.

    Returns
    -------
    Rows of `FACTS_COLUMNS`, in the order of the images.
    """
    rows = list(listed)
    paths = [roots[row["source"]] / row["path"] for row in rows]
    with ThreadPoolExecutor(threads) as pool:
        read = track(pool.map(examine, paths), "image files read", len(paths))
        for row, found in zip(rows, read, strict=True):
            yield {key: row[key] for key in ("image_id", "source", "path")} | asdict(found)
