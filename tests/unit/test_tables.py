"""Tables are what `shamsul.tables` says of them, and what follows from it is current."""

import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.api import types

from shamsul import config, tables
from shamsul.job.fingerprint import PROJECT
from shamsul.storage.tables import read_table
from shamsul.tables import TABLES
from shamsul.tables.columns import Column, count, number, share, text
from shamsul.tables.table import Table
from tests.results import make

OF_TYPE = {
    "text": types.is_string_dtype,
    "integer": types.is_integer_dtype,
    "number": types.is_float_dtype,
    "flag": types.is_bool_dtype,
}


def fault(values: pd.Series, column: Column) -> str:
    """What is wrong with a column's values; empty where nothing is."""
    # No value has no type, and a rank correlation of 1 may be rounded up.
    known = values.dropna()
    if not len(known):
        return ""
    if not OF_TYPE[column.type](values.dtype):
        return f"is {values.dtype}, not {column.type}"
    if column.values and (others := set(known) - set(column.values)):
        return f"has other values: {sorted(others)}"
    if column.low is not None and known.min() < column.low - 1e-9:
        return f"falls to {known.min()}"
    if column.high is not None and known.max() > column.high + 1e-9:
        return f"rises to {known.max()}"
    return ""


def check(name, table):
    """Columns, their order, types and values are as they are declared."""
    declared = TABLES[name].columns
    assert list(table.columns) == list(declared), name
    faults = {c: found for c, column in declared.items() if (found := fault(table[c], column))}
    assert not faults, name


def test_columns_of_a_finished_run_are_the_declared_ones(finished):
    files = {file.stem: file for file in (finished.results / "tables").iterdir()}
    assert set(files) == set(tables.existing(config.load(finished.configuration)))
    for name, file in files.items():
        check(name, read_table(file))


@pytest.mark.parametrize("kind", ["segmentation", "box"])
def test_columns_of_made_up_results_are_the_declared_ones(tmp_path, kind):
    results, _ = make(tmp_path, kind=kind)
    assert set(results.tables) == {*TABLES, "predictions", "manifest", "masks", "masked"}
    for name in TABLES:
        check(name, results.tables[name])
    # Not for want of rows.
    assert all(len(results.tables[name]) for name in TABLES if name != "regressions")


def test_a_wrong_column_is_found():
    assert fault(pd.Series([1.5]), count("")) == "is float64, not integer"
    assert fault(pd.Series([-1]), count("")) == "falls to -1"
    assert fault(pd.Series([0.5, 1.5]), share("")) == "rises to 1.5"
    assert fault(pd.Series(["a", "b"]), text("", "a")) == "has other values: ['b']"
    assert fault(pd.Series([None, float("nan")]), share("")) == ""
    assert fault(pd.Series(["a"]), number("")) != "" != fault(pd.Series([1]), text(""))


def test_every_column_and_table_is_explained():
    for table in TABLES.values():
        assert len(table.description) > 80, table.name
        for name, column in table.columns.items():
            first = column.meaning.split()[0]
            assert first not in ("Of", "What", "How", "Whether", "Where"), (table.name, name)
            assert column.meaning.endswith("."), (table.name, name)


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({}, {"chexlocalize"}),
        ({"probe": {"images": 0}}, {"chexlocalize", "faithfulness", "sanity"}),
        ({"evaluate": {"protocol": "chexlocalize", "rules": ["otsu"]}}, set()),
    ],
)
def test_some_tables_are_of_some_configurations_only(changes, absent):
    own = {
        "run": "x",
        "data": {"sources": [{"adapter": "phantom"}]},
        "explain": {"methods": [{"method": "grad_cam"}, {"method": "random"}]},
        "probe": {"images": 2},
    }
    found = tables.existing(config.load(own | changes))
    assert set(TABLES) - set(found) == absent
    # What not every configuration has says in words when there is one.
    assert {name for name, table in TABLES.items() if table.condition} == {
        *("chexlocalize", "faithfulness", "sanity")
    }


def test_committed_captions_are_current():
    for name, caption in tables.captions().items():
        assert (PROJECT / "captions" / name).read_text() == caption, "run `make docs`"


def test_captions_are_written_where_asked(tmp_path):
    tables.write_captions(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {f"{name}.rst" for name in TABLES}
    assert "{{ snakemake.params.roles }}" in (tmp_path / "gains.rst").read_text()


@settings(deadline=None)
@given(st.lists(st.from_regex(r"`?[a-z=._-]{1,30}`?", fullmatch=True), min_size=1, max_size=60))
def test_a_caption_keeps_every_word_and_breaks_none(words):
    description = " ".join(word.strip("`") for word in words)
    caption = Table("x", "X", None, description, {}, settings=()).caption
    assert caption.split() == description.split()
    assert max(map(len, caption.splitlines())) <= 98


def test_ranges_are_told_in_words():
    assert [c.range for c in (count(""), share(""), number(""), number("", high=1))] == [
        *("≥ 0", "0 to 1", "", "≤ 1")
    ]
    assert text("", "a", "").range == "`a`, empty"


def test_what_snakemake_reads_at_parse_time_is_light():
    code = (
        "import sys, shamsul.tables, shamsul.report.sections; "
        "sys.exit(' '.join({'pandas', 'numpy', 'pydantic', 'jinja2', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""
