"""Options of a job's command: bash must read the very files that the rule names, in their order."""

import argparse
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shamsul.job import options

PIECES = st.text(st.sampled_from("ab.-,{}'\" $*~"), min_size=1, max_size=4)
PATHS = st.lists(st.lists(PIECES, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8)


def expanded(words):
    """What bash makes of words of a command."""
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True, text=True
    )
    return done.stdout.split("\0")[:-1]


@settings(max_examples=60, deadline=None)
@given(PATHS)
def test_bash_reads_the_same_paths_in_the_same_order(paths):
    assert expanded(options.braces(paths)) == paths


@pytest.mark.parametrize(
    "paths",
    [
        ["a"],
        ["a", "a"],
        ["/abs/x.h5", "rel/x.h5", "/"],
        ["r/maps of/it's.h5", "r/maps of/{a,b}.h5"],
        ["s/t-0.parquet", "s/t-0.files.parquet", "s/t-1.parquet", "s/t-1.files.parquet"],
    ],
)
def test_unusual_names_stay_as_they_are(paths):
    assert expanded(options.braces(paths)) == paths


def test_the_command_of_many_methods_and_shards_is_short():
    paths = [f"results/run/m/method{m}/test-{s:04d}.h5" for m in range(100) for s in range(1000)]
    word = options.braces(paths)
    assert len(word) < 2**17 / 4
    assert expanded(word) == paths


def test_values_without_anything_are_no_options_and_names_are_spelled_with_hyphens():
    text = options.write({"per_image": "a b", "human": None, "masks": [], "maps": ["x.1", "x.2"]})
    parser = argparse.ArgumentParser()
    parser.add_argument("--per-image")
    parser.add_argument("--maps", nargs="+", type=Path)
    read = parser.parse_args(expanded(text))
    assert read == argparse.Namespace(per_image="a b", maps=[Path("x.1"), Path("x.2")])
