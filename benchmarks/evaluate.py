"""Evaluation, timed side by side with the way that CheXlocalize's scripts do it.

Run by hand: ``python -m benchmarks.evaluate [NAME...]``, one JSON line for each comparison.
"""

from __future__ import annotations

import os
import resource
import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import line, main
from shamsul.evaluate.summaries import comparisons, localisation
from shamsul.labels import LOCALISED

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
                        **names, threshold_rule=rule, metric=metric, value=generator.random(count)
                    )
                )
    table = pd.concat(parts, ignore_index=True)
    for column in ("image_id", "patient_id"):
        table[column] = table[column].map("{:04}".format)
    return table


def bootstrap() -> dict[str, Any]:
    """Intervals of every class, method and metric, from 10,000 resamples of the patients.

    The peer draws images and takes the mean of a pandas column for each class, replicate by
    replicate; its time is extrapolated from ten. `comparisons_s` is for all pairs of methods.
    """
    table = study()
    settings = {
        "replicates": REPLICATES, "confidence": 0.95, "interval": "bca", "min_patients": 5,
        "baseline": "method00",
    }  # fmt: skip
    localisation(table.head(1000), settings, 0)  # loads what is loaded late
    start = time.perf_counter()
    found = localisation(table, settings, 0)
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
        ours, at_most=10, unit="s", peer="one pandas mean for each replicate and class",
        peer_version=pd.__version__, peer_s=theirs, ratio=theirs / ours, comparisons_s=compared,
        rows=len(found), replicates=REPLICATES, patients=PATIENTS, masks=sum(MASKS.values()),
        methods=METHODS, metrics=len(COLUMNS), cores=os.cpu_count(),
        peak_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    )  # fmt: skip


COMPARISONS = {function.__name__: function for function in (bootstrap,)}

if __name__ == "__main__":
    main(COMPARISONS)
