"""How alike the maps of two methods are: rank correlation, map by map.

Two entries of one method that differ in their seed or in the checkpoint that they explain make the
pair a test of repeatability or reproducibility (Arun et al., Radiology: Artificial Intelligence
2021); two different methods that always agree are one finding and not two.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.data.geometry import Frame, to_original
from shamsul.evaluate.settings import Sign
from shamsul.evaluate.statistics import bootstrap_interval, too_few
from shamsul.evaluate.sweep import evidence
from shamsul.evaluate.tables import Settings
from shamsul.evaluate.wide import POOLED
from shamsul.progress import track
from shamsul.storage import Heatmaps

GRID = 32
"""Cells along a side of the radiograph that maps are compared on."""
FINE = 4
"""Points along a side of a cell that are averaged."""
COLUMNS = ["image_id", "class", "method_a", "method_b", "rank_correlation"]
SUMMARY = [
    *("class", "method_a", "method_b", "n_maps", "n_images", "n_patients"),
    *("mean", "low", "high", "note"),
]


def agree(
    shards: Sequence[Heatmaps],
    frames: Mapping[str, Frame],
    classes: Sequence[str],
    sign: Sign = "positive",
) -> pd.DataFrame:
    """Spearman's correlation between the maps of each pair of methods.

    Parameters
    ----------
    shards : heatmaps of the same images by several methods.
    frames : of the images, by image_id.
    classes : classes to compare.
    sign : what of a signed map is relevance.

    Returns
    -------
    Columns `COLUMNS`; rank_correlation in [-1, 1]. Without rows where one of the two maps was not
    made or is the same everywhere, since then nothing is ranked.
    """
    from scipy.stats import rankdata  # Here, because it is slow to import.

    rows: list[tuple[str, str, str, str, float]] = []
    shards = sorted(shards, key=lambda shard: shard.method)
    for image_id in track(sorted(frames), "agreement: images", len(frames)):
        for name in sorted(classes):
            maps = {
                shard.method: cells
                for shard in shards
                if (cells := _cells(shard, image_id, name, frames[image_id], sign)) is not None
            }
            if len(maps) < 2:
                continue
            ranks = rankdata(np.array(list(maps.values())), axis=1)
            found = np.corrcoef(ranks)
            for (a, first), (b, second) in itertools.combinations(enumerate(maps), 2):
                rows.append((image_id, name, first, second, found[a, b]))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype(dict.fromkeys(COLUMNS[:4], "str") | {COLUMNS[4]: "float64"})


def _cells(
    shard: Heatmaps, image_id: str, name: str, frame: Frame, sign: Sign
) -> NDArray[np.float64] | None:
    """Mean relevance of `GRID` x `GRID` cells of the radiograph, in a row; None where all tie."""
    if name not in shard.classes:
        return None
    row, column = shard.image_id.index(image_id), shard.classes.index(name)
    if not shard.explained[row, column]:
        return None
    relevance = evidence(shard.heatmap[row, column], sign)
    points = shard.frame_of(frame).at(GRID * FINE, GRID * FINE)
    fine = to_original(relevance, points, float(relevance.min()))
    cells = fine.reshape(GRID, FINE, GRID, FINE).mean(axis=(1, 3), dtype=np.float64).ravel()
    # To seven digits, within which interpolation rounds: what ties must tie here too.
    cells = np.round(cells / max(cells.max(), 1e-30), 6)
    return None if (cells == cells[0]).all() else cells


def summarise(
    table: pd.DataFrame, manifest: pd.DataFrame, settings: Settings, seed: int
) -> pd.DataFrame:
    """Mean rank correlation of each pair, by class and pooled, with patient-bootstrap intervals.

    Parameters
    ----------
    table : of `agree`.
    manifest : image_id and patient_id.
    settings : of the evaluation.

    Returns
    -------
    Columns `SUMMARY`; no row where there is one method only.
    """
    found = table.merge(manifest[["image_id", "patient_id"]], on="image_id")
    parts: list[dict[str, Any]] = []
    if found.empty:
        return pd.DataFrame(columns=SUMMARY)
    by_class = [(str(name), group) for name, group in found.groupby("class")]
    for name, group in [(POOLED, found), *by_class]:
        wide = group.pivot(
            index=["patient_id", "image_id", "class"],
            columns=["method_a", "method_b"],
            values="rank_correlation",
        ).sort_index()
        values = wide.to_numpy(float)
        patients = wide.index.get_level_values("patient_id").to_numpy()
        images = wide.index.get_level_values("image_id").to_numpy()
        low, high = bootstrap_interval(values, patients, settings, seed)
        for column, (first, second) in enumerate(wide.columns):
            has = ~np.isnan(values[:, column])
            n_patients = len(set(patients[has]))
            parts.append(
                {
                    "class": name,
                    "method_a": first,
                    "method_b": second,
                    "n_maps": int(has.sum()),
                    "n_images": len(set(images[has])),
                    "n_patients": n_patients,
                    "mean": values[has, column].mean(),
                    "low": low[column],
                    "high": high[column],
                    "note": too_few(n_patients, settings),
                }
            )
    result = pd.DataFrame(parts, columns=SUMMARY)
    return result.sort_values(SUMMARY[:3], ignore_index=True)
