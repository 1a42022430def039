"""Score one method's heatmaps of one shard against the experts' masks: rule `score`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shamsul.evaluate.scored_classes import scored
from shamsul.evaluate.scores import COLUMNS, SIGN_COLUMNS, score
from shamsul.job import program
from shamsul.model.description import describe
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.images import read_frames
from shamsul.storage.tables import read_rows, write_rows


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
        read_rows(masks),
        scored(settings["classes"], [row["class"] for row in read_rows(masked)]),
        settings["sign"],
    )
    write_rows(found, COLUMNS, scores)
    write_rows(treated, SIGN_COLUMNS, signs)


if __name__ == "__main__":
    program.run(main)
