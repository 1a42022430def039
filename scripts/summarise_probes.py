"""Summarise the probes of all methods' heatmaps: rule `summarise_probes`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.evaluate.parameters import Inference
from shamsul.evaluate.probes import summarise
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main(
    settings: dict[str, Any],
    probes: list[Path],
    manifests: list[Path],
    *,
    faithfulness: Path,
    sanity: Path,
) -> None:
    """Summarise the probes of all methods' heatmaps, with intervals.

    Parameters
    ----------
    settings : evaluate.
    probes : tables of the probes, one for each method and shard.
    manifests : tables of the images, one for each shard.
    faithfulness : table to write, with the effect of hiding relevant pixels on the prediction.
    sanity : table to write, with the change of maps where they should change and where not.
    """
    tables = summarise(
        pd.concat([read_table(path) for path in sorted(probes)]),
        pd.concat([read_table(path) for path in sorted(manifests)]),
        Inference.of(settings["evaluate"]),
    )
    for table, path in zip(tables, (faithfulness, sanity), strict=True):
        write_table(table, path)


if __name__ == "__main__":
    program.run(main)
