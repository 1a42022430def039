"""What the programs in `scripts/` share: how they log, and how they fail."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from shamsul.errors import InputError


def run(main: Callable[[], None]) -> None:
    """Run a program: log to standard error, and end with one line where the input is at fault."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    # This program's own progress, and not every step of the libraries that it uses.
    logging.getLogger("shamsul").setLevel(logging.INFO)
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
