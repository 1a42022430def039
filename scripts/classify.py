"""Score predictions against labels, with intervals over patients: rule `classify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.evaluate.classification import classification_table
from shamsul.evaluate.parameters import Inference
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main(
    settings: dict[str, Any], predictions: Path, manifests: list[Path], *, table: Path
) -> None:
    """Score predictions against labels, with intervals over patients.

    Parameters
    ----------
    settings : seed, evaluate.
    predictions : table of the classifier's predictions.
    manifests : tables of the images and their labels, one for each shard.
    table : table to write, a row for each split, class and metric.
    """
    scored = classification_table(
        read_table(predictions),
        pd.concat([read_table(path) for path in manifests], ignore_index=True),
        Inference.of(settings["evaluate"]),
    )
    write_table(scored, table)


if __name__ == "__main__":
    program.run(main)
