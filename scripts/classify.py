"""Score predictions against labels, with intervals over patients: rule `classify`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.evaluate.classification import classification_table, reversed_classes
from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.reliability import reliability
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table

logger = logging.getLogger(__name__)


def main(
    settings: dict[str, Any],
    predictions: Path,
    manifests: list[Path],
    *,
    table: Path,
    errors: Path,
    bins: Path,
) -> None:
    """Score predictions against labels, with intervals over patients.

    Parameters
    ----------
    settings : seed, evaluate.
    predictions : table of the classifier's predictions.
    manifests : tables of the images and their labels, one for each shard.
    table : table to write, a row for each split, class and metric.
    errors : table of calibration errors to write, a row for each split, class and scaling.
    bins : table to write, a row for each bin of predictions that these are made of.
    """
    predicted = read_table(predictions)
    manifest = pd.concat([read_table(path) for path in manifests], ignore_index=True)
    inference = Inference.of(settings["evaluate"])
    scored = classification_table(predicted, manifest, inference)
    for _, row in reversed_classes(scored).iterrows():
        logger.warning(
            "%s: the AUROC on test is %.2f (%.2f to %.2f), below one half; is its output that of "
            "another class? see model.outputs",
            row["class"], row["auroc"], row["auroc_low"], row["auroc_high"],
        )  # fmt: skip
    write_table(scored, table)
    for found, path in zip(
        reliability(predicted, manifest, inference), (errors, bins), strict=True
    ):
        write_table(found, path)


if __name__ == "__main__":
    program.run(main)
