"""What the benchmarks share: alternating timings, and one JSON line for each comparison."""

from __future__ import annotations

import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent


def seconds(function: Callable[[], Any]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def alternate(
    ours: Callable[[], Any],
    peer: Callable[[], Any],
    rounds: int = 5,
    cost: Callable[[Callable[[], Any]], float] = seconds,
) -> tuple[float, float]:
    """Return median costs of two functions, called in turn after a call of each to warm up."""
    taken: tuple[list[float], list[float]] = ([], [])
    for round_ in range(rounds + 1):
        for function, costs in zip((ours, peer), taken, strict=True):
            found = cost(function)
            if round_:
                costs.append(found)
    return statistics.median(taken[0]), statistics.median(taken[1])


def processor_seconds(command: Sequence[str | Path], folder: Path, **variables: str) -> float:
    """Return user and system time of a process, from its start to its end.

    Other processes on the machine change it far less than wall time.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, env=os.environ | variables,
            stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{command}: {said.read().decode()}")
    return usage.ru_utime + usage.ru_stime


def peak() -> float:
    """Return the most memory that this process has held since it began, in MiB.

    It is `VmHWM`. `ru_maxrss` is no measure of a child: the kernel hands it down, so that a child
    begins with the peak of the process that started it.
    """
    return _status("VmHWM")


def added(function: Callable[[], Any]) -> float:
    """Return the memory in MiB that a call adds at most to what this process holds before it."""
    Path("/proc/self/clear_refs").write_text("5")  # The peak is what is held now.
    before = _status("VmRSS")
    function()
    return peak() - before


def peak_of(program: str) -> float:
    """Return the peak memory in MiB of a new process that runs a program and does nothing else."""
    ask = "\nimport benchmarks.measure\nprint(benchmarks.measure.peak())"
    done = subprocess.run(
        [sys.executable, "-c", program + ask], capture_output=True, text=True, check=False,
        cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout.split()[-1])


def _status(key: str) -> float:
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"^{key}:\s+(\d+) kB$", text, re.MULTILINE)
    assert found, key
    return int(found[1]) / 1024


def line(
    value: float, *, at_most: float | None = None, at_least: float | None = None, **more: Any
) -> dict[str, Any]:
    """Return the line of one comparison; `name` is added by `main`.

    Nothing that is infinite, NaN, zero or negative holds: no ratio and no cost is, so that it was
    not measured.

    Raises
    ------
    ValueError
        There is no bound, or two.
    """
    if (at_most is None) == (at_least is None):
        raise ValueError("a comparison has one bound: at_most or at_least")
    bound = at_most if at_most is not None else at_least
    assert bound is not None
    holds = value <= bound if at_most is not None else value >= bound
    holds = holds and math.isfinite(value) and value > 0
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
    """Return name and version of a peer."""
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
