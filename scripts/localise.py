"""Turn the scores of all methods and shards into tables of localisation."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from shamsul import cli
from shamsul.evaluate import summaries, tables
from shamsul.storage import read_table, write_table


def main() -> None:
    """Read scores, manifests and predictions; write four tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: seed, evaluate")
    parser.add_argument("--scores", type=Path, nargs="+", required=True)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    for name in ("--per-image", "--localisation", "--comparisons", "--thresholds"):
        parser.add_argument(name, type=Path, required=True, help="table to write")
    arguments = parser.parse_args()
    seed, settings = arguments.settings["seed"], arguments.settings["evaluate"]

    manifest = pd.concat([read_table(path) for path in sorted(arguments.manifests)])
    scores = pd.concat([read_table(path) for path in sorted(arguments.scores)])
    scores = tables.gather(scores, manifest)
    thresholds = tables.tune(scores, settings)
    per_image = tables.per_image(
        scores, thresholds, manifest, read_table(arguments.predictions), settings
    )
    write_table(thresholds, arguments.thresholds)
    write_table(per_image, arguments.per_image)
    write_table(summaries.localisation(per_image, settings, seed), arguments.localisation)
    write_table(summaries.comparisons(per_image, settings, seed), arguments.comparisons)


if __name__ == "__main__":
    cli.run(main)
