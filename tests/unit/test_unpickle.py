"""The restricted reader of pickles: what it accepts it reads as pickle and torch do."""

from __future__ import annotations

import builtins
import copyreg
import io
import os
import pickle
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shamsul.errors import InputError
from shamsul.explain.external import unpickle
from shamsul.job.fingerprint import PROJECT

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def load(folder, content):
    (folder / "x_map.pkl").write_bytes(content)
    return unpickle.load(folder / "x_map.pkl")


def read(folder, value, protocol=3):
    return load(folder, pickle.dumps(value, protocol))


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


TENSORS = [
    torch.arange(6.0).reshape(1, 1, 2, 3),
    torch.arange(24.0).reshape(4, 6)[1:, ::2].t(),
    torch.arange(6).reshape(2, 3).half(),
    torch.arange(6.0).bfloat16(),
    torch.arange(6, dtype=torch.float64),
    torch.tensor([True, False]),
    torch.tensor(3.5, requires_grad=True),
    torch.zeros(0, 3),
    torch.ones(2, 1).expand(2, 5),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("tensor", TENSORS, ids=lambda tensor: str(tuple(tensor.shape)))
def test_tensors_are_read_as_torch_reads_them(tmp_path, tensor, protocol):
    made = read(tmp_path, {"map": tensor, "again": tensor}, protocol)
    expected = tensor.detach()
    expected = expected.float() if expected.dtype == torch.bfloat16 else expected
    assert np.array_equal(made["map"], expected.numpy())
    assert np.array_equal(made["again"], expected.numpy())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">f8", "f2", "u1", "<i8", "?"])
def test_arrays_and_scalars_are_read_as_numpy_reads_them(tmp_path, kind, order, protocol):
    array = np.asarray(np.arange(6).reshape(2, 3), kind, order=order)
    made = read(tmp_path, [array, array[1, 2], array[:0]], protocol)
    for one, expected in zip(made, [array, array[1, 2], array[:0]], strict=True):
        assert np.array_equal(unpickle.plain(one), expected)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
        | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
        max_leaves=9,
    ),
    st.sampled_from(PROTOCOLS),
)  # fmt: skip
def test_plain_values_come_back(tmp_path_factory, value, protocol):
    assert read(tmp_path_factory.getbasetemp(), value, protocol) == value


def test_an_ordered_dictionary_is_a_dictionary(tmp_path):
    assert read(tmp_path, OrderedDict(a=1, b=2)) == {"a": 1, "b": 2}


def nested(value):
    """A tensor whose content is a pickle of `value` instead of numbers, as torch saves it."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    parts = (Calls(torch.storage._load_from_bytes, buffer.getvalue()), 0, (1,), (1,), False, {})
    return Calls(torch._utils._rebuild_tensor_v2, *parts)


MARK = "touched"
HOSTILE = {
    "posix.system": Calls(os.system, f"touch {MARK}"),
    "__builtin__.eval": Calls(eval, f"open({MARK!r}, 'w')"),
    "__builtin__.exec": Calls(exec, f"open({MARK!r}, 'w')"),
    "__builtin__.getattr": Calls(getattr, Calls(__import__, "os"), "system"),
    "__builtin__.__import__": Calls(__import__, "os"),
    "io.open": Calls(open, MARK, "w"),
    "nt.system": b"cnt\nsystem\n(S'touch touched'\ntR.",
    "torch.serialization.load": Calls(torch.load, MARK),
    "numpy.load": Calls(np.load, MARK),
    "pickle.loads": Calls(pickle.loads, pickle.dumps(Calls(os.system, f"touch {MARK}"))),
    "torch._utils._rebuild_parameter": torch.nn.Parameter(torch.zeros(2)),
    "functools.partial": b"cfunctools\npartial\n.",
    "codec": Calls(__import__("_codecs").encode, "x", "rot13"),
    "numpy.ndarray.tolist": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tolist\x93.",
    "the content of a tensor": nested(Calls(os.system, f"touch {MARK}")),
    "content of a tensor": nested({"a": 1}),
    "not of numbers": np.array([Calls(os.system, f"touch {MARK}")], object),
    "is not of numbers": np.zeros(2, [("a", "f4"), ("b", "O")]),
    "a tensor has no content": Calls(
        torch._utils._rebuild_tensor_v2, b"1234", 0, (1,), (1,), False, {}
    ),
}


@pytest.mark.parametrize("said", HOSTILE)
def test_what_is_not_a_tensor_or_plain_is_refused_and_not_run(tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"x_map\.pkl: not a pickle of .*{said}") as caught:
        hostile = HOSTILE[said]
        content = hostile if isinstance(hostile, bytes) else pickle.dumps(hostile, 2)
        load(tmp_path, content)
    assert "\n" not in str(caught.value) and not Path(MARK).exists()


def test_what_is_refused_would_have_been_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(HOSTILE["posix.system"]))
    assert Path(MARK).exists()


def test_a_name_is_not_looked_up_in_the_real_modules(tmp_path):
    """And no attribute of what stands for it can be set."""
    before = set(vars(builtins)), dict(np.__dict__)
    blank = torch.zeros(2)
    # BUILD with slots: sets attributes of the function that the name leads to.
    content = (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}U\x0c__defaults__K\x05s}U\x01aK\x01s\x86b."
    )
    with pytest.raises(InputError, match="it sets attributes"):
        load(tmp_path, content)
    assert np.array_equal(read(tmp_path, {"map": blank})["map"], blank)
    assert before == (set(vars(builtins)), dict(np.__dict__))


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((5,), (1,), 0),
        ((2,), (1,), 3),
        ((2, 2), (3, 1), 0),
        ((100000, 100000), (0, 0), 0),
        ((-1,), (1,), 0),
        ((2,), (-1,), 1),
        ((2.5,), (1,), 0),
        ((2,), (1,), -4),
    ],
)
def test_a_tensor_beyond_its_content_is_refused(tmp_path, size, stride, offset):
    _, (storage, *_) = torch.arange(4.0).__reduce_ex__(2)
    hostile = Calls(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {})
    with pytest.raises(InputError, match="not a pickle of tensors"):
        read(tmp_path, hostile, 2)


def test_an_array_beyond_its_content_is_refused(tmp_path):
    content = pickle.dumps(np.zeros(4, np.float32), 3)
    assert np.array_equal(unpickle.plain(load(tmp_path, content)), np.zeros(4))
    larger = content.replace(b"K\x04\x85", b"K\x05\x85")
    assert larger != content
    with pytest.raises(InputError, match="not a pickle of tensors"):
        load(tmp_path, larger)


def test_truncated_pickles_are_refused_at_every_length(tmp_path):
    content = pickle.dumps({"map": torch.zeros(1, 1, 2, 2), "prob": np.float32(0.5)}, 3)
    for length in range(0, len(content), 7):
        with pytest.raises(InputError, match="not a pickle of tensors"):
            load(tmp_path, content[:length])


@given(st.data())
def test_damaged_pickles_end_in_a_value_or_an_input_error(tmp_path_factory, data):
    content = bytearray(pickle.dumps({"map": torch.zeros(1, 1, 2, 2), "a": np.zeros(2)}, 3))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    try:
        load(tmp_path_factory.getbasetemp(), bytes(content))
    except InputError as error:
        assert "\n" not in str(error)


PAIRS = b"K\x01\x85" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(45))
"""Pairs of pairs, 45 deep: 2**45 steps to its hash, in 228 bytes of a pickle."""


@pytest.mark.parametrize(
    "content",
    {
        "SETITEM": b"}" + PAIRS + b"Ns.",
        "SETITEMS": b"}(" + PAIRS + b"Nu.",
        "DICT": b"(" + PAIRS + b"Nd.",
        "ADDITEMS": b"\x8f(" + PAIRS + b"\x90.",
        "FROZENSET": b"(" + PAIRS + b"\x91.",
        "SETITEM inside the content of a tensor": pickle.dumps(
            Calls(torch.storage._load_from_bytes, b"\x80\x02}" + PAIRS + b"Ns."), 4
        ),
    }.values(),
)
def test_no_key_takes_longer_to_look_up_than_the_file_is_long(tmp_path, content):
    (tmp_path / "x_map.pkl").write_bytes(content)
    script = "import sys, pathlib; from shamsul.explain.external import unpickle; "
    script += "unpickle.load(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", script, str(tmp_path / "x_map.pkl")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=20)
    assert re.search("InputError: .*(a dictionary's key is neither|it holds a set)", done.stderr)


@pytest.mark.parametrize("key", [(1,), None, 1.5, 2**61, frozenset([1]), True])
def test_keys_are_text_or_small_numbers(tmp_path, key):
    with pytest.raises(InputError, match=r"a dictionary's key is neither|it (holds|asks for) "):
        read(tmp_path, {"a": {key: 1}})
    assert read(tmp_path, {"a": {7: 1, b"b": 2}}) == {"a": {7: 1, b"b": 2}}


def zipped(tensor, compression=zipfile.ZIP_STORED, without=None):
    """The content of a tensor as `torch.save` writes it, packed anew."""
    saved, packed = io.BytesIO(), io.BytesIO()
    torch.save(
        torch.storage.TypedStorage(
            wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True
        ),
        saved,
    )
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(packed, "w", compression) as new:
        for entry in old.infolist():
            if entry.filename.partition("/")[2] != without:
                new.writestr(entry.filename, old.read(entry))
    return packed.getvalue()


def of_content(content, length, at=0):
    parts = (Calls(torch.storage._load_from_bytes, content), at, (length,), (1,), False, {})
    return Calls(torch._utils._rebuild_tensor_v2, *parts)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.int16, torch.bool])
def test_both_formats_of_a_content_are_read(tmp_path, kind):
    tensor = torch.arange(7).to(kind)
    made = read(tmp_path, of_content(zipped(tensor), 7))
    expected = tensor.float().numpy() if kind == torch.bfloat16 else tensor.numpy()
    assert np.array_equal(made, expected) and made.dtype == expected.dtype


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped(torch.zeros(2**20), zipfile.ZIP_DEFLATED), "compressed"),
        (zipped(torch.zeros(4), without="data/0"), "damaged"),
        (zipped(torch.zeros(4), without="data.pkl"), "damaged"),
        (zipped(torch.zeros(4))[:-60], "damaged"),
        (b"".join(pickle.dumps(x) for x in (unpickle.TORCH, 1001, {}, 3, ["0"])), "damaged"),
        (b"", "damaged"),
    ],
)
def test_a_content_that_is_none_is_refused(tmp_path, content, said):
    with pytest.raises(InputError, match=f"the content of a tensor is not numbers alone.*{said}"):
        read(tmp_path, of_content(content, 1))


def test_what_the_file_takes_up_is_counted_for_all_its_tensors(tmp_path, monkeypatch):
    """A content that is named again is made again."""
    monkeypatch.setattr(unpickle._Values, "left", 5 * 4000)
    content = zipped(torch.zeros(900))
    assert len(read(tmp_path, [of_content(content, 900)] * 3)) == 3
    with pytest.raises(InputError, match="its tensors take up more"):
        read(tmp_path, [of_content(content, 900) for _ in range(6)])


def test_repeated_elements_take_no_room_until_they_are_asked_for(tmp_path):
    """Each of them would be 256 MB."""
    tracemalloc.start()
    many = [torch.zeros(1, dtype=torch.float16).expand(2**26) for _ in range(6)]
    assert [len(one) for one in read(tmp_path, many)] == [2**26] * 6
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_a_length_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(InputError, match="not a pickle of tensors"):
        load(tmp_path, b"\x80\x05\x96" + struct.pack("<Q", 2**34) + b"abc.")


def test_a_high_number_of_an_object_makes_no_room_for_those_below(tmp_path):
    assert load(tmp_path, b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".") is None


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(unpickle, "LARGEST_FILE", 10)
    with pytest.raises(InputError, match="larger than"):
        read(tmp_path, list(range(100)))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pkl: not readable"):
        unpickle.load(tmp_path / "none.pkl")


def test_registered_extensions_are_refused(tmp_path):
    copyreg.add_extension("os", "system", 200)
    try:
        with pytest.raises(InputError, match=r"os\.system"):
            load(tmp_path, b"\x80\x02\x82\xc8U\x05falseR.")
    finally:
        copyreg.remove_extension("os", "system", 200)
