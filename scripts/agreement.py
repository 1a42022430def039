"""Compare the heatmaps of all methods on one shard with one another: rule `agreement`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shamsul.evaluate.agreement import agree
from shamsul.job import program
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.images import read_frames
from shamsul.storage.tables import write_table


def main(settings: dict[str, Any], heatmaps: list[Path], images: Path, *, agreement: Path) -> None:
    """Correlate the heatmaps of each pair of methods on one shard.

    Parameters
    ----------
    settings : classes, sign.
    heatmaps : heatmaps of the shard, a file for each method; one is read after the other.
    images : radiographs of the shard.
    agreement : table to write, a row for each image, class and pair of methods.
    """
    table = agree(
        map(read_heatmaps, heatmaps), read_frames(images), settings["classes"], settings["sign"]
    )
    write_table(table, agreement)


if __name__ == "__main__":
    program.run(main)
