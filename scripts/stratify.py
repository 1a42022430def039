"""Compare parts of the test set: rule `stratify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.evaluate import regressions as fits
from shamsul.evaluate import strata as parts
from shamsul.evaluate.features import of_masks
from shamsul.evaluate.parameters import Stratification
from shamsul.job import program
from shamsul.storage.tables import read_table, write_table


def main(
    settings: dict[str, Any],
    roles: dict[str, Any],
    per_image: Path,
    manifests: list[Path],
    masks: list[Path],
    *,
    strata: Path,
    regressions: Path,
) -> None:
    """Compare parts of the test set by strata, and by regressions on shape and confidence.

    Parameters
    ----------
    settings : seed, evaluate.
    roles : method that is the radiologist.
    per_image : table of the values of every image, class, method and metric.
    manifests : tables of the images, one for each shard.
    masks : tables of the experts' masks, one for each shard.
    strata : table to write, of means by stratum.
    regressions : table to write, of slopes.
    """
    seed, parameters = settings["seed"], Stratification.of(settings["evaluate"])
    values = read_table(per_image)
    manifest = pd.concat([read_table(path) for path in sorted(manifests)])
    features = of_masks(pd.concat([read_table(path) for path in sorted(masks)]))
    write_table(parts.strata(values, manifest, features, parameters), strata)
    write_table(fits.regressions(values, features, parameters, roles, seed), regressions)


if __name__ == "__main__":
    program.run(main)
