"""Files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shamsul.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that takes the place of `path` when the block ends without an error.

    What was written is on the disk before it has its name: a killed job or a machine that stops
    leaves no half file behind.

    Raises
    ------
    OSError
        The file cannot be written, as on a full disk; `filename` is `path`.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path) as temporary:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except (OSError, RuntimeError) as error:
        number = _errno(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def remove_leftovers(folder: str | Path) -> None:
    """Remove temporary files of `replacing`, left by killed jobs, anywhere in a folder."""
    for leftover in Path(folder).rglob(".*.????????"):
        if leftover.is_file():
            leftover.unlink(missing_ok=True)


def _errno(error: BaseException | None) -> int | None:
    """Return the system's error number; torch has an error of its own follow the system's."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        error = error.__context__
    return None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def unreadable(path: str | Path, kind: str, error: Exception) -> InputError:
    """Return the error for a file of a kind that is missing, truncated or malformed."""
    told = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{path}: not a readable {kind} ({told}); delete it and run again")
