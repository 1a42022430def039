"""Tables of labels as people have them: separators, encodings, words, units, and every fault."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shamsul.data import label_values, table_files, values
from shamsul.data.csv_files import LONGEST_CELL, line, numbers, read_csv, require_columns
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError


def table_of(cells, name="c"):
    return pd.DataFrame({name: pd.Series(cells, dtype=str)})


def saved(folder, content, encoding="utf-8", name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_separators_and_encodings_are_recognised_and_said(tmp_path, caplog, separator, encoding):
    rows = [["Bild", "männlich"], ["a b.png", "ja"], ["c.png", "nein"]]
    text = "\r\n".join(separator.join(row) for row in rows)
    with caplog.at_level(logging.INFO):
        table = read_csv(saved(tmp_path, text, encoding))
    assert [list(table.columns), *table.to_numpy().tolist()] == rows
    assert ("separated by" in caplog.text) == (separator != ",")
    assert (" is in " in caplog.text) == (not encoding.startswith("utf-8"))


def test_the_separator_of_the_cells_is_not_that_of_a_list(tmp_path):
    table = read_csv(saved(tmp_path, "image,labels\na.png,Mass|Edema|Hernia\nb.png,Mass|x|y\n"))
    assert table["labels"].tolist() == ["Mass|Edema|Hernia", "Mass|x|y"]


cells = st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=6))
def test_what_python_writes_is_read_back_with_its_lines(tmp_path_factory, rows):
    import csv

    path = tmp_path_factory.mktemp("csv") / "t.csv"
    begins = []
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write("p,q,r\n")
        for row in rows:
            file.flush()
            file.seek(0, 2)
            text = path.read_bytes().decode()
            begins.append(len(text.split("\n")))
            csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(row)
    table = read_csv(path)
    kept = [number for number, row in enumerate(rows) if any(row)]
    assert table.to_numpy().tolist() == [list(rows[number]) for number in kept]
    if not any("\r" in cell for row in rows for cell in row):  # A lone \r ends a line for `csv`.
        assert [line(table, i) for i in range(len(table))] == [begins[n] for n in kept]


def test_blank_lines_do_not_shift_the_row_that_an_error_names(tmp_path):
    path = saved(tmp_path, 'a,b\n1,2\n\n\n"x\ny",3\n,\n4,five\n')
    table = read_csv(path)
    assert [line(table, row) for row in range(3)] == [2, 5, 8]
    with pytest.raises(InputError, match=r"t\.csv: row 8, column 'b': 'five' is not a number"):
        numbers(table, "b", path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("a,a\n1,2\n", "row 1: columns 1 and 2 are both called 'a'"),
        ("a, a\n1,2\n", "row 1: columns 1 and 2 are both called 'a'"),
        ("a,b\n1,\x002\n", "row 2: holds a NUL"),
        ("a,b\n1,2,3\n", "row 2: has 3 fields, the header 2"),
        ('a,b\n1,"2\n3,4\n', "row 2: not readable as a table"),
        ("a,b\n1," + "x" * (LONGEST_CELL + 1) + "\n", "row 2: not readable as a table"),
        (b"\xff\xfea", "is not whole"),
    ],
)
def test_a_broken_table_is_told_in_one_line(tmp_path, content, said):
    path = saved(tmp_path, content)
    with pytest.raises(InputError) as error:
        read_csv(path)
    told = str(error.value)
    assert told.startswith(str(path)) and said in told and "\n" not in told and len(told) < 400


def test_a_header_that_never_ends_is_told_before_any_job(tmp_path):
    path = saved(tmp_path, 'a,"b\n1,2\n')
    with pytest.raises(InputError, match=r"t\.csv: row 1: not readable as a table"):
        require_columns(path, ["a"], "column")


def test_a_row_too_long_is_left_out_where_rows_may_be(tmp_path):
    rejected = Rejections("s", quarantine=True)
    table = read_csv(saved(tmp_path, "a,b\n1,2\n1,2,3\n4,5\n"), rejected)
    assert table["a"].tolist() == ["1", "4"] and [line(table, r) for r in (0, 1)] == [2, 4]
    (found,) = rejected.found
    assert (found.kind, found.row) == ("row", 3) and "has 3 fields" in found.reason


def test_a_missing_column_names_the_file_and_the_nearest(tmp_path):
    path = saved(tmp_path, "path;Sex\nx;F\n")
    with pytest.raises(InputError, match=r"t\.csv: lacks a column: unknown column 'Path'; did you"):
        require_columns(path, ["Path"], "column")


def test_a_decimal_comma_is_read_where_semicolons_separate(tmp_path):
    path = saved(tmp_path, "a;b\n0,5;1\n-1,25;2\n")
    assert numbers(read_csv(path), "a", path).tolist() == [0.5, -1.25]


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e400"])
def test_a_number_is_finite(tmp_path, cell):
    path = saved(tmp_path, f"a,b\n{cell},1\n")
    with pytest.raises(InputError, match="row 2, column 'a'"):
        numbers(read_csv(path), "a", path)


@pytest.mark.parametrize("name", ["t.xlsx", "t.parquet", "t.weird"])
def test_workbooks_and_parquet_give_what_csv_gives(tmp_path, name):
    frame = pd.DataFrame(
        {"image": ["a.png", "b.png"], "age": [61.0, np.nan], "n": [1, 0], "ok": [True, False]}
    )
    path = tmp_path / name
    if name.endswith("xlsx"):
        pytest.importorskip("python_calamine")
        frame.to_excel(path, index=False)
    else:
        frame.to_parquet(path)
    table = table_files.read(path)
    assert table_files.header(path) == ["image", "age", "n", "ok"]
    assert table["age"].tolist() == ["61", ""] and table["n"].tolist() == ["1", "0"]
    assert table["ok"].tolist() == ["true", "false"] and line(table, 1) == 3


@pytest.mark.parametrize("start", [b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_damaged_workbook_or_parquet_is_told_in_one_line(tmp_path, start):
    path = saved(tmp_path, start + b"\x00 damaged" * 9)
    for read in (table_files.read, table_files.header):
        with pytest.raises(InputError, match=r"t\.csv: not readable as"):
            read(path)


# Values


def test_ages_with_units_and_impossible_ones(tmp_path, caplog):
    table = table_of(
        ["058Y", "018M", "002W", "-5", "411", "inf", "1e400", "old", "", "nan", "58 y"]
    )
    found = values.ages(table, "c", tmp_path / "t.csv")
    assert found.tolist()[:2] == [58, 1.5] and found.iloc[2] == pytest.approx(14 / 365.25)
    assert found.isna().tolist() == [False] * 3 + [True] * 7 + [False]
    # Counted: -5, 411, inf, 1e400 and old; not the blank ones. The first is in line 5.
    assert "count as missing: 5, the first in row 5: '-5'" in caplog.text


@pytest.mark.parametrize(
    ("read", "cells", "expected", "said"),
    [
        (values.sexes, ["F", "W", "female", "m", "Unknown", "", "7"],
         ["F", "F", "F", "M", None, None, None], "missing: 1, the first in row 8: '7'"),
        (values.projections, ["AP", "pa", "AP SUPINE", "LL", "", "zz"],
         ["AP", "PA", "AP", None, None, None], "missing: 1, the first in row 7: 'zz'"),
        (values.views, ["Frontal", "PA", "LL", "LATERAL", "zz"],
         ["frontal", "frontal", "lateral", "lateral", None], "missing: 1, the first in row 6"),
        (values.splits, ["Train", "val", "validation", "TEST", "b"],
         ["train", "tune", "tune", "test", None], "missing: 1, the first in row 6: 'b'"),
    ],
)  # fmt: skip
def test_words_are_read_where_sure_and_counted_where_not(
    tmp_path, caplog, read, cells, expected, said
):
    assert read(table_of(cells), "c", tmp_path / "t.csv").tolist() == expected
    assert said in caplog.text


# Labels


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "0.0", "-1", "", "1.0"], [1, 0, -1, None, 1]),
        (["yes", "No", "YES", "nan"], [1, 0, 1, None]),
        (["true", "false", "TRUE"], [1, 0, 1]),
        (["positive", "absent", "uncertain"], [1, 0, -1]),
    ],
)
def test_labels_are_read_in_any_usual_words(tmp_path, cells, expected):
    found, wrong = label_values.labels(table_of(cells), "c", tmp_path, None, Rejections("s"))
    assert [None if np.isnan(value) else value for value in found] == expected and not wrong.any()


def test_probabilities_need_a_threshold_that_somebody_has_chosen(tmp_path):
    table = table_of(["0.33", "0.67", "1", "0", ""])
    with pytest.raises(InputError, match="row 2, column 'c': '0.33' is a probability; say from"):
        label_values.labels(table, "c", tmp_path, None, Rejections("s"))
    found, _ = label_values.labels(table, "c", tmp_path, 0.5, Rejections("s"))
    assert found.tolist()[:4] == [0, 1, 1, 0] and np.isnan(found.iloc[4])


def test_what_is_no_label_rejects_its_row(tmp_path):
    rejected = Rejections("s", quarantine=True)
    found, wrong = label_values.labels(table_of(["1", "7", "x"]), "c", tmp_path, None, rejected)
    assert wrong.tolist() == [False, True, True] and [one.row for one in rejected.found] == [3, 4]
    assert "'7' is no label" in rejected.found[0].reason and np.isnan(found.iloc[1])


def test_lists_name_what_is_there_and_their_strangers_are_counted(tmp_path):
    table = table_of(["Mass|Edema", "Edema", "", "No Finding", "Mass|Hernia"])
    names = {"Edema": "Edema", "Mass": "Lung Lesion"}
    found, others = label_values.lists(table, "c", tmp_path, "|", names, ["Edema", "Lung Lesion"])
    assert found["Lung Lesion"].tolist()[:2] == [1, 0] and found["Edema"].tolist()[:2] == [1, 1]
    assert found.iloc[2].isna().all() and others == {"No Finding": 1, "Hernia": 1}
    with pytest.raises(InputError, match="never names class 'Effusion': .*Hernia"):
        label_values.lists(table, "c", tmp_path, "|", names, ["Effusion"])


# Bytes of any kind


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_error_of_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    for read in (table_files.read, table_files.header):
        try:
            read(path)
        except InputError as error:
            assert "\n" not in str(error) and str(path) in str(error)


@given(st.binary(max_size=120), st.sampled_from([b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"]))
def test_any_workbook_or_parquet_is_refused_in_one_line(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "any.xlsx"
    path.write_bytes(start + content)
    with pytest.raises(InputError, match=r"any\.xlsx: not readable as"):
        table_files.read(path)
