"""Batches of a shard's rows, of a fixed size that is halved where memory is short."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = lazy.load("torch")

logger = logging.getLogger(__name__)

Part = TypeVar("Part")


def in_groups(
    function: Callable[[NDArray[np.intp]], tuple[Tensor, Tensor | None]], count: int, step: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield the results of `function` for groups of rows, the last cut to the rows that exist.

    Every group has `step` rows; the last ones are repeated to make up the number. On a GPU without
    the memory for so many the groups are halved (`in_parts`).
    """

    def padded(rows: NDArray[np.intp], step: int) -> tuple[Tensor, Tensor | None]:
        maps, errors = function(np.resize(rows, step))
        return maps[: len(rows)], None if errors is None else errors[: len(rows)]

    return in_parts(padded, count, step)


def in_parts(
    function: Callable[[NDArray[np.intp], int], Part], count: int, step: int
) -> Iterator[Part]:
    """Yield the results of ``function(rows, step)`` for all rows, at most `step` of them at a time.

    On a GPU without the memory for so many the parts are halved, and the log says so.
    """
    start = 0
    while start < count:
        rows = np.arange(start, min(start + step, count))
        try:
            part = function(rows, step)
        except torch.cuda.OutOfMemoryError:
            if step == 1:
                raise
            step //= 2
            logger.warning("GPU out of memory: going on with %d images at once", step)
            torch.cuda.empty_cache()
            continue
        yield part
        start += len(rows)
