"""All measures of localisation side by side, and what each of them is."""

from __future__ import annotations

import itertools

import pandas as pd

from shamsul.evaluate.per_image import FALSE_ALARMS, PREFIX
from shamsul.evaluate.value_matrix import POOLED
from shamsul.metrics import METRICS, Metric
from shamsul.report.formatting import RULES, measure, title
from shamsul.report.localisation import only
from shamsul.report.method_table import Grid, Heading, lay
from shamsul.report.methods import Methods


def all_measures(localisation: pd.DataFrame, kind: str, alarms: bool, methods: Methods) -> Grid:
    """Pooled means on test: methods by measures under every rule.

    Parameters
    ----------
    localisation : table of the evaluation.
    kind : of the masks.
    alarms : whether the false alarms are among them.
    methods : of the run.
    """
    pooled = only(localisation, **{"split": "test", "class": POOLED})
    names = [PREFIX[kind] + name for name in METRICS if name != FALSE_ALARMS]
    if alarms:
        names.append(FALSE_ALARMS)
    present = set(zip(pooled["metric"], pooled["threshold_rule"], strict=True))
    columns = [(name, rule) for name in names for rule in RULES if (name, rule) in present]
    own = pooled[pooled["metric"].isin(names)]
    return Grid(
        headings=[Heading(RULES[rule]) for _, rule in columns],
        rows=lay(
            own,
            methods,
            ["metric", "threshold_rule"],
            columns,
            better=[measure(name).better for name, _ in columns],
        ),
        groups=[
            (title(name) + (" ↓" if measure(name).better == "lower" else ""), len(list(group)))
            for name, group in itertools.groupby(columns, key=lambda column: column[0])
        ],
    )


def definitions(*tables: pd.DataFrame) -> list[Metric]:
    """What is known of the measures that tables hold, in the order of `METRICS`."""
    names = {
        str(name).removeprefix(PREFIX["box"]) for table in tables for name in set(table["metric"])
    }
    return [metric for name, metric in METRICS.items() if name in names]
