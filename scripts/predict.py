"""Predict every class of every image of some shards: rule `predict`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from shamsul.job import program
from shamsul.job.progress import track
from shamsul.model import predict
from shamsul.model.checkpoint import load
from shamsul.model.device import be_deterministic, resolve_device
from shamsul.model.job import BATCH_SIZE, Device
from shamsul.storage.images import read_images
from shamsul.storage.tables import write_table


def main(
    checkpoint: Path,
    images: list[Path],
    device: Device = "auto",
    batch_size: int = BATCH_SIZE,
    *,
    predictions: Path,
) -> None:
    """Predict the logit and probability of every class of every image.

    Parameters
    ----------
    checkpoint : file of the classifier.
    images : radiographs, a file for each shard.
    device : processor to compute on; `auto` is a GPU where there is one.
    batch_size : images that are given to the network at once.
    predictions : table to write, a row for each image and class.
    """
    be_deterministic()
    classifier = load(checkpoint, resolve_device(device), batch_size)
    tables = [
        predict.predictions(classifier, read_images(path))
        for path in track(images, "predict: shards")
    ]
    write_table(pd.concat(tables), predictions)


if __name__ == "__main__":
    program.run(main)
