"""The sanity gate: methods that fail it are marked, and none of them is called best."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from shamsul.metrics import METRICS
from shamsul.report.filters import pooled_test
from shamsul.report.formatting import interval, number


def failures(sanity: pd.DataFrame | None) -> Mapping[str, str]:
    """Return why methods fail the gate, by name.

    Parameters
    ----------
    sanity : table `sanity`; None or empty where no map was probed.
    """
    if sanity is None or sanity.empty:
        return {}
    own = pooled_test(sanity)
    own = own[(own["stage"] == 0) & (own["verdict"] == "fails")]
    found: dict[str, str] = {}
    for row in own.to_dict("records"):
        metric = METRICS[row["metric"]]
        said = (
            f"{metric.title} {number(row['mean'])} ({interval(row['low'], row['high'])}), "
            f"above {metric.gate:g}"
        )
        found[row["method"]] = "; ".join(filter(None, [found.get(row["method"]), said]))
    return found


def untold(sanity: pd.DataFrame | None) -> list[str]:
    """Return the methods of which the gate cannot tell, since the interval holds its limit."""
    if sanity is None or sanity.empty:
        return []
    own = pooled_test(sanity)
    own = own[(own["stage"] == 0) & (own["verdict"] == "cannot be told")]
    return sorted(set(own["method"]))
