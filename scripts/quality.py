"""Summarise the quality that heatmap shards carry: rule `quality`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from shamsul.evaluate.quality import summarise
from shamsul.job import program
from shamsul.model.description import describe
from shamsul.storage.tables import read_table, write_table


def main(checkpoint: Path, heatmaps: list[Path], manifests: list[Path], *, table: Path) -> None:
    """Summarise how far the methods' maps deviate from their promises, such as a sum.

    Parameters
    ----------
    checkpoint : file of the classifier, which the heatmaps must be of.
    heatmaps : heatmaps of all methods, a file for each method and shard.
    manifests : tables of the images, one for each shard.
    table : table to write.
    """
    manifest = pd.concat([read_table(path) for path in manifests])
    write_table(summarise(heatmaps, manifest, describe(checkpoint).digest), table)


if __name__ == "__main__":
    program.run(main)
