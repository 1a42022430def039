"""Tables of the probes of finished heatmaps (`shamsul.probe`); no torch here."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.evaluate.means import groups, means
from shamsul.evaluate.parameters import Inference
from shamsul.metrics import METRICS, of_group

KEYS = ["method", "metric", "fill", "stage"]
COLUMNS = [
    *("split", "class", *KEYS, "n_maps", "n_missing", "n_undefined", "n_images", "n_patients"),
    *("mean", "low", "high", "verdict", "note"),
]


def summarise(
    probes: pd.DataFrame, manifest: pd.DataFrame, settings: Inference
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return means with intervals over the heatmaps that were probed.

    Parameters
    ----------
    probes : tables of `shamsul.probe.table.probe` of any methods and shards, joined.
    manifest : image_id, patient_id and split.
    settings : settings of the intervals.

    Returns
    -------
    Two tables, `faithfulness` (fill; "" where nothing is filled) and `sanity` (stage; 0 but for the
    stages of `mprt`): split, class (`pooled`: every image x class pair counts once), method,
    metric, n_maps (image x class pairs with a value), n_missing (those of them without a map,
    which count as maps of zeros), n_undefined (pairs for which the metric is not defined, such as
    where the fill takes no evidence away), n_images, n_patients, mean, low, high, note (why there
    is no interval).
    verdict : result of the method under a metric of `sanity` that is a gate: `passes` where the
        whole interval lies below its limit, `fails` where it lies above, else `cannot be told`;
        empty for other metrics.
    All methods have the same images and classes; one without any map among those that were probed
    in a split is left out there.
    """
    table = probes.merge(manifest[["image_id", "patient_id", "split"]], on="image_id")
    table = table[table.groupby(["split", "method"])["explained"].transform("any").astype(bool)]
    rows = means(table, "value", ["split"], settings, beside=KEYS)
    rows = rows.rename(columns={"n_masks": "n_maps"}).set_index(["split", "class", *KEYS])
    more = [
        _counts(group).assign(**names).set_index(["split", "class"], append=True)
        for names, group in groups(table, ["split"])
    ]
    if more:
        rows[list(more[0])] = pd.concat(more).reorder_levels(rows.index.names)
    rows["verdict"] = _verdicts(rows)
    result = rows.reset_index().reindex(columns=COLUMNS)
    result = result.sort_values(["split", "metric", "fill", "stage", "class", "method"])
    faithful = result["metric"].isin(of_group("faithfulness"))
    return (
        result[faithful].drop(columns=["stage", "verdict"]).reset_index(drop=True),
        result[~faithful].drop(columns="fill").reset_index(drop=True),
    )


def _verdicts(rows: pd.DataFrame) -> NDArray[np.str_]:
    """Return whether each mean with its interval passes its metric's gate."""
    limits = {name: metric.gate for name, metric in METRICS.items()}
    limit = rows.index.get_level_values("metric").map(limits).to_numpy(float)
    words = [rows["high"] < limit, rows["low"] > limit, ~np.isnan(limit)]
    return np.select(words, ["passes", "fails", "cannot be told"], default="")


def _counts(part: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of missing and undefined values by `KEYS`."""
    pairs = part.groupby(KEYS)
    found = pd.DataFrame({"n_undefined": pairs.size() - pairs["value"].count()})
    missing = part["value"].notna() & ~part["explained"].astype(bool)
    found["n_missing"] = missing.groupby([part[key] for key in KEYS]).sum()
    return found
