"""Two runs side by side: what differs in configuration, data, measures and verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shamsul import lazy
from shamsul.charts.measure import Measure
from shamsul.evaluate.run_differences import run_differences
from shamsul.results import Run

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

IDENTITY = ("run", "report")
"""Sections of the configuration that no result depends on."""


def changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each key of the configuration that differs, with both its values as JSON.

    Parameters
    ----------
    one, other : configurations of two runs; a key that one of them lacks has the value `absent`.
    """
    flat = [dict(_flat({key: value for key, value in given.items() if key not in IDENTITY}))
            for given in (one, other)]  # fmt: skip
    for key in sorted({*flat[0], *flat[1]}):
        values = [side.get(key, "absent") for side in flat]
        if values[0] != values[1]:
            yield key, values[0], values[1]


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of a configuration by their keys; list entries go by their names."""
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _flat(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        for number, part in enumerate(value):
            yield from _flat(part, f"{key}.{part.get('name', number)}")
    else:
        yield key, json.dumps(value)


def images(one: Run, other: Run) -> dict[str, int]:
    """Return the numbers of test images in both runs, in the first alone and the second alone."""
    names = []
    for run in (one, other):
        manifest = run.table("manifest")
        names.append(set(manifest.loc[manifest["split"] == "test", "image_id"]))
    first, second = names
    return {"both": len(first & second), "a": len(first - second), "b": len(second - first)}


def measures(one: Run, other: Run, measure: Measure | None = None) -> pd.DataFrame:
    """Return the differences between two runs on the masks of both.

    Parameters
    ----------
    measure : the measure to compare; all of them where absent.

    Returns
    -------
    Columns `shamsul.evaluate.run_differences.RUN_DIFFERENCES`; confidence, margin and the least
    number of patients are the first run's.
    """
    from shamsul.evaluate.parameters import Comparison

    first, second = one.table("per_image"), other.table("per_image")
    if measure:
        first, second = measure.rows(first), measure.rows(second)
    given = one.configuration
    return run_differences(first, second, Comparison.of(given["evaluate"]), given["seed"])


def verdicts(one: Run, other: Run, measure: Measure) -> pd.DataFrame:
    """Return the pairs of methods whose verdict differs between the runs.

    Returns
    -------
    class, method_a, method_b, verdict_a, verdict_b: the verdicts of the first and second run on
    method_a against method_b.
    """
    keys = ["class", "method_a", "method_b"]
    found = []
    for run in (one, other):
        rows = measure.rows(run.table("comparisons"))
        found.append(rows.set_index(keys)["verdict"])
    both = pd.concat(found, axis=1, join="inner", keys=["verdict_a", "verdict_b"])
    return both[both["verdict_a"] != both["verdict_b"]].reset_index()
