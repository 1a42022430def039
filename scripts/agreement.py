"""Compare the heatmaps of all methods on one shard with one another: rule `agreement`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from shamsul.evaluate.agreement import agree
from shamsul.evaluate.scored_classes import scored
from shamsul.job import program
from shamsul.model.description import describe
from shamsul.storage.heatmaps import open_heatmaps
from shamsul.storage.images import read_frames
from shamsul.storage.tables import read_table, write_table


def main(
    settings: dict[str, Any],
    checkpoint: Path,
    heatmaps: list[Path],
    images: Path,
    masked: Path,
    *,
    agreement: Path,
) -> None:
    """Correlate the heatmaps of each pair of methods on one shard.

    Parameters
    ----------
    settings : classes, sign.
    checkpoint : file of the classifier, which the heatmaps must be of.
    heatmaps : heatmaps of the shard, a file for each method; all are read image by image.
    images : radiographs of the shard.
    masked : table of the classes that have masks on any shard.
    agreement : table to write, a row for each image, class and pair of methods.
    """
    digest = describe(checkpoint).digest
    with ExitStack() as stack:
        table = agree(
            [stack.enter_context(open_heatmaps(path, digest)) for path in heatmaps],
            read_frames(images),
            scored(settings["classes"], read_table(masked)["class"]),
            settings["sign"],
        )
    write_table(table, agreement)


if __name__ == "__main__":
    program.run(main)
