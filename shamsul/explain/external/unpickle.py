"""Pickles made elsewhere, read without executing what is in them.

A pickle is a program: it may call anything that can be imported. Those that CheXlocalize publishes
(Saporta et al., Nature Machine Intelligence 2022) hold tensors and plain values, and for these a
handful of functions suffices. Their names lead to functions of this module that check what they
are given; any other name is refused. Nothing of torch or NumPy is called by the pickle itself.

A small pickle can also ask for more time or memory than there is. So keys of dictionaries must be
text or small numbers, and the memory of tensors is counted for the whole file.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from shamsul.errors import InputError, first_line
from shamsul.explain.external.restricted_unpickler import FAULTS, Refused, Restricted

LARGEST_FILE = 2**29
"""Largest file in bytes."""
LARGEST_CONTENT = 2**28
"""Largest sum in bytes of a file's tensors, beside the file itself. A pickle that names a content
again makes it again."""
LARGEST_ARRAY = 2**26
"""Largest number of elements of an array. A tensor may claim to repeat one element, and take no
memory until it is copied."""
STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "bf16",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "|i1",
    "ByteStorage": "|u1", "BoolStorage": "|b1", "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}  # fmt: skip
"""torch's names for the types of numbers, with NumPy's where NumPy has the type."""
TORCH = 0x1950A86A20F9469CFC6C
"""Magic number that the older of torch's two formats begins with."""


def load(path: Path) -> Any:
    """Read what a pickle holds, its tensors as NumPy arrays.

    Raises
    ------
    InputError
        The file is missing, too large, damaged, or asks for anything but tensors, arrays and plain
        values: names the file and what it asks for.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: larger than {LARGEST_FILE >> 20} MiB; no heatmap is")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: not readable ({error})") from None
    try:
        return _Values(io.BytesIO(content)).load()
    except FAULTS as error:
        told = first_line(error)
        if isinstance(error, AttributeError | TypeError):  # Python's own words for it.
            told = "damaged"
        raise InputError(
            f"{path}: not a pickle of tensors and plain values ({told}); "
            "export its maps as .npy files, or remove it"
        ) from None


class _Dtype:
    """A type of number, in place of ``numpy.dtype``."""

    def __init__(self, code: Any) -> None:
        codes = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
        if type(code) is not str or code not in codes:
            raise Refused("an array is not of numbers")
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the order of bytes, the second of a dtype's parts."""
        if state[1] not in ("<", ">", "|", "="):
            raise Refused("an array's order of bytes is unknown")
        self.order = state[1]


class _Array:
    """An array whose content follows, in place of ``numpy.ndarray``."""

    value: NDArray[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take shape, type, order and bytes, those of an array's parts after its version."""
        _, shape, kind, fortran, raw = state
        self.value = _array(raw, kind, shape, bool(fortran))


class _Values(Restricted):
    """The unpickler that knows the names which tensors, arrays and plain values are made of."""

    stateful: ClassVar[tuple[type[Any], ...]] = (_Dtype, _Array)
    left = LARGEST_CONTENT

    def spend(self, room: int) -> None:
        """Count bytes of memory that the file asks for, and refuse too many."""
        self.left -= room
        if self.left < 0:
            raise Refused(f"its tensors take up more than {LARGEST_CONTENT >> 20} MiB")

    def names(self) -> dict[tuple[str, str], Any]:
        """Return the functions that stand for the names of tensors and arrays."""
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): lambda: {},
            ("__builtin__", "bytes"): lambda: b"",
            ("_codecs", "encode"): lambda text, code: self._latin1(text, code),
            ("torch.storage", "_load_from_bytes"): lambda content: self._storage(content),
            ("torch._utils", "_rebuild_tensor_v2"): lambda *parts: _tensor(*parts[:4]),
            ("numpy", "dtype"): lambda code, *_: _Dtype(code),
            ("numpy", "ndarray"): lambda: None,
        }
        for package in ("numpy.core", "numpy._core"):
            known |= {
                (f"{package}.multiarray", "_reconstruct"): lambda *_: _Array(),
                (f"{package}.multiarray", "scalar"): lambda kind, raw: _array(raw, kind, ()).item(),
                (f"{package}.numeric", "_frombuffer"): lambda raw, kind, shape, order: _array(
                    raw, kind, shape, order == "F"
                ),
            }
        return known

    def _latin1(self, text: str, code: str) -> bytes:
        """Encode bytes that the oldest pickles write as text."""
        if code != "latin1":
            raise Refused("it asks for a codec other than latin1")
        self.spend(len(text))
        return text.encode("latin1")

    def _storage(self, content: bytes) -> _Storage:
        try:
            zipped = content.startswith(b"PK\x03\x04")
            kind, raw = _archived(content, self.spend) if zipped else _written(content)
            if kind != "bf16":
                return _Storage(np.frombuffer(raw, kind))
            # A bfloat16 is the upper half of a float of 32 bits.
            self.spend(4 * len(raw))
            return _Storage((np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4"))
        except (*FAULTS, OSError) as error:
            told = str(error) if isinstance(error, Refused) else "it is damaged"
            raise Refused(f"the content of a tensor is not numbers alone: {told}") from None


@dataclass(frozen=True)
class _Storage:
    """The flat content of a tensor, out of the pickle's reach."""

    flat: NDArray[Any]


class _Content(Restricted):
    """The unpickler inside a tensor's content; it knows torch's types of numbers alone."""

    def names(self) -> dict[tuple[str, str], Any]:
        """Return torch's types of numbers."""
        return {("torch", name): kind for name, kind in STORAGES.items()}

    def persistent_load(self, pid: Any) -> Any:
        """Return the five parts that name a storage, as they are."""
        return pid


def _named(pid: Any) -> tuple[str, str, int]:
    """Return the type of number, the name and the length in bytes of a tensor's content."""
    _, kind, key, _, count = pid[:5]
    if kind not in STORAGES.values() or type(key) is not str or type(count) is not int or count < 0:
        raise Refused("it is no storage")
    return kind, key, count * (2 if kind == "bf16" else np.dtype(kind).itemsize)


def _written(content: bytes) -> tuple[str, bytes | memoryview]:
    """Read a tensor's content as torch before 1.6 and tensors in pickles write it.

    Five pickles (a number to know it by, the version, the machine, the storage, the names of all
    storages), then the number of elements, then these.
    """
    stream = io.BytesIO(content)
    magic, _, _, pid, names = (_Content(stream).load() for _ in range(5))
    kind, key, length = _named(pid)
    if magic != TORCH or names != [key]:
        raise Refused("it is no storage")
    start = stream.tell() + 8
    raw = memoryview(content)[start : start + length]
    if len(raw) != length:
        raise Refused("it is too short")
    return kind, raw


def _archived(content: bytes, spend: Callable[[int], None]) -> tuple[str, bytes]:
    """Read a tensor's content as `torch.save` has written it since 1.6: a zip archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")

        def part(name: str) -> bytes:
            entry = archive.getinfo(folder + name)
            if entry.compress_type != zipfile.ZIP_STORED:
                raise Refused("it is compressed, which torch never does")
            spend(entry.file_size)
            return archive.read(entry)

        if f"{folder}byteorder" in archive.namelist() and part("byteorder") != b"little":
            raise Refused("its order of bytes is not the usual")
        kind, key, length = _named(_Content(io.BytesIO(part("data.pkl"))).load())
        raw = part(f"data/{key}")
    if len(raw) != length:
        raise Refused("it is of another length than it says")
    return kind, raw


def plain(value: Any) -> Any:
    """Return the array where a pickle holds one, anything else as it is."""
    return value.value if isinstance(value, _Array) else value


def _array(raw: Any, kind: Any, shape: tuple[int, ...], fortran: bool = False) -> NDArray[Any]:
    if not isinstance(kind, _Dtype) or not isinstance(raw, bytes | bytearray):
        raise Refused("an array is not of numbers")
    flat = np.frombuffer(raw, np.dtype(kind.order + kind.code))
    return flat.reshape(_checked(shape), order="F" if fortran else "C")


def _tensor(
    storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> NDArray[Any]:
    """Return a tensor as an array, or refuse one that reaches beyond its storage."""
    if not isinstance(storage, _Storage):
        raise Refused("a tensor has no content")
    flat, sides, steps = storage.flat, _checked(size), _whole(stride)
    (first,) = _whole((offset,))
    last = first + sum((side - 1) * step for side, step in zip(sides, steps, strict=True))
    if 0 in sides:
        return np.zeros(sides, flat.dtype)
    if last >= len(flat):
        raise Refused("a tensor is larger than its content")
    apart = tuple(step * flat.itemsize for step in steps)
    return np.lib.stride_tricks.as_strided(flat[first:], sides, apart, writeable=False)


def _checked(shape: Any) -> tuple[int, ...]:
    sides = _whole(shape)
    if math.prod(sides) > LARGEST_ARRAY:
        raise Refused(f"an array of {' x '.join(map(str, sides))} is too large")
    return sides


def _whole(numbers: Any) -> tuple[int, ...]:
    """Return the sides or steps of an array; refuse many or negative ones."""
    if not isinstance(numbers, tuple) or len(numbers) > 8:
        raise Refused("an array has too many sides")
    if not all(type(number) is int and 0 <= number < 2**40 for number in numbers):
        raise Refused("an array's shape is not of whole numbers")
    return numbers
