"""Take a checkpoint that was trained elsewhere: rule `import_checkpoint`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from shamsul.job import program
from shamsul.model import checkpoint
from shamsul.model.train import HISTORY_COLUMNS
from shamsul.storage.tables import write_table


def main() -> None:
    """Parse the arguments, write the checkpoint and an empty history."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: classes, size, backbone"
    )
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    arguments = parser.parse_args()

    settings = arguments.settings
    classifier = checkpoint.import_checkpoint(
        arguments.source, settings["backbone"], settings["classes"], settings["size"]
    )
    checkpoint.save(classifier, arguments.checkpoint, {})
    kinds = {name: "int64" if name == "epoch" else "float64" for name in HISTORY_COLUMNS}
    write_table(pd.DataFrame(columns=HISTORY_COLUMNS).astype(kinds), arguments.history)


if __name__ == "__main__":
    program.run(main)
