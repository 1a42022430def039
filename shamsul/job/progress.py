"""Progress in whole lines, so that it reads well on a screen and in a job's log alike."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")
logger = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between two lines."""


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items; every few seconds log how many are done and how long the rest will take.

    Parameters
    ----------
    items : items to iterate over.
    what : beginning of each line.
    total : number of items, where `items` has no length.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    start = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - last >= INTERVAL:
            last = now
            rest = (
                f" of {total}, {(now - start) / done * (total - done):.0f} s left" if total else ""
            )
            logger.info("%s: %d%s", what, done, rest)
        yield item
