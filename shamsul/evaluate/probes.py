"""Tables of what the model said when it was asked again (`shamsul.probe`); no torch here."""

from __future__ import annotations

import pandas as pd

from shamsul.evaluate.per_image import Settings
from shamsul.evaluate.statistics import bootstrap_interval, too_few
from shamsul.evaluate.value_matrix import POOLED
from shamsul.metrics import of_group

KEYS = ["method", "metric", "fill", "stage"]
COLUMNS = [
    *("split", "class", *KEYS, "n_maps", "n_missing", "n_undefined", "n_images", "n_patients"),
    *("mean", "low", "high", "note"),
]


def summarise(
    probes: pd.DataFrame, manifest: pd.DataFrame, settings: Settings, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Means with intervals over the heatmaps that were probed.

    Parameters
    ----------
    probes : as `shamsul.probe.table.probe` returns it, of any methods and shards.
    manifest : image_id, patient_id and split.
    settings : `replicates`, `confidence`, `interval` and `min_patients` of the evaluation.

    Returns
    -------
    Two tables, `faithfulness` (fill; "" where nothing is filled) and `sanity` (stage; 0 but for the
    stages of `mprt`): split, class (`pooled`: every image x class pair counts once), method,
    metric, n_maps (image x class pairs with a value), n_missing (those of them without a map,
    which count as maps of zeros), n_undefined (pairs for which the metric is not defined, such as
    where the fill takes no evidence away), n_images, n_patients, mean, low, high, note (why there
    is no interval). All methods have the same images, classes and resamples; one without any map
    among those that were probed in a split is left out there.
    """
    table = probes.merge(manifest[["image_id", "patient_id", "split"]], on="image_id")
    table = table[table.groupby(["split", "method"])["explained"].transform("any").astype(bool)]
    parts = [pd.DataFrame(columns=COLUMNS)]
    for split, own in table.groupby("split"):
        by_class = [(str(name), part) for name, part in own.groupby("class")]
        for name, part in [*by_class, (POOLED, own)]:
            parts.append(_summary(part, settings, seed).assign(**{"split": split, "class": name}))
    result = pd.concat(parts[1:] or parts)[COLUMNS]
    result = result.sort_values(["split", "metric", "fill", "stage", "class", "method"])
    faithful = result["metric"].isin(of_group("faithfulness"))
    return (
        result[faithful].drop(columns="stage").reset_index(drop=True),
        result[~faithful].drop(columns="fill").reset_index(drop=True),
    )


def _summary(part: pd.DataFrame, settings: Settings, seed: int) -> pd.DataFrame:
    """A row for each of `KEYS`."""
    known = part.dropna(subset="value").groupby(KEYS)
    rows = pd.DataFrame({"pairs": part.groupby(KEYS).size()})
    rows = rows.join(
        known.agg(
            n_maps=("value", "size"),
            n_missing=("explained", lambda made: int((~made).sum())),
            n_images=("image_id", "nunique"),
            n_patients=("patient_id", "nunique"),
            mean=("value", "mean"),
        )
    )
    numbers = ["n_maps", "n_missing", "n_images", "n_patients"]
    rows[numbers] = rows[numbers].fillna(0).astype("int64")
    rows["n_undefined"] = rows["pairs"] - rows["n_maps"]
    wide = part.pivot(index=["patient_id", "image_id", "class"], columns=KEYS, values="value")
    wide = wide.sort_index()
    patients = wide.index.get_level_values("patient_id")
    low, high = bootstrap_interval(wide.to_numpy(float), patients, settings, seed)
    rows = rows.join(pd.DataFrame({"low": low, "high": high}, index=wide.columns))
    rows["note"] = [too_few(count, settings) for count in rows["n_patients"]]
    return rows.reset_index()
