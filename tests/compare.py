"""Compare the results of two runs, byte for byte: `python -m tests.compare FOLDER FOLDER`.

Prints how many files of each kind are equal, names those that are not or that only one run has, and
exits with 1 where there are any. Files that hold wall times or time stamps are left out.
"""

from __future__ import annotations

import collections
import hashlib
import sys
from pathlib import Path

TIMED = {"tables/history.parquet", "tables/runtime.parquet", "report.html"}
"""Results that hold wall times or time stamps."""
NO_RESULTS = {"logs", "benchmarks", "image_files", "changed_images"}


def files(folder: Path) -> dict[str, Path]:
    """Results by their names in the run's folder."""
    found = {file.relative_to(folder): file for file in sorted(folder.rglob("*"))}
    return {
        name.as_posix(): file
        for name, file in found.items()
        if file.is_file() and not NO_RESULTS & set(name.parts)
    }


def digests(folder: Path) -> dict[str, str]:
    """sha256 of each result that another run of the same configuration must make equal."""
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in files(folder).items()
        if name not in TIMED
    }


def main() -> None:
    """Compare two folders that the command line names."""
    ours, theirs = (digests(Path(folder)) for folder in sys.argv[1:3])
    equal = {name for name in ours.keys() & theirs.keys() if ours[name] == theirs[name]}
    if not equal:
        sys.exit("no file is equal; are these the folders of two runs, results/<run>?")
    kinds = collections.Counter(Path(name).suffix or name for name in equal)
    print("equal:", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    for name in sorted((ours.keys() | theirs.keys()) - equal):
        only = [] if name in ours and name in theirs else [sys.argv[1 if name in ours else 2]]
        print(f"only in {only[0]}:" if only else "differs:", name)
    sys.exit(0 if len(equal) == len(ours.keys() | theirs.keys()) else 1)


if __name__ == "__main__":
    main()
