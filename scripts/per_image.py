"""Turn the scores of all methods and shards into one value for each image and measure."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from shamsul.evaluate import markers, per_image, sign_treatments
from shamsul.evaluate.parameters import Measurement
from shamsul.evaluate.pxap import pxap
from shamsul.evaluate.thresholds import tune, warn_of_few
from shamsul.job import program
from shamsul.job.progress import track
from shamsul.storage.tables import read_table, write_table

TABLES = ("per_image", "thresholds", "pxap", "markers", "signs")


def main() -> None:
    """Choose thresholds on tune and measure, one method after the other; write five tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: seed, evaluate")
    parser.add_argument("--scores", type=Path, nargs="+", required=True)
    parser.add_argument("--sign-scores", type=Path, nargs="+", required=True)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    for name in TABLES:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=Path, required=True, help="table to write")
    arguments = parser.parse_args()
    seed, settings = arguments.settings["seed"], Measurement.of(arguments.settings["evaluate"])
    manifest = pd.concat([read_table(path) for path in sorted(arguments.manifests)])
    predictions = read_table(arguments.predictions)

    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLES}
    # The histograms of one method at a time fit into memory whatever the number of methods.
    for found in by_method(arguments.scores):
        scores = per_image.gather(found, manifest)
        thresholds = tune(scores, settings)
        parts["thresholds"].append(thresholds)
        parts["per_image"].append(
            per_image.per_image(scores, thresholds, manifest, predictions, settings)
        )
        parts["pxap"].append(pxap(scores, settings, seed))
        parts["markers"].append(markers.summarise(scores, manifest, settings, seed))
    for found in by_method(arguments.sign_scores):
        found = per_image.judged(found, manifest)[found.columns]
        parts["signs"].append(sign_treatments.summarise(found, manifest, settings, seed))
    warn_of_few(pd.concat(parts["thresholds"]), settings)
    for name in TABLES:
        table = pd.concat(parts[name], ignore_index=True)
        write_table(per_image.ordered(table), getattr(arguments, name))


def by_method(paths: list[Path]) -> Iterator[pd.DataFrame]:
    """The tables of each method, its shards together; a method's shards lie in one folder."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted(paths):
        folders.setdefault(path.parent, []).append(path)
    for folder in track(folders, "measure: methods", len(folders)):
        yield pd.concat([read_table(path) for path in folders[folder]], ignore_index=True)


if __name__ == "__main__":
    program.run(main)
