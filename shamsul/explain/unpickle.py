"""Pickles from elsewhere, read without running what is in them.

A pickle is a program: it may call anything that can be imported. Those that CheXlocalize publishes
(Saporta et al., Nature Machine Intelligence 2022) hold tensors and plain values, and for these a
handful of functions suffices. Their names lead to functions of this module that check what they
are given; any other name is refused. Nothing of torch or NumPy is called by the pickle itself.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.errors import InputError

if TYPE_CHECKING:
    import torch
else:
    torch = lazy.load("torch")

LARGEST_FILE = 2**29
"""Bytes."""
LARGEST_ARRAY = 2**26
"""Elements: a tensor may say that it repeats one element, and take no room until it is copied."""
LARGEST_MEMO = 2**20
"""Objects that a pickle may number; a single high number makes room for all below it."""
FAULTS = (
    pickle.UnpicklingError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError,
    EOFError, RuntimeError, MemoryError, ImportError,
)  # fmt: skip
"""What unpickling raises on files that are truncated, damaged or hostile."""


class Refused(pickle.UnpicklingError):
    """The pickle asks for something that is neither a tensor, an array nor a plain value."""


def load(path: Path) -> Any:
    """What a pickle holds, its tensors as NumPy arrays.

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
        for opcode, argument, _ in pickletools.genops(content):
            numbers = opcode.name in ("PUT", "BINPUT", "LONG_BINPUT")
            if numbers and argument is not None and argument > LARGEST_MEMO:
                raise Refused(f"it numbers {argument} objects")
        return _Unpickler(io.BytesIO(content)).load()
    except FAULTS as error:
        told = str(error).splitlines() or [type(error).__name__]
        raise InputError(
            f"{path}: not a pickle of tensors and plain values ({told[0]}); "
            "export its maps as .npy files, or remove it"
        ) from None


class _Unpickler(pickle.Unpickler):
    """Knows the names that tensors, arrays and plain values are made of, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name in a pickle."""
        # Made anew each time: a pickle can set attributes of what it is given.
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): lambda: {},
            ("__builtin__", "bytes"): lambda: b"",
            ("_codecs", "encode"): lambda text, code: _latin1(text, code),
            ("torch.storage", "_load_from_bytes"): lambda content: _Storage(content),
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
        if (module, name) not in known:
            raise Refused(f"it asks for {module}.{name}"[:200])
        return known[module, name]


class _Dtype:
    """A type of number, in the place of ``numpy.dtype``."""

    def __init__(self, code: str) -> None:
        if code not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
            raise Refused(f"an array of {str(code)[:20]!r} is not of numbers")
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the order of bytes, the second of a dtype's parts."""
        if state[1] not in ("<", ">", "|", "="):
            raise Refused("an array's order of bytes is unknown")
        self.order = state[1]


class _Array:
    """An array whose content follows, in the place of ``numpy.ndarray``."""

    value: NDArray[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take shape, type, order and bytes, those of an array's parts after its version."""
        _, shape, kind, fortran, raw = state
        self.value = _array(raw, kind, shape, fortran)


def plain(value: Any) -> Any:
    """An array where a pickle holds one, anything else as it is."""
    return value.value if isinstance(value, _Array) else value


def _array(raw: Any, kind: Any, shape: tuple[int, ...], fortran: bool = False) -> NDArray[Any]:
    if not isinstance(kind, _Dtype) or not isinstance(raw, bytes | bytearray):
        raise Refused("an array is not of numbers")
    flat = np.frombuffer(raw, np.dtype(kind.order + kind.code))
    return flat.reshape(_checked(shape), order="F" if fortran else "C")


def _latin1(text: str, code: str) -> bytes:
    """Bytes as the oldest pickles write them."""
    if code != "latin1":
        raise Refused(f"it asks for the codec {str(code)[:20]!r}")
    return text.encode("latin1")


class _Storage:
    """The flat content of a tensor, out of the pickle's reach."""

    def __init__(self, content: bytes) -> None:
        # It is a pickle once more, which torch's own restricted reader reads.
        try:
            storage = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            self.flat = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
        except Exception:  # Whatever torch raises on content that is none.
            raise Refused("the content of a tensor is not numbers alone") from None


def _tensor(
    storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> NDArray[Any]:
    """A tensor as an array. Beyond its storage it ends in an error, and not in strange memory."""
    if not isinstance(storage, _Storage):
        raise Refused("a tensor has no content")
    view = torch.as_strided(storage.flat, _checked(size), stride, offset)
    return (view.float() if view.is_floating_point() else view).numpy()


def _checked(shape: tuple[int, ...]) -> tuple[int, ...]:
    sides = tuple(shape)
    if not all(type(side) is int and side >= 0 for side in sides):
        raise Refused("an array's shape is not of whole numbers")
    if math.prod(sides) > LARGEST_ARRAY:
        raise Refused(f"an array of {' x '.join(map(str, sides))} is too large")
    return sides
