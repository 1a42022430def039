"""Programs from signatures: the command line, logs and failures of those in `scripts/`.

The parameters of a program's `main` are its options, described in the docstring's section
"Parameters". Those after `*` are files that it writes. A rule gives its inputs, outputs and
settings the same names, and its command follows from these (rules/jobs.smk).
"""

from __future__ import annotations

import argparse
import errno
import inspect
import json
import logging
import os
import re
import signal
import sys
import typing
from collections.abc import Callable, Sequence
from types import FrameType, NoneType, UnionType
from typing import Any

from shamsul.errors import InputError
from shamsul.job import watchdog

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A disk is full, a quota is used up, or a file is larger than files may be."""


def run(main: Callable[..., None]) -> None:
    """Run a program on its command line; log to standard error.

    It ends with one line where the input is at fault, or there is no room for what it writes, or no
    memory. On SIGTERM it removes what it has not finished writing, as on any error.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    # This program's own progress, and not every step of the libraries that it uses.
    logging.getLogger("shamsul").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _terminate)
    if parent := os.environ.get(watchdog.PARENT):
        watchdog.watch(int(parent))
    try:
        call(main)
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        sys.exit(f"error: {error.filename}: {error.strerror}; make room and run again")
    except (MemoryError, RuntimeError) as error:
        if not _is_of_memory(error):
            raise
        sys.exit(f"error: out of memory: {(str(error).splitlines() or ['no more to be had'])[0]}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted")


def call(main: Callable[..., None], arguments: Sequence[str] | None = None) -> None:
    """Call a program's `main` with the values of a command line, by default this process's.

    Without parameters it is called as it is: it may read the command line itself.
    """
    if inspect.signature(main).parameters:
        main(**vars(parser(main).parse_args(arguments)))
    else:
        main()


def parser(main: Callable[..., None]) -> argparse.ArgumentParser:
    """Return the parser of a program's command line, made from the signature of its `main`.

    Every parameter is an option: `per_image` is `--per-image`. One without a default is required.
    A `Path`, `str` or `int` is one value, a `list` or `Sequence` any number of them, a `dict` is
    JSON, and a `Literal` one of its values.
    """
    text, _, section = inspect.cleandoc(main.__doc__ or "").partition("\n\nParameters\n")
    told = _descriptions(section)
    hints = typing.get_type_hints(main)
    made = argparse.ArgumentParser(description=text)
    for name, parameter in inspect.signature(main).parameters.items():
        needed = parameter.default is parameter.empty
        options = _option(hints[name])
        if not needed and options.get("nargs"):
            options["nargs"] = "*"
        written = parameter.kind is parameter.KEYWORD_ONLY
        made.add_argument(
            f"--{name.replace('_', '-')}",
            required=needed,
            default=None if needed else parameter.default,
            help=told.get(name, "file to write" if written else None),
            **options,
        )
    return made


def _option(annotation: Any) -> dict[str, Any]:
    """Return what argparse has to know of a parameter's type."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (UnionType, typing.Union):
        return _option(next(part for part in inner if part is not NoneType))
    if origin in (list, Sequence):
        return _option(inner[0]) | {"nargs": "+"}
    if origin is dict:
        return {"type": json.loads, "metavar": "JSON"}
    if origin is typing.Literal:
        return {"choices": inner}
    return {"type": annotation}


def _descriptions(section: str) -> dict[str, str]:
    """Return the text of each parameter in a docstring's section: lines `name : text`."""
    items = re.split(r"^(\w+) : ", section, flags=re.MULTILINE)
    # A percent sign means something to argparse.
    texts = (" ".join(item.split()).rstrip(".").replace("%", "%%") for item in items[2::2])
    return dict(zip(items[1::2], texts, strict=True))


def _is_of_memory(error: Exception) -> bool:
    """Return whether memory ran out; torch, not imported here, has errors of its own for it."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(error)
    )


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
