"""Opening, sealing and checking HDF5 shards of all kinds.

Shards may be another run's, or damaged: what is read is first known to be of the type and shape
that it must be.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from shamsul.errors import InputError
from shamsul.geometry import Frame
from shamsul.storage.files import replacing, unreadable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

SEAL = 512
"""Bytes before HDF5's own, the least that it leaves alone. They hold sums of what follows: HDF5 has
none, and may crash on a damaged file."""
NAME = "shamsul shard"
BLOCK = 2**20


@contextmanager
def created(path: str | Path, version: int) -> Iterator[h5py.File]:
    """Yield a new shard to write to; it is at `path` when the block ends without an error.

    Parameters
    ----------
    path : path of the file.
    version : version of the layout of shards of this kind.
    """
    with replacing(path) as temporary, _Disk(temporary, "w+") as disk:
        try:
            with h5py.File(disk, "w", userblock_size=SEAL) as file:
                file.attrs["schema_version"] = version
                yield file
                file.flush()
                start, stop = _largest(file)
            seal(disk, start, stop)
        finally:
            if disk.error:
                raise disk.error


class _Disk(io.FileIO):
    """A file that keeps to itself that it cannot be written.

    On a full disk HDF5 cannot close what it has open: it tells every object's failure, and may
    crash.

    Attributes
    ----------
    error : the first failure; what is written after it is lost.
    """

    error: OSError | None = None

    def write(self, data: Buffer) -> int:
        """Write all of it: the system takes no more than 2 GiB at once."""
        rest = memoryview(data).cast("B")
        count = len(rest)
        while len(rest) and self.error is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.error = error
        return count

    def truncate(self, size: int | None = None) -> int:
        """Truncate the file; as of any file."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


@contextmanager
def opened(path: str | Path, version: int, whole: bool = True) -> Iterator[h5py.File]:
    """Yield a shard to read from.

    Parameters
    ----------
    path : path of the file.
    version : version of the layout of shards of this kind.
    whole : True where its largest dataset will be read too, and must be undamaged.

    Raises
    ------
    InputError
        The shard is missing, damaged or of another version, or what the block does with it fails.
    """
    with told(path), kept_open(path, version, whole) as file:
        yield file


@contextmanager
def kept_open(path: str | Path, version: int, whole: bool = True) -> Iterator[h5py.File]:
    """Yield a shard as `opened` does, whose errors are none of the shard's: see `told`."""
    with Path(path).open("rb") as content:
        _check(content, whole)
    # Files are renamed when they are whole, so that none is read while it is written. A lock
    # guards nothing then, and NFS and Lustre may refuse it. No chunk is read twice.
    with h5py.File(path, "r", locking=False, rdcc_nbytes=0) as file:
        if file.attrs["schema_version"] != version:
            raise ValueError("of another version of this program")
        yield file


@contextmanager
def told(path: str | Path) -> Iterator[None]:
    """Raise an InputError that names a shard where the block, which reads it, fails."""
    try:
        yield
    except (
        OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError,
        ArithmeticError,
    ) as error:  # fmt: skip
        raise unreadable(path, "shard", error) from None


def seal(content: BinaryIO, start: int, stop: int) -> None:
    """Write the sums: of the bytes from `start` to `stop`, and of all others after the seal."""
    inside, outside = _sum(content, start, stop), _sum(content, SEAL, start)
    outside = _sum(content, stop, content.seek(0, io.SEEK_END), outside)
    content.seek(0)
    content.write(f"{NAME} {start} {stop} {inside} {outside}".ljust(SEAL - 1).encode() + b"\n")


def _check(content: BinaryIO, whole: bool) -> None:
    """Raise a ValueError where the content is not what was sealed."""
    words = content.read(SEAL).decode("ascii", "replace").split()
    if words[:2] != NAME.split():
        raise ValueError("not of this program, of another version of it, or damaged")
    start, stop, inside, outside = map(int, words[2:])
    size = content.seek(0, io.SEEK_END)
    if (
        not SEAL <= start <= stop <= size
        or _sum(content, stop, size, _sum(content, SEAL, start)) != outside
        or (whole and _sum(content, start, stop) != inside)
    ):
        raise ValueError("damaged")


def _sum(content: BinaryIO, start: int, stop: int, value: int = 0) -> int:
    """Return the CRC-32 of the bytes from `start` to `stop`, begun with `value`."""
    content.seek(start)
    for place in range(start, stop, BLOCK):
        value = zlib.crc32(content.read(min(BLOCK, stop - place)), value)
    return value


def _largest(file: h5py.File) -> tuple[int, int]:
    """Return where the largest dataset begins and ends; equal if there is none.

    A dataset in chunks has nothing else between them if it is the last that was written.
    """
    found = [(0, SEAL)]

    def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.id.get_offset() is not None:
            found.append((item.nbytes, item.id.get_offset()))
        elif item.chunks and item.id.get_num_chunks():
            pieces: list[tuple[int, int]] = []
            item.id.chunk_iter(lambda chunk: pieces.append((chunk.byte_offset, chunk.size)))
            start = min(pieces)[0]
            found.append((max(map(sum, pieces)) - start, start))

    file.visititems(look)
    size, start = max(found)
    return start, start + size


def member(group: h5py.Group, name: str) -> Any:
    """Return the member of that name in the file itself: links may lead to any other file."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is not in the file itself")
    return group[name]


def dataset(
    group: h5py.Group, name: str, kind: str, *shape: int | None, compressed: bool = False
) -> h5py.Dataset:
    """Return a dataset, once it is known to be of a kind and shape (None is any length).

    Unless it may be `compressed` it is not larger than what the file holds: what is compressed or
    left out may be of any size.
    """
    found = member(group, name)
    if not isinstance(found, h5py.Dataset) or found.dtype.kind != kind:
        raise ValueError(f"{name} is not of the type that it must be")
    if len(found.shape) != len(shape) or any(
        side not in (None, length) for side, length in zip(shape, found.shape, strict=True)
    ):
        raise ValueError(f"{name} is of shape {found.shape}, which others do not agree with")
    small = not compressed and found.id.get_storage_size() < found.nbytes
    if found.external or found.is_virtual or small:
        raise ValueError(f"{name} is not in the file itself, or compressed")
    return found


def packed(group: h5py.Group, name: str, kind: str, *shape: int | None) -> h5py.Dataset:
    """Return a compressed dataset as `dataset` does; each of its chunks is in the file."""
    found = dataset(group, name, kind, *shape, compressed=True)
    parts = found.chunks or found.shape
    pieces = [-(-side // part) for side, part in zip(found.shape, parts, strict=True)]
    if not found.chunks or found.id.get_num_chunks() != int(np.prod(pieces)):
        raise ValueError(f"{name} is not in the file itself")
    return found


def values(
    group: h5py.Group, name: str, kind: str, *shape: int | None, compressed: bool = False
) -> NDArray[Any]:
    """Return the values of a `dataset`."""
    return dataset(group, name, kind, *shape, compressed=compressed)[:]


def finite(
    group: h5py.Group, name: str, *shape: int | None, compressed: bool = False
) -> NDArray[Any]:
    """Return the values of a `dataset` of real numbers, all of them finite."""
    found = values(group, name, "f", *shape, compressed=compressed)
    if not np.isfinite(found).all():
        raise ValueError(f"{name} has values that are not finite")
    return found


def check_checkpoint(path: str | Path, found: str, expected: str | None) -> None:
    """Raise an InputError where a shard is not of the network with a digest; None is any network.

    Parameters
    ----------
    path : path of the shard, for the error's line.
    found : digest of the weights that the shard states.
    expected : digest of the weights that it must state.
    """
    if expected is not None and found != expected:
        raise InputError(
            f"{path}: is of another checkpoint, weights {found[:12]}, than the run's, weights "
            f"{expected[:12]}; delete it and run again, which makes it anew"
        )


def write_names(file: h5py.File, names: Sequence[str]) -> None:
    """Write dataset `image_id` (N,)."""
    file.create_dataset("image_id", data=list(names), dtype=h5py.string_dtype())


def names(file: h5py.File) -> list[str]:
    """Read the names that `write_names` wrote."""
    return [name.decode() for name in values(file, "image_id", "O", None)]


def write_frames(file: h5py.File, frames: Sequence[Frame]) -> None:
    """Write dataset `frame` (N, 8)."""
    rows = [frame.to_row() for frame in frames]
    file.create_dataset("frame", data=np.array(rows, np.float64).reshape(-1, 8))


def frames(file: h5py.File, count: int) -> list[Frame]:
    """Read the frames that `write_frames` wrote, for that many images."""
    return [Frame.from_row(row) for row in finite(file, "frame", count, 8)]
