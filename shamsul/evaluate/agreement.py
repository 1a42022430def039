"""Agreement of the maps of two methods: rank correlation, map by map.

Two entries of one method that differ in their seed or in the checkpoint that they explain make the
pair a test of repeatability or reproducibility (Arun et al., Radiology: Artificial Intelligence
2021); two different methods that always agree are one finding and not two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.evaluate.means import means
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.sign import Sign, evidence
from shamsul.geometry import Frame, to_original
from shamsul.job.progress import track
from shamsul.storage.heatmaps import Heatmaps

GRID = 32
"""Number of cells along a side of the radiograph, on which maps are compared."""
FINE = 4
"""Number of points along a side of a cell, which are averaged."""
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
    """Return Spearman's correlation between the maps of each pair of methods.

    Parameters
    ----------
    shards : heatmaps of the same images by several methods. One image after the other is asked of
        all of them, so that maps which stay in their files need no memory.
    frames : frames of the images, by image_id.
    classes : classes to compare.
    sign : treatment of negative relevance.

    Returns
    -------
    Columns `COLUMNS`; rank_correlation in [-1, 1]. There is no row where one of the two maps was
    not made or is the same everywhere, since then nothing is ranked.
    """
    images, names = sorted(frames), sorted(classes)
    ordered = sorted(shards, key=lambda shard: shard.method)
    first, second = np.triu_indices(len(ordered), 1)
    found = np.full((len(images), len(names), len(first)), np.nan)
    for row, image_id in enumerate(track(images, "agreement: images")):
        # Ranks are whole numbers, so that sums of products are exact, whatever their order.
        doubled = np.array([_ranks(shard, image_id, frames, names, sign) for shard in ordered])
        doubled -= GRID**2 + 1.0
        centred = doubled.reshape(len(ordered), len(names), GRID**2).swapaxes(0, 1)
        products = centred @ centred.swapaxes(1, 2)
        lengths = np.sqrt(np.diagonal(products, axis1=1, axis2=2))
        both = lengths[:, first] * lengths[:, second]
        np.divide(products[:, first, second], both, out=found[row], where=both > 0)
    image, name, pair = np.nonzero(~np.isnan(found))
    methods = np.array([shard.method for shard in ordered], object)
    keys = (np.array(images, object)[image], np.array(names, object)[name])
    columns = (
        *keys,
        *(methods[index[pair]] for index in (first, second)),
        found[image, name, pair],
    )
    table = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
    return table.astype(dict.fromkeys(COLUMNS[:4], "str") | {COLUMNS[4]: "float64"})


def _ranks(
    shard: Heatmaps, image_id: str, frames: Mapping[str, Frame], names: Sequence[str], sign: Sign
) -> NDArray[np.float64]:
    """Return twice the ranks of each map's cells, which are whole numbers also where cells tie.

    Parameters
    ----------
    frames : frames of the images, by image_id.
    names : names of C classes.

    Returns
    -------
    (C, `GRID` ** 2); all the same where there is no map.
    """
    at = shard.image_id.index(image_id)
    points = shard.frame_of(frames[image_id]).at(GRID * FINE, GRID * FINE)
    cells = np.zeros((len(names), GRID**2))
    for number, name in enumerate(names):
        if name in shard.classes and shard.explained[at, shard.classes.index(name)]:
            heatmap = shard.heatmap[at, shard.classes.index(name)]
            cells[number] = _cells(evidence(heatmap, sign), points)
    return 2 * pd.DataFrame(cells).rank(axis=1).to_numpy()


def _cells(relevance: NDArray[np.float32], points: Frame) -> NDArray[np.float64]:
    """Return the mean relevance of `GRID` x `GRID` cells of the radiograph, in a row."""
    fine = to_original(relevance, points, float(relevance.min()))
    down = fine.reshape(GRID, FINE, GRID * FINE).mean(axis=1, dtype=np.float64)
    cells = down.reshape(GRID**2, FINE).mean(axis=1)
    # Values are rounded to seven digits, within which interpolation rounds, so that ties stay ties.
    return np.round(cells / max(cells.max(), 1e-30), 6)


def summarise(table: pd.DataFrame, manifest: pd.DataFrame, settings: Inference) -> pd.DataFrame:
    """Return the mean rank correlation of each pair, with intervals over patients.

    Parameters
    ----------
    table : table that `agree` returns.
    manifest : image_id and patient_id.
    settings : settings of the intervals.

    Returns
    -------
    Columns `SUMMARY`, by class and `pooled`; no row where there is one method only.
    """
    found = table.merge(manifest[["image_id", "patient_id"]], on="image_id")
    pairs = ["method_a", "method_b"]
    result = means(found, "rank_correlation", [], settings, beside=pairs)
    result = result.rename(columns={"n_masks": "n_maps"})
    return result[SUMMARY].sort_values(SUMMARY[:3], ignore_index=True)
