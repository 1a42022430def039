"""Summarise and compare the methods from their values per image: rule `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.evaluate import comparisons as summaries
from shamsul.evaluate import gains as gained
from shamsul.evaluate import localisation as averages
from shamsul.evaluate.parameters import Comparison
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main(
    settings: dict[str, Any],
    roles: dict[str, Any],
    per_image: Path,
    pxap: Path,
    *,
    localisation: Path,
    comparisons: Path,
    gains: Path,
) -> None:
    """Summarise and compare the methods from their values per image.

    Parameters
    ----------
    settings : seed, evaluate.
    roles : methods that are the baseline, the prior and the radiologist.
    per_image : table of the values of every image, class, method and metric.
    pxap : table of the pixel average precision, which is of no single image.
    localisation : table to write, of means.
    comparisons : table to write, of differences between methods.
    gains : table to write, of gains over the baseline, the prior and the radiologist.
    """
    seed, evaluate = settings["seed"], Comparison.of(settings["evaluate"])
    values = read_table(per_image)
    means = averages.localisation(values, evaluate, seed)
    whole = pd.concat([means, read_table(pxap)], ignore_index=True)[list(means.columns)]
    write_table(whole, localisation)
    write_table(summaries.comparisons(values, evaluate, seed), comparisons)
    write_table(gained.gains(values, evaluate, roles, seed), gains)


if __name__ == "__main__":
    program.run(main)
