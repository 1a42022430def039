"""What the programs in `scripts/` share: how they log, and how they fail."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Callable

from shamsul.errors import InputError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A disk is full, a quota is used up, or a file is larger than files may be."""


def run(main: Callable[[], None]) -> None:
    """Run a program: log to standard error, and end with one line where the input is at fault, or
    there is no room for what it writes.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    # This program's own progress, and not every step of the libraries that it uses.
    logging.getLogger("shamsul").setLevel(logging.INFO)
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        sys.exit(f"error: {error.filename}: {error.strerror}; make room and run again")
