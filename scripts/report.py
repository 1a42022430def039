"""Write the report of a run as one HTML file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from shamsul.job import program
from shamsul.report.page import render
from shamsul.report.provenance import provenance
from shamsul.report.run import Results
from shamsul.storage.files import replacing
from shamsul.storage.tables import read_table


def main() -> None:
    """Read what a run has made; write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: config, kinds, foreign, missing"
    )
    parser.add_argument(
        "--tables", type=Path, nargs="+", required=True, help="each named by its file's stem"
    )
    for name in ("manifests", "masks", "heatmaps", "images"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    parser.add_argument("--roots", type=json.loads, required=True, help="JSON: source, folder")
    parser.add_argument("--digests", type=Path, nargs="+", required=True, help="inputs to name")
    parser.add_argument("--html", type=Path, required=True, help="file to write")
    arguments = parser.parse_args()
    tables = {path.stem: read_table(path) for path in arguments.tables}
    tables["manifest"] = pd.concat([read_table(path) for path in arguments.manifests])
    tables["masks"] = pd.concat([read_table(path) for path in arguments.masks])
    results = Results(
        tables,
        heatmaps=arguments.heatmaps,
        images=arguments.images,
        roots={name: Path(folder) for name, folder in arguments.roots.items()},
        provenance=provenance(arguments.digests),
    )
    html = render(results, **arguments.settings)
    with replacing(arguments.html) as temporary:
        temporary.write_text(html, encoding="utf-8")


if __name__ == "__main__":
    program.run(main)
