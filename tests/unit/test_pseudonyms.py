"""Pseudonyms: which names they stand for, and that nothing else tells of names."""

import hashlib
import hmac
import logging

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shamsul.data.pseudonyms import (
    LOG,
    NAMES,
    Pseudonyms,
    folder,
    keep,
    located,
    originals,
    said_in_private,
)
from shamsul.errors import InputError
from shamsul.storage.cells import FORMULA, escape, restore

KEY = b"0123456789abcdef0123456789abcdef"


def images():
    return pd.DataFrame(
        {
            "image_id": ["b", "a", "c", "d"],
            "patient_id": ["p", "p", "a", "q"],
            "study_id": ["s", "", None, "s"],
            "split": ["test", "test", "tune", "tune"],
            "source": "x",
            "path": ["p/b.png", "p/a.png", "a/c.png", "q/d.png"],
            "age": [1.0, 2.0, 3.0, 4.0],
        }
    )


def test_a_pseudonym_is_the_hmac_of_kind_and_name():
    expected = hmac.digest(KEY, b"patient\0p1", hashlib.sha256).hex()[:32]
    assert Pseudonyms(KEY).of("patient", "p1") == expected
    assert Pseudonyms(KEY).of("image", "p1") != expected
    assert Pseudonyms(KEY[1:]).of("patient", "p1") != expected


@given(st.sets(st.text(max_size=20), min_size=2, max_size=50))
def test_different_names_have_different_pseudonyms(names):
    hidden = Pseudonyms(KEY)
    assert len({hidden.of("image", name) for name in names}) == len(names)


def test_every_name_and_path_of_the_manifest_is_replaced_and_order_tells_nothing():
    hidden, table = Pseudonyms(KEY), images()
    found = hidden.images(table)
    assert list(found) == list(table) and list(found["split"]) == ["test"] * 2 + ["tune"] * 2
    for split in ("test", "tune"):
        assert found.loc[found["split"] == split, "image_id"].is_monotonic_increasing
    assert list(found["path"]) == list(found["image_id"])
    by_age = found.set_index("age").sort_index()
    assert list(by_age["image_id"]) == [hidden.of("image", name) for name in "bacd"]
    assert (
        by_age["patient_id"].nunique() == 3 and by_age["patient_id"][1] == by_age["patient_id"][2]
    )
    # A patient named as an image is: the pseudonyms do not tell.
    assert by_age["patient_id"][3] != by_age["image_id"][2]
    assert by_age["study_id"][2] == "" and pd.isna(by_age["study_id"][3])


def test_masks_and_what_was_left_out_have_the_images_pseudonyms():
    hidden = Pseudonyms(KEY)
    masks = pd.DataFrame({"image_id": ["a", "b", "a"], "class": "x", "kind": "box", "n": range(3)})
    found = hidden.masks(masks)
    assert dict(zip(found["n"], found["image_id"], strict=True)) == {
        n: hidden.of("image", name) for n, name in enumerate("aba")
    }
    rejected = pd.DataFrame(
        {"image_id": ["a", ""], "file": ["p/a.png", "t.csv"], "row": [0, 3], "reason": "a is bad"}
    )
    found = hidden.rejected(rejected)
    assert list(found["image_id"]) == [hidden.of("image", "a"), ""] and list(found["row"]) == [0, 3]
    assert (found["file"] == "").all() and not found["reason"].str.contains("a is").any()


def test_names_and_paths_are_looked_up_and_a_stale_table_is_told(tmp_path):
    hidden = Pseudonyms(KEY)
    private = folder(tmp_path / "my.key", "run")
    assert private == tmp_path / "my.key.names" / "run"
    keep(hidden.names(images()), private, NAMES)
    asked = [hidden.of("image", name) for name in ("c", "a")]
    assert originals(asked, private) == ["c", "a"]
    assert located(asked, private) == ["a/c.png", "p/a.png"]
    assert private.stat().st_mode & 0o77 == 0
    with pytest.raises(InputError, match=r"names\.parquet: has no names of 1 images.*forcerun"):
        originals([*asked, "0" * 32], private)
    with pytest.raises(InputError, match="other: |names.parquet"):
        originals(asked, tmp_path / "other")


def test_what_is_said_goes_beside_the_key_and_is_counted(tmp_path, caplog):
    log = logging.getLogger("shamsul.data.manifest")
    caplog.set_level("INFO")
    with said_in_private(tmp_path / "private"):
        log.warning("image a of Jane Doe is odd")
        log.info("read")
    log.warning("afterwards")
    assert [record.getMessage() for record in caplog.records] == [
        f"1 warnings may name images or patients, and are in {tmp_path / 'private' / LOG}",
        "afterwards",
    ]
    text = (tmp_path / "private" / LOG).read_text()
    assert "Jane Doe" in text and "read" in text
    with said_in_private(None):
        log.warning("as ever")
    assert caplog.records[-1].getMessage() == "as ever"


@pytest.mark.parametrize("content", [None, b"", b" short \n"])
def test_a_key_that_is_missing_or_short_is_told_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "k").write_bytes(content)
    with pytest.raises(InputError, match=r"data\.pseudonymise: .*k: .*openssl rand") as told:
        Pseudonyms.read(tmp_path / "k")
    assert "\n" not in str(told.value)


def test_white_space_around_a_key_does_not_count(tmp_path):
    (tmp_path / "k").write_bytes(KEY + b"\r\n")
    assert Pseudonyms.read(tmp_path / "k").of("image", "a") == Pseudonyms(KEY).of("image", "a")


@given(st.text())
def test_cells_come_back_and_none_is_a_formula(cell):
    assert restore(escape(cell)) == cell
    assert not escape(cell).startswith(FORMULA)
