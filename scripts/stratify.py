"""Look at parts of the test set: strata, and regressions on shape and confidence."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from shamsul.evaluate.features import of_masks
from shamsul.evaluate.parameters import Stratification
from shamsul.evaluate.regressions import regressions
from shamsul.evaluate.strata import strata
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main() -> None:
    """Read the values per image, manifests and masks; write two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="JSON: seed, evaluate")
    parser.add_argument("--roles", type=json.loads, required=True, help="JSON: radiologist")
    parser.add_argument("--per-image", type=Path, required=True)
    parser.add_argument("--manifests", type=Path, nargs="+", required=True)
    parser.add_argument("--masks", type=Path, nargs="+", required=True)
    for name in ("--strata", "--regressions"):
        parser.add_argument(name, type=Path, required=True, help="table to write")
    arguments = parser.parse_args()
    seed, settings = arguments.settings["seed"], Stratification.of(arguments.settings["evaluate"])
    per_image = read_table(arguments.per_image)
    manifest = pd.concat([read_table(path) for path in sorted(arguments.manifests)])
    features = of_masks(pd.concat([read_table(path) for path in sorted(arguments.masks)]))
    write_table(strata(per_image, manifest, features, settings, seed), arguments.strata)
    write_table(
        regressions(per_image, features, settings, arguments.roles, seed), arguments.regressions
    )


if __name__ == "__main__":
    program.run(main)
