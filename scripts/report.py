"""Write the report of a run as one HTML file: rule `report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.data.pseudonyms import located
from shamsul.job import program
from shamsul.report.page import render
from shamsul.report.provenance import provenance
from shamsul.report.run import Results
from shamsul.storage.files import replacing
from shamsul.storage.tables import read_table


def main(
    settings: dict[str, Any],
    roots: dict[str, str],
    tables: list[Path],
    manifests: list[Path],
    masks: list[Path],
    masked: Path,
    images: list[Path],
    heatmaps: list[Path],
    digests: list[Path],
    private: Path | None = None,
    *,
    html: Path,
    configuration: Path,
) -> None:
    """Write the report of a run as one HTML file.

    Parameters
    ----------
    settings : config, kinds, foreign, missing, simulated.
    roots : folder of each source, by the source's name.
    tables : tables that the sections read, each named by its file's stem.
    manifests : tables of the images, one for each shard.
    masks : tables of the experts' masks, one for each shard.
    masked : table of the classes that have masks.
    images : radiographs, a file for each shard.
    heatmaps : heatmaps of all methods, a file for each method and shard.
    digests : files whose check sums the report gives.
    private : folder of the names that were replaced, where they were.
    html : file to write.
    configuration : file to write with the configuration, for comparisons with other runs.
    """
    read = {path.stem: read_table(path) for path in tables}
    read["manifest"] = pd.concat([read_table(path) for path in manifests])
    if private:
        paths = located(read["manifest"]["image_id"], private)
        read["manifest"] = read["manifest"].assign(path=paths)
    read["masks"] = pd.concat([read_table(path) for path in masks])
    read["masked"] = read_table(masked)
    results = Results(
        read,
        heatmaps=heatmaps,
        images=images,
        roots={name: Path(folder) for name, folder in roots.items()},
        provenance=provenance(digests),
    )
    page = render(results, **settings)
    with replacing(html) as temporary:
        temporary.write_text(page, encoding="utf-8")
    with replacing(configuration) as temporary:
        shown = {"config": settings["config"], "kinds": settings["kinds"]}
        temporary.write_text(json.dumps(shown, indent=1, sort_keys=True), encoding="utf-8")


if __name__ == "__main__":
    program.run(main)
