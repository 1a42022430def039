"""Summarise and compare the methods from their values per image: rule `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.evaluate import comparisons as compared
from shamsul.evaluate import gains as gained
from shamsul.evaluate import localisation as located
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
    pxap : table of the pixel average precision, which no single image has.
    localisation : table of means to write.
    comparisons : table of differences between methods to write.
    gains : table to write, with gains over the baseline, the prior and the radiologist.
    """
    seed, parameters = settings["seed"], Comparison.of(settings["evaluate"])
    values = read_table(per_image)
    means = located.localisation(values, parameters)
    whole = pd.concat([means, read_table(pxap)], ignore_index=True)[list(means.columns)]
    write_table(whole, localisation)
    write_table(compared.comparisons(values, parameters, seed), comparisons)
    write_table(gained.gains(values, parameters, roles, seed), gains)


if __name__ == "__main__":
    program.run(main)
