"""Fuzzing, a little of it: the same changed files each time, for every parser of foreign bytes.

`python -m benchmarks.fuzz` does the same for as long as one likes.
"""

import json
import subprocess
import sys

import pytest

from benchmarks import fuzz
from benchmarks.foreign_files import PARSERS
from shamsul.errors import InputError
from shamsul.job.fingerprint import PROJECT

SLOW = {"checkpoint": 20}
"""Number of files for parsers that build a network for each."""


@pytest.mark.parametrize("name", PARSERS)
def test_changed_files_are_read_or_refused_in_one_line(tmp_path, name):
    found = fuzz.campaign(name, tmp_path, inputs=SLOW.get(name, 100))
    assert found["findings"] == []
    assert found["read"] + found["refused"] == found["inputs"] == SLOW.get(name, 100)


@pytest.mark.long
@pytest.mark.parametrize("name", PARSERS)
def test_changed_files_for_a_minute_in_bounded_memory(tmp_path, name):
    command = [sys.executable, "-m", "benchmarks.fuzz", name, "--seconds", "60", "--keep", tmp_path]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def raising(error):
    def read(path):
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda path: [], "read"),
        (lambda path: ["one line"], "read"),
        (lambda path: ["two\nlines"], "unclear line"),
        (lambda path: ["'X' object has no attribute 'y'"], "unclear line"),
        (lambda path: subprocess.run(["true"], check=True) and None, "does something"),
        (lambda path: (path.parents[2] / "out").write_text("x") and None, "does something"),
        (lambda path: (path.parent / "inside").write_text("x") and None, "read"),
        (raising(InputError("x.bin: damaged")), "refused"),
        (raising(InputError("something is damaged")), "nameless"),
        (raising(KeyError("x")), "KeyError"),
        (raising(MemoryError()), "MemoryError"),
        (raising(fuzz.HangError()), "hang"),
    ],
)  # fmt: skip
def test_a_finding_is_seen(tmp_path, read, kind):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "x.bin").write_bytes(b"x")
    with fuzz.watched(tmp_path / "a") as seen:
        assert fuzz.judged(read, folder / "x.bin", seen)[0] == kind


def test_the_same_files_come_each_time():
    seed = json.dumps({"a": [1, 2, {"b": None}]}).encode()

    def files(number):
        rng = fuzz.random.Random(number)
        return [fuzz.changed(seed, rng) for _ in range(200)]

    assert files(1) == files(1) != files(2)
    assert len(set(files(1))) > 100
