"""Image files that were replaced under their old names.

Snakemake watches the sources' tables; a hundred thousand images as inputs would cost it minutes at
every start. So the program that reads a part of the image files records their sizes and time
stamps. Every later start compares them with the disk, and only files of another stamp are read:
where the content is the same the record is brought up to date, where it is not the change is
written to a file that is an input of the part's job. A touched or copied file therefore reruns
nothing.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

from shamsul.errors import InputError
from shamsul.job.progress import track
from shamsul.storage.cells import escape, restore
from shamsul.storage.files import replacing

logger = logging.getLogger(__name__)

THREADS = 16
"""Number of files looked at at once: on a network file system each look waits for an answer."""
MISSING = "missing"
"""Word that stands for the sha256 of a file that does not exist or cannot be read."""


class _Image(NamedTuple):
    """A file as it was when its content was looked at last."""

    source: str
    path: str
    size: int
    mtime_ns: int
    sha256: str


def record(
    images: Iterable[tuple[str, str, str]], roots: Mapping[str, Path], started: float, file: Path
) -> None:
    """Write size and time stamp of every image file: columns source, path, size, mtime_ns, sha256.

    Parameters
    ----------
    images : source, path and sha256 of each file; the last is empty where it could not be read.
    roots : folder of each source by its name.
    started : seconds since the epoch; a file that is younger may have changed after it was read,
        and its time stamp is recorded as 0, which is none.
    file : CSV file to write.
    """
    found = [_Image(source, path, 0, 0, sha256 or MISSING) for source, path, sha256 in images]
    stamps = _stamps(found, roots)
    known = [(size, time if time < started * 1e9 else 0) for size, time in stamps]
    _write([_at(image, stamp) for image, stamp in zip(found, known, strict=True)], file)


def notice(file: Path, roots: Mapping[str, Path], changes: Path) -> int:
    """Find image files of another content than the manifest knows, and write their list.

    Parameters
    ----------
    file : file that `record` wrote; without it, nothing is done.
    roots : folder of each source by its name.
    changes : text file to write: source, path and sha256 (or `missing`) of each changed file. It is
        written only where it would say something else.

    Returns
    -------
    Number of changed files.

    Raises
    ------
    InputError
        The record cannot be read.
    """
    if not file.exists():
        return 0
    known = [image for image in _read(file) if image.source in roots]
    stamps = _stamps(known, roots)
    suspects = [row for row, image in enumerate(known) if stamps[row] != image[2:4]]
    if not suspects:
        return 0
    paths = [roots[known[row].source] / known[row].path for row in suspects]
    with ThreadPoolExecutor(THREADS) as pool:
        read = track(pool.map(_sha256, paths), "image files with a new time stamp", len(paths))
        found = dict(zip(suspects, read, strict=True))
    lines = []
    for row, content in found.items():
        image = known[row]
        if content == image.sha256:
            known[row] = _at(image, stamps[row])
        else:
            lines.append(f"{image.source}\t{image.path}\t{content}\n")
    _write(known, file)
    text = "".join(lines)
    if lines and (not changes.exists() or changes.read_text() != text):
        with replacing(changes) as temporary:
            temporary.write_text(text)
    return len(lines)


def _stamps(images: Sequence[_Image], roots: Mapping[str, Path]) -> list[tuple[int, int]]:
    """Return size in bytes and time in nanoseconds of each image's file; (-1, -1) if missing."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda image: _stamp(roots[image.source] / image.path), images))


def _at(image: _Image, stamp: tuple[int, int]) -> _Image:
    return image._replace(size=stamp[0], mtime_ns=stamp[1])


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except (OSError, ValueError):  # A path may hold what no path can.
        return -1, -1
    return facts.st_size, facts.st_mtime_ns


def _sha256(path: Path) -> str:
    try:
        if not path.is_file():  # Opening a pipe would wait for a writer.
            return MISSING
        with path.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):
        return MISSING


def _read(file: Path) -> list[_Image]:
    # By csv, for pandas takes longer to import than this does to read.
    try:
        with file.open(newline="") as stream:
            header, *rows = csv.reader(stream)
        if header != list(_Image._fields):
            raise ValueError(f"its columns are {', '.join(header)}")
        return [
            _Image(restore(source), restore(path), int(a), int(b), sha256)
            for source, path, a, b, sha256 in rows
        ]
    except (ValueError, csv.Error) as error:
        raise InputError(f"{file}: not a record of image files ({error}); delete it") from None


def _write(images: Iterable[_Image], file: Path) -> None:
    with replacing(file) as temporary, temporary.open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(_Image._fields)
        table.writerows((escape(source), escape(path), *rest) for source, path, *rest in images)
