"""Which classes are scored, and what is said of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shamsul.evaluate.scored_classes import omissions, scored

LETTERS = st.lists(st.sampled_from("abcde"), unique=True)


@pytest.mark.parametrize(
    ("found", "listed", "expected"),
    [
        ("ab", None, []),
        ("a", None, ["not scored, since they have no masks on tune or test: b"]),
        ("abc", None, ["not scored, though they have masks: c; they are not in explain.classes"]),
        ("ab", ["a"], ["not scored, though they have masks: b; they are not in evaluate.classes"]),
        (
            "a",
            ["b"],
            [
                "not scored, though they have masks: a; they are not in evaluate.classes",
                "not scored, since they have no masks on tune or test: b",
            ],
        ),
    ],
)
def test_what_is_left_out_is_said_by_hand(found, listed, expected):
    assert list(omissions(found, ["a", "b"], listed)) == expected


@given(LETTERS, LETTERS, st.none() | LETTERS)
def test_every_class_with_masks_or_wanted_is_scored_or_named(found, explained, listed):
    wanted = [name for name in explained if listed is None or name in listed]
    done = scored(wanted, found)
    assert done == [name for name in wanted if name in found]
    told = " ".join(omissions(found, explained, listed))
    named = {word.strip(",;") for word in told.split() if len(word.strip(",;")) == 1}
    assert named == ({*found, *wanted} - {*done})
