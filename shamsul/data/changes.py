"""Image files that were replaced under their old names.

The manifest is made of the sources' tables and has the sha256 of every image file. Snakemake
watches the tables; a hundred thousand images as inputs would cost it minutes at every start. So
the manifest's program records size and time stamp of each image file, every later start compares
them with the disk, and only files of another stamp are read: where the content is the same the
record is brought up to date, where it is not the change is written to a file that is an input of
the manifest. A touched or copied file therefore reruns nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import file_digest
from pathlib import Path

import pandas as pd

from shamsul.errors import InputError
from shamsul.progress import track
from shamsul.storage.files import replacing

logger = logging.getLogger(__name__)

THREADS = 16
"""Files looked at at once: on a network file system each look waits for an answer."""
MISSING = "missing"
"""Instead of the sha256 of a file that is not there."""


def record(images: pd.DataFrame, roots: Mapping[str, Path], started: float, file: Path) -> None:
    """Write size and time stamp of every image file: columns source, path, size, mtime_ns, sha256.

    Parameters
    ----------
    images : the manifest, or its columns source, path and sha256.
    roots : folder of each source by its name.
    started : seconds since the epoch; a file that is younger may have changed after it was read,
        and its time stamp is recorded as 0, which is none.
    file : CSV file to write.
    """
    stamps = _stamps(images, roots)
    known = [(size, time if time < started * 1e9 else 0) for size, time in stamps]
    _write(images[["source", "path", "sha256"]], known, file)


def notice(file: Path, roots: Mapping[str, Path], changes: Path) -> int:
    """Find image files of another content than the manifest knows, and write their list.

    Parameters
    ----------
    file : what `record` wrote; without it, nothing is done.
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
    try:
        known = pd.read_csv(file, dtype={"source": str, "path": str, "sha256": str})
        known = known[known["source"].isin(list(roots))].reset_index(drop=True)
        recorded = list(zip(known["size"], known["mtime_ns"], strict=True))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{file}: not a record of image files ({error}); delete it") from None
    stamps = _stamps(known, roots)
    suspects = [row for row, stamp in enumerate(stamps) if stamp != recorded[row]]
    if not suspects:
        return 0
    paths = [_path(roots, known.loc[row]) for row in suspects]
    with ThreadPoolExecutor(THREADS) as pool:
        read = track(pool.map(_sha256, paths), "image files with a new time stamp", len(paths))
        found = dict(zip(suspects, read, strict=True))
    lines = []
    for row, content in found.items():
        if content == known.at[row, "sha256"]:
            recorded[row] = stamps[row]
        else:
            lines.append(f"{known.at[row, 'source']}\t{known.at[row, 'path']}\t{content}\n")
    _write(known, recorded, file)
    text = "".join(lines)
    if lines and (not changes.exists() or changes.read_text() != text):
        with replacing(changes) as temporary:
            temporary.write_text(text)
    return len(lines)


def _path(roots: Mapping[str, Path], image: pd.Series) -> Path:
    return roots[image["source"]] / image["path"]


def _stamps(images: pd.DataFrame, roots: Mapping[str, Path]) -> list[tuple[int, int]]:
    """Size in bytes and time in nanoseconds of each image's file; (-1, -1) where there is none."""
    pairs = zip(images["source"], images["path"], strict=True)
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda pair: _stamp(roots[pair[0]] / pair[1]), pairs))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError:
        return -1, -1
    return facts.st_size, facts.st_mtime_ns


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()
    except OSError:
        return MISSING


def _write(images: pd.DataFrame, stamps: Iterable[tuple[int, int]], file: Path) -> None:
    size, time = zip(*stamps, strict=True)
    table = images[["source", "path"]].assign(size=size, mtime_ns=time, sha256=images["sha256"])
    with replacing(file) as temporary:
        table.to_csv(temporary, index=False)
