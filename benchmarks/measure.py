"""What the benchmarks share: alternating timings, and one JSON line for each comparison."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any


def alternate(
    ours: Callable[[], Any], peer: Callable[[], Any], rounds: int = 5
) -> tuple[float, float]:
    """Median seconds of two functions, called in turn in one process after a call to warm up."""
    taken: tuple[list[float], list[float]] = ([], [])
    for round_ in range(rounds + 1):
        for function, times in zip((ours, peer), taken, strict=True):
            start = time.perf_counter()
            function()
            if round_:
                times.append(time.perf_counter() - start)
    return statistics.median(taken[0]), statistics.median(taken[1])


def line(
    value: float, *, at_most: float | None = None, at_least: float | None = None, **more: Any
) -> dict[str, Any]:
    """The line of one comparison; `name` is added by `main`."""
    bound = at_most if at_most is not None else at_least
    assert bound is not None
    holds = value <= bound if at_most is not None else value >= bound
    rounded = {
        key: float(f"{number:.4g}") if isinstance(number, float) else number
        for key, number in more.items()
    }
    return {
        "value": float(f"{value:.4g}"),
        "bound": f"{'<=' if at_most is not None else '>='} {bound:g}",
        "holds": bool(holds),
        **rounded,
    }


def peer(package: str) -> dict[str, str]:
    """Name and version of a peer."""
    return {"peer": package, "peer_version": version(package)}


def main(comparisons: Mapping[str, Callable[[], dict[str, Any]]]) -> None:
    """Run the comparisons named on the command line, or all; exit with 1 where a bound fails."""
    names = sys.argv[1:] or list(comparisons)
    for name in names:
        if name not in comparisons:
            sys.exit(f"unknown comparison {name!r}; there are {', '.join(comparisons)}")
    holds = True
    for name in names:
        found = {"name": name, **comparisons[name]()}
        print(json.dumps(found), flush=True)
        holds &= found["holds"]
    sys.exit(0 if holds else 1)
