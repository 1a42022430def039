"""Evaluation, timed side by side with the way that CheXlocalize's scripts do it.

Run by hand: ``python -m benchmarks.evaluate [NAME...]``, one JSON line for each comparison.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pycocotools import mask as coco

from benchmarks.measure import added, alternate, line, main, peak, seconds
from shamsul.data.masks import encode, run_lengths
from shamsul.evaluate.comparisons import comparisons
from shamsul.evaluate.histogram import sweep
from shamsul.evaluate.histogram_metrics import OVERLAP, RANKING, otsu
from shamsul.evaluate.localisation import localisation
from shamsul.evaluate.parameters import Comparison
from shamsul.evaluate.scores import score
from shamsul.evaluate.sign import evidence
from shamsul.geometry import Frame
from shamsul.labels import LOCALISED
from shamsul.storage.heatmaps import Heatmaps

IMAGES, PATIENTS = 668, 500
"""Of CheXlocalize's test set."""
MASKS = dict(zip(LOCALISED, (298, 175, 14, 310, 85, 35, 178, 10, 120, 315), strict=True))
"""Positives of each class there, in the order of `LOCALISED`; 1,540 in all."""
METHODS, REPLICATES = 12, 10_000
PEER = 10
"""Replicates of the peer that are timed."""
COLUMNS = [
    *(("otsu", metric) for metric in ("iou", "dice", "precision", "recall")),
    *(("none", metric) for metric in ("hit_rate", "relevance_mass", "auprc", "auroc")),
]


def study(seed: int = 0) -> pd.DataFrame:
    """A `per_image` table of that size with random values."""
    generator = np.random.default_rng(seed)
    # Every patient has an image, and some have more.
    patient = np.concatenate(
        [np.arange(PATIENTS), generator.integers(0, PATIENTS, IMAGES - PATIENTS)]
    )
    parts = []
    for name, count in MASKS.items():
        chosen = np.sort(generator.choice(IMAGES, count, replace=False))
        for method in range(METHODS):
            for rule, metric in COLUMNS:
                part = pd.DataFrame({"image_id": chosen, "patient_id": patient[chosen]})
                names = {"split": "test", "class": name, "method": f"method{method:02}"}
                parts.append(
                    part.assign(
                        **names,
                        threshold_rule=rule,
                        metric=metric,
                        value=generator.random(count),
                        repeats="",
                    )
                )
    table = pd.concat(parts, ignore_index=True)
    for column in ("image_id", "patient_id"):
        table[column] = table[column].map("{:04}".format)
    return table


def intervals() -> dict[str, Any]:
    """Intervals of every class, method and metric, against 10,000 resamples with pandas.

    The peer draws images and takes the mean of a pandas column for each class, replicate by
    replicate; its time is extrapolated from ten. `comparisons_s` is for all pairs of methods, with
    their tests and simultaneous intervals. Fails where patients are left out in a loop of Python.
    """
    table = study()
    settings = Comparison(0.95, 5, baseline="method00", margin=0.05)
    localisation(table.head(1000), settings)  # loads what is loaded late
    start = time.perf_counter()
    found = localisation(table, settings)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    comparisons(table, settings, 0)
    compared = time.perf_counter() - start
    taken = 0.0
    for _, group in table.groupby(["method", "threshold_rule", "metric"]):
        wide = group.pivot(index="image_id", columns="class", values="value")
        generator = np.random.default_rng(0)
        start = time.perf_counter()
        for _ in range(PEER):
            drawn = wide.iloc[generator.choice(len(wide), len(wide))]
            {name: drawn[name].mean() for name in wide.columns}
        taken += time.perf_counter() - start
    theirs = taken * REPLICATES / PEER
    return line(
        theirs / ours, at_least=100, peer="one pandas mean for each replicate and class",
        peer_version=pd.__version__, ours_s=ours, peer_s=theirs, comparisons_s=compared,
        rows=len(found), replicates=REPLICATES, patients=PATIENTS, masks=sum(MASKS.values()),
        methods=METHODS, metrics=len(COLUMNS), cores=os.cpu_count(),
        peak_mib=round(peak()),
    )  # fmt: skip


HEIGHT, WIDTH = 2828, 2320
"""Of a radiograph at full resolution, as CheXlocalize's sample has it."""
THRESHOLDS = np.arange(0.2, 0.8, 0.1)
"""The seven that CheXlocalize's tuning looks at."""


def lesion(generator: np.random.Generator) -> NDArray[np.bool_]:
    """An ellipse of a twentieth of the image, more or less."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    top, left = generator.uniform(0.3, 0.7, 2) * (HEIGHT, WIDTH)
    down, across = generator.uniform(0.08, 0.18, 2) * (HEIGHT, WIDTH)
    return ((y - top) / down) ** 2 + ((x - left) / across) ** 2 < 1


def mask_row(mask: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "image_id": "a", "class": "b", "annotator": "c", "kind": "segmentation", "height": HEIGHT,
        "width": WIDTH, "counts": encode(mask), "instances": 1,
    }  # fmt: skip


def measured(heatmap: NDArray[np.float32], frame: Frame, row: dict[str, Any]) -> Any:
    """Everything that is said of one map and mask, at 1,024 thresholds where there is one."""
    laid = sweep(evidence(heatmap), frame, run_lengths(row), ranked=True)
    assert laid.ranked is not None
    overlap = [measure(laid.inside, laid.outside) for measure in OVERLAP.values()]
    overlap += [measure(*laid.ranked) for measure in RANKING.values()]
    return overlap, otsu(laid.inside + laid.outside), laid.hit, laid.mass


def at_seven_thresholds(heatmap: NDArray[np.float32], row: dict[str, Any]) -> list[float]:
    """IoU as CheXlocalize's tuning takes it: each threshold resizes, decodes and counts anew."""
    import torch

    found = []
    for threshold in THRESHOLDS:
        tensor = torch.from_numpy(heatmap)[None, None]
        resized = torch.nn.functional.interpolate(
            tensor, size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False
        ).squeeze()
        scaled = resized - resized.min()
        scaled = scaled.div(scaled.max()).numpy()
        segmentation = np.array(scaled > threshold, dtype="int")
        run = {"size": [HEIGHT, WIDTH], "counts": row["counts"]}
        expert = coco.decode(run)
        shared = np.logical_and(segmentation, expert)
        either = np.logical_or(segmentation, expert)
        if np.sum(segmentation) and np.sum(expert):
            found.append(np.sum(shared) / np.sum(either))
    return found


def threshold_sweep() -> dict[str, Any]:
    """One full-resolution map of 224 x 224: ours at 1,024 thresholds, theirs at seven.

    `reads` is our time over that of summing one float32 map of full resolution, which is reading
    the pixels once; `memory_maps` is the memory that ours adds, in such maps. Fails where a
    threshold goes through the pixels again, or where maps are copied at full resolution.
    """
    generator = np.random.default_rng(0)
    row = mask_row(lesion(generator))
    heatmap = generator.random((224, 224), np.float32)
    measured(heatmap, Frame.fit(64, 64, 224, "stretch"), {**row, **SMALL})  # compiles
    frame = Frame.fit(HEIGHT, WIDTH, 224, "stretch")
    mib = added(lambda: measured(heatmap, frame, row))
    ours, theirs = alternate(
        lambda: measured(heatmap, frame, row), lambda: at_seven_thresholds(heatmap, row)
    )
    full = generator.random((HEIGHT, WIDTH), np.float32)
    ours_again, read = alternate(lambda: measured(heatmap, frame, row), full.sum, rounds=11)
    maps = mib * 2**20 / full.nbytes
    found = line(
        theirs / ours, at_least=8, peer="CheXlocalize's tuning, as its script does it",
        ours_ms=1e3 * ours, peer_ms=1e3 * theirs, reads=ours_again / read, memory_maps=maps,
    )  # fmt: skip
    return found | {"holds": found["holds"] and maps <= 3}


SMALL = {"height": 64, "width": 64, "counts": encode(np.eye(64, dtype=bool))}
SHARE = 10
"""A tenth of the test set is scored."""


def score_method(method: int) -> int:
    """Score a tenth of the test set by one method: the number of its maps."""
    generator = np.random.default_rng(method)
    count, classes = IMAGES // SHARE, list(LOCALISED)
    side = 7 if method % 3 == 0 else 224
    values = generator.normal(0.2, 1, (count, len(classes), side, side)).astype(np.float32)
    if method % 2:
        values = np.maximum(values, 0)
    names = [f"{number:04}" for number in range(count)]
    shard = Heatmaps(
        values, names, np.ones((count, len(classes)), bool), classes, f"m{method}", {}, ""
    )
    frames = {name: Frame.fit(HEIGHT, WIDTH, 224, "stretch") for name in names}
    rows = [mask_row(lesion(generator)) for _ in range(8)]
    masks = [
        rows[number % len(rows)] | {"image_id": names[number % count], "class": name}
        for name, positive in MASKS.items()
        for number in range(round(positive / SHARE))
    ]
    found, _ = score(shard, frames, masks, classes)
    assert len(found) == count * len(classes)
    return len(found)


def score_test_set() -> dict[str, Any]:
    """668 images, ten classes, twelve methods at full resolution; measured on a tenth.

    Maps of 7 x 7 and 224 x 224, half of them signed, so that the table of signs costs what it
    does. Ours is everything that is said of a map, and the table of it; the peer is the tuning of
    one map's threshold, method by method between ours. Fails where a map is decoded, resized or
    swept at full resolution, or where a table is built row by row. The minutes are of one process
    on this machine and are bounded by nothing.
    """
    generator = np.random.default_rng(0)
    row = mask_row(lesion(generator))
    heatmap = generator.random((224, 224), np.float32)
    score_method(0)  # compiles
    at_seven_thresholds(heatmap, row)
    maps, ours, theirs = 0, 0.0, 0.0
    for method in range(METHODS):
        start = time.perf_counter()
        maps += score_method(method)
        ours += time.perf_counter() - start
        theirs += seconds(lambda: at_seven_thresholds(heatmap, row))
    ours, theirs = ours / maps, theirs / METHODS
    whole = IMAGES * len(LOCALISED) * METHODS
    return line(
        theirs / ours, at_least=15, peer="CheXlocalize's tuning of one map, as its script does it",
        ours_ms=1e3 * ours, peer_ms=1e3 * theirs, maps=maps, ours_minutes=whole * ours / 60,
        extrapolated="minutes, from a tenth of the images",
    )  # fmt: skip


COMPARISONS = {
    function.__name__: function for function in (threshold_sweep, score_test_set, intervals)
}

if __name__ == "__main__":
    main(COMPARISONS)
