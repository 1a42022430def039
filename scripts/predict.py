"""Predict every class of every image of some shards: rule `predict`."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from shamsul.job import program
from shamsul.job.progress import track
from shamsul.model import checkpoint, predict
from shamsul.model.device import be_deterministic, resolve_device
from shamsul.storage.images import read_images
from shamsul.storage.tables import write_table


def main() -> None:
    """Parse the arguments, predict, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--predictions", type=Path, required=True)
    arguments = parser.parse_args()

    be_deterministic()
    device = resolve_device(arguments.device)
    classifier = checkpoint.load(arguments.checkpoint, device, arguments.batch_size)
    tables = [
        predict.predictions(classifier, read_images(path))
        for path in track(arguments.images, "predict: shards")
    ]
    write_table(pd.concat(tables), arguments.predictions)


if __name__ == "__main__":
    program.run(main)
