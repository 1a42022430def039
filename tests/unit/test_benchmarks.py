"""What the benchmarks measure with: costs are seen where there are any, and bounds can fail."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import measure

LARGE = 500
"""MiB that are allocated to be seen."""
ALLOCATE = f"large = bytearray(b'1') * ({LARGE} * 2**20)"
positive = st.floats(1e-6, 1e6)


@given(positive, positive)
def test_a_bound_holds_on_its_side_and_fails_beyond_it(value, bound):
    assert measure.line(value, at_most=bound)["holds"] == (value <= bound)
    assert measure.line(value, at_least=bound)["holds"] == (value >= bound)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("bound", ["at_most", "at_least"])
def test_what_was_not_measured_does_not_hold(value, bound):
    limit = 1e9 if bound == "at_most" else -1e9
    assert not measure.line(value, **{bound: limit})["holds"]


@pytest.mark.parametrize("bounds", [{}, {"at_most": 1.0, "at_least": 1.0}])
def test_a_comparison_has_one_bound(bounds):
    with pytest.raises(ValueError, match="one bound"):
        measure.line(1.0, **bounds)


def test_a_childs_peak_is_its_own_and_not_its_parents():
    """`ru_maxrss` would say of the bare child what its parent has ever held."""
    kept = np.ones(LARGE * 2**17)
    bare = measure.peak_of("")
    assert bare < LARGE < measure.peak()
    assert LARGE * 0.98 < measure.peak_of(ALLOCATE) - bare < LARGE * 1.1
    # What was released before the end is part of the peak.
    assert measure.peak_of(f"{ALLOCATE}\ndel large") - bare > LARGE * 0.98
    assert kept.sum() == kept.size


def test_memory_that_a_call_adds_is_seen_whatever_was_held_before():
    np.ones(2 * LARGE * 2**17)  # A higher peak, gone by now.
    found = measure.added(lambda: np.ones(LARGE * 2**17))
    assert LARGE * 0.9 < found < LARGE * 1.2


def test_processor_time_is_of_work_and_not_of_waiting(tmp_path):
    def cost(program):
        return measure.processor_seconds([sys.executable, "-c", program], tmp_path)

    waiting = cost("import time; time.sleep(2)")
    working = cost("import time\nwhile time.process_time() < 2: pass")
    assert waiting < working and working >= 2


def test_a_program_that_fails_is_no_measurement(tmp_path):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        measure.processor_seconds([sys.executable, "-c", "1 / 0"], tmp_path)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        measure.peak_of("1 / 0")


def test_medians_are_of_calls_in_turn_without_the_first():
    calls = []
    costs = {"ours": iter([100.0, 1, 2, 9]), "peer": iter([100.0, 5, 4, 6])}

    def cost(function):
        name = function()
        calls.append(name)
        return next(costs[name])

    found = measure.alternate(lambda: "ours", lambda: "peer", rounds=3, cost=cost)
    assert found == (2, 5)
    assert calls == ["ours", "peer"] * 4


@pytest.mark.parametrize("holds", [True, False])
def test_a_bound_that_fails_ends_the_program_with_an_error(holds, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark"])
    with pytest.raises(SystemExit) as ended:
        measure.main({"one": lambda: measure.line(1.0, at_most=2.0 if holds else 0.5)})
    assert ended.value.code == (0 if holds else 1)
    assert json.loads(capsys.readouterr().out)["holds"] == holds


def test_no_bound_is_an_absolute_time():
    """Another machine is slower: what is bounded is a ratio, or memory."""
    files = Path(measure.__file__).parent.glob("*.py")
    text = "\n".join(file.read_text() for file in files)
    assert 'unit="s"' not in text and 'unit="min"' not in text
