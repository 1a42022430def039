"""Score one method's heatmaps of one shard against the experts' masks: rule `score`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shamsul.evaluate.scored_classes import scored
from shamsul.evaluate.scores import score
from shamsul.job import program
from shamsul.model.description import describe
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.images import read_frames
from shamsul.storage.tables import read_table, write_table


def main(
    settings: dict[str, Any],
    checkpoint: Path,
    heatmaps: Path,
    images: Path,
    masks: Path,
    masked: Path,
    *,
    scores: Path,
    signs: Path,
) -> None:
    """Score one method's heatmaps of one shard against the experts' masks.

    Parameters
    ----------
    settings : classes, sign.
    checkpoint : file of the classifier, which the heatmaps must be of.
    heatmaps : heatmaps of the shard by the method.
    images : radiographs of the shard.
    masks : table of the shard's masks.
    masked : table of the classes that have masks on any shard.
    scores : table to write, with the maps' histograms and hits.
    signs : table to write, with a row for each mask and treatment of signs.
    """
    found, treated = score(
        read_heatmaps(heatmaps, describe(checkpoint).digest),
        read_frames(images),
        read_table(masks),
        scored(settings["classes"], read_table(masked)),
        settings["sign"],
    )
    write_table(found, scores)
    write_table(treated, signs)


if __name__ == "__main__":
    program.run(main)
