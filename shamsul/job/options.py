"""Command lines of jobs, written from the names that a rule gives to its files."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Mapping, Sequence


def write(values: Mapping[str, str | Sequence[str] | None]) -> str:
    """Return options for bash: `--name value` for each value, `_` in names as `-`.

    Parameters
    ----------
    values : values by the names of a program's parameters. A list is several values of one option.
        An option without a value (None, or an empty list) is left out.
    """
    words = {
        name: shlex.quote(value) if isinstance(value, str) else braces(value)
        for name, value in values.items()
        if value is not None and (isinstance(value, str) or len(value))
    }
    return " ".join(f"--{name.replace('_', '-')} {word}" for name, word in words.items())


def braces(paths: Sequence[str]) -> str:
    """Return a word that bash expands to the paths, in their order: `a/{b,c}.h5`.

    Linux allows 128 KiB for a command, and a command names thousands of files where there are many
    methods and shards. Any path can be written so, with blanks, quotes, commas or braces in it.
    """
    return _alternatives([_pieces(str(path)) for path in paths])


def _pieces(path: str) -> tuple[str, ...]:
    """Return the folders, the name and the suffixes of a path; joined, they are the path."""
    folders = re.findall(r"[^/]*/", path)
    name, dot, suffix = path[sum(map(len, folders)) :].partition(".")
    return (*folders, name, dot + suffix)


def _alternatives(paths: Sequence[tuple[str, ...]]) -> str:
    """Return the word for paths in pieces: what follows equal beginnings is written once."""
    if not any(paths):  # One path ends here, or some that are equal.
        return _one_of([""] * len(paths))
    groups: list[tuple[list[str], list[tuple[str, ...]]]] = []
    for head, group in itertools.groupby(paths, key=lambda path: path[:1]):
        tails = [path[1:] for path in group]
        if groups and groups[-1][1] == tails:
            groups[-1][0].extend(head)
        else:
            groups.append((list(head), tails))
    return _one_of([_one_of(map(_quoted, heads)) + _alternatives(tails) for heads, tails in groups])


def _one_of(words: Sequence[str] | map[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else f"{{{','.join(words)}}}"


def _quoted(piece: str) -> str:
    return shlex.quote(piece) if piece else ""
