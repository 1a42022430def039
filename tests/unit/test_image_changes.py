"""Image files replaced under their old names are noticed; touched and copied ones are none."""

import hashlib
import os
import shutil

import pytest

from shamsul.data import image_changes
from shamsul.errors import InputError

LATER = 2e9
"""Seconds since the epoch, after every time stamp here."""


@pytest.fixture
def run(tmp_path):
    """A folder of three images, and the record."""
    contents = {"a.png": b"one", "sub/b.png": b"two", "c.png": b"three"}
    for name, content in contents.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
        os.utime(tmp_path / "data" / name, (1e9, 1e9))
    read = [("s", name, hashlib.sha256(content).hexdigest()) for name, content in contents.items()]
    image_changes.record(read, {"s": tmp_path / "data"}, LATER, tmp_path / "record.csv")
    return tmp_path


def noticed(run, data="data"):
    number = image_changes.notice(run / "record.csv", {"s": run / data}, run / "changes.txt")
    return number, (run / "changes.txt").read_text() if (run / "changes.txt").exists() else None


def test_without_a_record_nothing_is_done(tmp_path):
    assert image_changes.notice(tmp_path / "record.csv", {"s": tmp_path}, tmp_path / "c.txt") == 0
    assert list(tmp_path.iterdir()) == []


def test_nothing_changed(run):
    assert noticed(run) == (0, None)


def test_a_touched_file_is_read_once_and_is_no_change(run, monkeypatch):
    (run / "data" / "a.png").touch()
    assert noticed(run) == (0, None)
    monkeypatch.setattr(image_changes, "_sha256", lambda path: pytest.fail("read again"))
    assert noticed(run) == (0, None)


def test_a_copy_of_the_data_is_no_change(run):
    shutil.copytree(run / "data", run / "copy", copy_function=shutil.copyfile)
    assert noticed(run, "copy") == (0, None)


@pytest.mark.parametrize("content", [b"One", b"longer"])
def test_a_replaced_file_is_named_with_its_content(run, content):
    (run / "data" / "sub" / "b.png").write_bytes(content)
    line = f"s\tsub/b.png\t{hashlib.sha256(content).hexdigest()}\n"
    assert noticed(run) == (1, line)
    # Until the manifest is made again it is told each time, in a file that stays as it is.
    before = (run / "changes.txt").stat().st_mtime_ns
    assert noticed(run) == (1, line)
    assert (run / "changes.txt").stat().st_mtime_ns == before


def test_a_lost_file_is_named_as_missing(run):
    (run / "data" / "c.png").unlink()
    assert noticed(run) == (1, "s\tc.png\tmissing\n")


def test_a_file_changed_while_the_manifest_was_made_is_read_again(run):
    read = [("s", "a.png", "0" * 64)]
    started = 1e9  # The file is not older.
    image_changes.record(read, {"s": run / "data"}, started, run / "record.csv")
    assert noticed(run)[0] == 1


def test_a_damaged_record_is_told(run):
    (run / "record.csv").write_text("source,path\ns,a.png\n")
    with pytest.raises(InputError, match=r"record\.csv.*delete it"):
        noticed(run)


def test_a_path_that_a_spreadsheet_would_compute_is_text_and_is_still_watched(tmp_path):
    name = "=HYPERLINK(1)"
    (tmp_path / name).write_bytes(b"one")
    digest = hashlib.sha256(b"one").hexdigest()
    record = tmp_path / "record.csv"
    image_changes.record([("s", name, digest)], {"s": tmp_path}, LATER, record)
    assert "s,'=HYPERLINK(1)," in record.read_text()
    assert image_changes.notice(record, {"s": tmp_path}, tmp_path / "c.txt") == 0
    (tmp_path / name).write_bytes(b"other")
    assert image_changes.notice(record, {"s": tmp_path}, tmp_path / "c.txt") == 1
    assert (tmp_path / "c.txt").read_text().startswith(f"s\t{name}\t")
