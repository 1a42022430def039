"""Summarise how alike the methods' maps are: rule `summarise_agreement`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.evaluate.agreement import summarise
from shamsul.evaluate.parameters import Inference
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main(
    settings: dict[str, Any], agreements: list[Path], manifests: list[Path], *, table: Path
) -> None:
    """Summarise how alike the methods' maps are: the mean correlation of each pair.

    Parameters
    ----------
    settings : evaluate.
    agreements : tables of the correlations, one for each shard.
    manifests : tables of the images, one for each shard.
    table : table to write.
    """
    correlations = pd.concat([read_table(path) for path in sorted(agreements)])
    manifest = pd.concat([read_table(path) for path in sorted(manifests)])
    parameters = Inference.of(settings["evaluate"])
    write_table(summarise(correlations, manifest, parameters), table)


if __name__ == "__main__":
    program.run(main)
