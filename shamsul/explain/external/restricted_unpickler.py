"""An unpickler that calls only named functions, in time proportional to the file's length.

The functions that a pickle may call are listed in `shamsul.explain.external.unpickle`.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any, ClassVar

LARGEST_KEY = 2**32
"""Bound of a dictionary's integer keys; larger ones allow hash-collision attacks."""
FAULTS = (
    pickle.UnpicklingError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError,
    EOFError, RuntimeError, MemoryError, ImportError, struct.error, zipfile.BadZipFile,
)  # fmt: skip
"""Exceptions that unpickling raises on files that are truncated, damaged or hostile."""


class Refused(pickle.UnpicklingError):
    """The error of a pickle that asks for anything but tensors, arrays and plain values."""


class Restricted(pickle._Unpickler):
    """An unpickler of lists, tuples, dictionaries and the names that a subclass knows.

    It extends the unpickler of Python's library that is written in Python. The one in C looks keys
    up before they can be checked, and hashing a key of n nested tuples can take 2**n steps.
    """

    stateful: ClassVar[tuple[type[Any], ...]] = ()
    """Classes whose `__setstate__` may be called; each checks the state that it is given."""
    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]

    def names(self) -> dict[tuple[str, str], Any]:
        """Return the replacement of each name (module, name), made anew at each call."""
        raise NotImplementedError

    def find_class(self, module: str, name: str) -> Any:
        """Return the replacement of a name in a pickle, or refuse it."""
        known = self.names()
        if (module, name) not in known:
            raise Refused(f"it asks for {module}.{name}"[:200])
        return known[module, name]

    def _fill(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise Refused("it sets items of what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, bytes) and not (type(key) is int and abs(key) < LARGEST_KEY):
                raise Refused("a dictionary's key is neither text nor a small number")
            target[key] = value

    def _dictionary(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._fill(items)

    def _item(self) -> None:
        value = self.stack.pop()
        self._fill([self.stack.pop(), value])

    def _items(self) -> None:
        self._fill(self.pop_mark())

    def _bytearray(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(length)))  # Read first: the length may be a lie.

    def _set(self) -> None:
        raise Refused("it holds a set")

    def _state(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], self.stateful):
            raise Refused("it sets attributes")
        self.stack[-1].__setstate__(state)

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.DICT[0]: _dictionary,
        pickle.SETITEM[0]: _item,
        pickle.SETITEMS[0]: _items,
        pickle.BYTEARRAY8[0]: _bytearray,
        pickle.EMPTY_SET[0]: _set,
        pickle.ADDITEMS[0]: _set,
        pickle.FROZENSET[0]: _set,
        pickle.BUILD[0]: _state,
    }
