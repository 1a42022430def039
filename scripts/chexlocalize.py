"""Measure one method as CheXlocalize's scripts do: rule `chexlocalize`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.evaluate.chexlocalize.scores import Run, measure
from shamsul.evaluate.parameters import Protocol
from shamsul.evaluate.scored_classes import scored
from shamsul.job import program
from shamsul.model.description import describe
from shamsul.storage.images import read_frames
from shamsul.storage.tables import read_table, write_table


def main(
    settings: dict[str, Any],
    checkpoint: Path,
    heatmaps: list[Path],
    images: list[Path],
    masks: list[Path],
    masked: Path,
    patients: list[Path],
    predictions: Path,
    *,
    per_image: Path,
) -> None:
    """Measure one method on tune and test as CheXlocalize's scripts do.

    Parameters
    ----------
    settings : method, classes, chexlocalize.
    checkpoint : file of the classifier, which the heatmaps must be of.
    heatmaps : heatmaps of the method, a file for each shard.
    images : radiographs, a file for each shard.
    masks : tables of the experts' masks, one for each shard.
    masked : table of the classes that have masks.
    patients : tables of the images' patients, one for each shard.
    predictions : table of the classifier's predictions.
    per_image : table to write, a row for each image, class and metric.
    """
    run = Run.of(
        pd.concat([read_table(path) for path in sorted(masks)]),
        pd.concat([read_table(path) for path in sorted(patients)]),
        read_table(predictions),
        {key: frame for path in images for key, frame in read_frames(path).items()},
        scored(settings["classes"], read_table(masked)["class"]),
        describe(checkpoint).digest,
    )
    protocol = Protocol.of(settings["chexlocalize"])
    write_table(measure(heatmaps, run, settings["method"], protocol), per_image)


if __name__ == "__main__":
    program.run(main)
