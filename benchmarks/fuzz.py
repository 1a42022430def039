"""Fuzzing of every parser of bytes from elsewhere: valid files, changed at random.

Run by hand: ``python -m benchmarks.fuzz [NAME...] [--seconds N]``, one JSON line for each parser,
each in a process of its own. A file must end in a result, or in one line that names it. Any other
exception, a file that takes more than `LONGEST` seconds, more than `MEMORY` of memory, a program
started, a connection, or a file written is a finding: the file is kept, and its path told.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from shamsul.errors import InputError, is_fault

LONGEST = 5
"""Seconds that one small file may take."""
MEMORY = 3 * 2**30
"""Bytes of address space that a parser may take beyond what it has at its beginning."""
SEED = 13
STARTED = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "socket.connect",
)
"""Audit events of programs that are started, and of connections."""
PARTS = [
    *(
        b"",
        b"\0",
        b"\xff" * 4,
        b"\x7f\xff\xff\xff",
        b"\x80\0\0\0",
        b"-1",
        b"1e999",
        b"NaN",
        b"null",
    ),
    *(b"99999999999999999999", b"[]", b"{}", b'"', b"'", b",", b"\n", b"../../etc/passwd", b"%s%n"),
    *(b"=cmd()", b"<script>", b"$(touch x)", b"\xe2\x80\xae", b"[" * 2000, b"0" * 500),
]
"""Bytes that are put into files."""
VALUES: list[Any] = [
    *(None, True, "", "x", "-1", "../x", [], {}, [[]], [None], {"": 0}, 0, -1, 1, 0.5, 1e300, -1e9),
    *(2**31, 2**63, 10**30, float("nan"), float("inf"), [1, 2, 3], [[1, 2], [3]], "9" * 50),
]
"""Values that are put into JSON."""


class HangError(BaseException):
    """A file took longer than `LONGEST`. No reader may take this for a fault of the file."""


def changed(seed: bytes, rng: random.Random) -> bytes:
    """Bytes of a file with one to six changes at random; of JSON also whole values."""
    if seed[:1] in b"{[" and rng.random() < 0.7:
        content = json.loads(seed)
        for _ in range(rng.randint(1, 3)):
            content = _other_value(content, rng)
        return json.dumps(content).encode()
    found = bytearray(seed)
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        at = rng.randrange(len(found) + 1)
        end = min(len(found), at + rng.choice([1, 1, 2, 4, 8, 64]))
        kind = rng.randrange(6)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            found[at:end] = rng.randbytes(end - at)
        elif kind == 2:
            found[at:end] = rng.choice(PARTS)
        elif kind == 3:
            del found[at:end]
        elif kind == 4:
            found[at:at] = found[at:end] * rng.choice([1, 2, 50])
        elif rng.random() < 0.3:
            del found[at:]
    return bytes(found)


def _other_value(content: Any, rng: random.Random) -> Any:
    """JSON's content with one value, somewhere in it, exchanged, left out or repeated."""
    if not isinstance(content, dict | list) or not content or rng.random() < 0.1:
        return copy.deepcopy(rng.choice(VALUES))
    key = rng.choice(list(content)) if isinstance(content, dict) else rng.randrange(len(content))
    kind = rng.random()
    if kind < 0.1:
        del content[key]
    elif kind < 0.15 and isinstance(content, list):
        content.append(copy.deepcopy(content[key]))
    elif kind < 0.2 and isinstance(content, dict):
        content[rng.choice(["", "img_size", "p9.png", "Mass "])] = content.pop(key)
    else:
        content[key] = _other_value(content[key], rng)
    return content


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Yield the list of what is started, opened for connection, or written outside of a folder."""
    seen: list[str] = []
    on = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not on[0]:
            return
        if event in STARTED:
            seen.append(f"{event} {arguments[:1]}")
        elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
            # Compiled modules are kept where Python wants them.
            name = str(arguments[0])
            if not name.startswith(str(folder)) and ".pyc" not in name:
                seen.append(f"writes {name}")

    sys.addaudithook(hook)
    try:
        yield seen
    finally:
        on[0] = False


def judged(read: Any, path: Path, seen: list[str]) -> tuple[str, str]:
    """What came of a file: `read`, `refused` or a finding, and the line that tells it."""
    seen.clear()
    try:
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        lines = read(path) or []
        signal.setitimer(signal.ITIMER_REAL, 0)
        kind = "read"
    except InputError as error:
        lines, kind = [str(error)], "refused"
        named = path.name in str(error) or str(path.parent) in str(error) or "image" in str(error)
        if not named:
            return "nameless", str(error)
    except HangError:
        return "hang", ""
    except BaseException as error:  # This is what is looked for.
        if not is_fault(error):
            raise
        return f"{type(error).__name__}", str(error)[:300]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if seen:
        return "does something", seen[0]
    for line in lines:
        if "\n" in line or "\x1b" in line or "object has no attribute" in line:
            return "unclear line", line[:300]
    return kind, ""


def campaign(
    name: str, folder: Path, seconds: float = 1e9, inputs: int = 10**9, keep: Path | None = None
) -> dict[str, Any]:
    """Read changed files until the time is over; the same inputs for the same number of them."""
    from benchmarks.foreign_files import PARSERS

    parser = PARSERS[name]
    (folder / "seeds").mkdir()
    seeds = parser.seeds(folder / "seeds")
    place = folder / "read"
    place.mkdir()
    path = place / parser.ending
    rng = random.Random(f"{SEED} {name}")
    counts = {"read": 0, "refused": 0}
    findings: dict[str, str] = {}
    signal.signal(signal.SIGALRM, _hang)
    stop = time.monotonic() + seconds
    done = 0
    with watched(folder) as seen, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in seeds:
            path.write_bytes(seed)
            parser.read(path)
        while done < inputs and time.monotonic() < stop:
            content = changed(rng.choice(seeds), rng)
            path.write_bytes(content)
            kind, line = judged(parser.read, path, seen)
            done += 1
            counts[kind] = counts.get(kind, 0) + 1
            if kind not in ("read", "refused") and f"{kind} {line}"[:60] not in findings:
                findings[f"{kind} {line}"[:60]] = f"{kind}: {line}"
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{name}-{len(findings)}-{parser.ending}").write_bytes(content)
    return {"name": name, "inputs": done, **counts, "findings": list(findings.values())}


def _hang(number: int, frame: FrameType | None) -> None:
    raise HangError


def _one(name: str, seconds: float, keep: Path) -> None:
    """Fuzz one parser in this process, whose memory is bounded."""
    import benchmarks.foreign_files  # noqa: F401  Its libraries take memory before the bound.

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(campaign(name, Path(folder), seconds, keep=keep)), flush=True)


def main() -> None:
    """Fuzz the parsers that are named, or all; exit with 1 where there is a finding."""
    from benchmarks.foreign_files import PARSERS

    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(PARSERS)}")
    given.add_argument("--seconds", type=float, default=30, help="time for each parser")
    given.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="folder of findings"
    )
    given.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = given.parse_args()
    if options.one:
        return _one(options.names[0], options.seconds, options.keep)
    well = True
    for name in options.names or list(PARSERS):
        command = [sys.executable, "-m", "benchmarks.fuzz", "--one", name]
        command += ["--seconds", str(options.seconds), "--keep", str(options.keep)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        line = done.stdout or json.dumps(
            {"name": name, "findings": [f"died with {done.returncode}: {done.stderr[-500:]}"]}
        )
        print(line.strip(), flush=True)
        well &= not json.loads(line)["findings"]
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
