"""What the programs in `scripts/` share: how they log, and how they fail."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from shamsul.errors import InputError
from shamsul.job import watchdog

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A disk is full, a quota is used up, or a file is larger than files may be."""


def run(main: Callable[[], None]) -> None:
    """Run a program: log to standard error, and end with one line where the input is at fault, or
    there is no room for what it writes, or no memory.

    On SIGTERM it removes what it has not finished writing, as on any error.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    # This program's own progress, and not every step of the libraries that it uses.
    logging.getLogger("shamsul").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _terminate)
    if parent := os.environ.get(watchdog.PARENT):
        watchdog.watch(int(parent))
    try:
        main()
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


def _is_of_memory(error: Exception) -> bool:
    """Whether memory ran out; torch, which is not imported here, has errors of its own for it."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(error)
    )


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
