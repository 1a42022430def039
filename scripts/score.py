"""Score one method's heatmaps of one shard against the experts' masks: rule `score`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shamsul.evaluate.scores import score
from shamsul.job import program
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.images import read_frames
from shamsul.storage.tables import read_table, write_table


def main(
    settings: dict[str, Any],
    heatmaps: Path,
    images: Path,
    masks: Path,
    *,
    scores: Path,
    signs: Path,
) -> None:
    """Score one method's heatmaps of one shard against the experts' masks.

    Parameters
    ----------
    settings : classes, sign.
    heatmaps : heatmaps of the shard by the method.
    images : radiographs of the shard.
    masks : table of the shard's masks.
    scores : table to write, with the maps' histograms and hits.
    signs : table to write, with a row for each mask and treatment of signs.
    """
    scored, treated = score(
        read_heatmaps(heatmaps),
        read_frames(images),
        read_table(masks),
        settings["classes"],
        settings["sign"],
    )
    write_table(scored, scores)
    write_table(treated, signs)


if __name__ == "__main__":
    program.run(main)
