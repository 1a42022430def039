"""Turn all scores into one value for each image and measure: rule `per_image`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.evaluate import per_image as measures
from shamsul.evaluate import pxap as precision
from shamsul.evaluate import sign_treatments
from shamsul.evaluate import thresholds as tuning
from shamsul.evaluate.markers import summarise
from shamsul.evaluate.parameters import Measurement
from shamsul.evaluate.repeats import repeats
from shamsul.evaluate.scored_classes import omissions
from shamsul.job import program
from shamsul.job.progress import track
from shamsul.storage.tables import read_table, write_table

logger = logging.getLogger(__name__)


def main(
    settings: dict[str, Any],
    methods: dict[str, Any],
    classes: dict[str, Any],
    scores: list[Path],
    sign_scores: list[Path],
    manifests: list[Path],
    masks: list[Path],
    masked: Path,
    predictions: Path,
    *,
    per_image: Path,
    thresholds: Path,
    pxap: Path,
    signs: Path,
    markers: Path,
) -> None:
    """Choose thresholds on tune and measure every map, one method after the other.

    Parameters
    ----------
    settings : evaluate.
    methods : names of the methods that `abstain`.
    classes : explained and listed, `explain.classes` and `evaluate.classes`.
    scores : scores of the heatmaps, in a folder for each method.
    sign_scores : scores under each treatment of signs, in a folder for each method.
    manifests : tables of the images, one for each shard.
    masks : tables of the experts' masks, one for each shard.
    masked : table of the classes that have masks.
    predictions : table of the classifier's predictions.
    per_image : table to write, a row for each image, class, method and metric.
    thresholds : table to write, with the chosen thresholds.
    pxap : table to write, with the pixel average precision.
    signs : table to write, with means by treatment of signs.
    markers : table to write, with the relevance on burnt-in markers.
    """
    parameters = Measurement.of(settings["evaluate"])
    manifest = pd.concat([read_table(path) for path in sorted(manifests)])
    predicted = read_table(predictions)
    repeated = repeats(pd.concat([read_table(path) for path in sorted(masks)]))
    parts: dict[Path, list[pd.DataFrame]] = {
        path: [] for path in (per_image, thresholds, pxap, markers, signs)
    }
    # The histograms of one method at a time fit into memory whatever the number of methods.
    for found in by_method(scores):
        abstains = bool(found["method"].isin(methods["abstain"]).all())
        gathered = measures.gather(found, manifest, repeated, abstains=abstains)
        chosen = tuning.tune(gathered, parameters)
        parts[thresholds].append(chosen)
        parts[per_image].append(
            measures.per_image(gathered, chosen, manifest, predicted, parameters)
        )
        parts[pxap].append(precision.pxap(gathered, parameters))
        parts[markers].append(summarise(gathered, manifest, parameters))
    for found in by_method(sign_scores):
        found = measures.judged(found, manifest)[found.columns]
        parts[signs].append(sign_treatments.summarise(found, manifest, parameters))
    for sentence in omissions(read_table(masked)["class"], **classes):
        logger.warning(sentence)
    tuning.warn_of_few(pd.concat(parts[thresholds]), parameters)
    for path, tables in parts.items():
        write_table(measures.ordered(pd.concat(tables, ignore_index=True)), path)


def by_method(paths: list[Path]) -> Iterator[pd.DataFrame]:
    """Yield the tables of each method, its shards together; a method's shards lie in one folder."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted(paths):
        folders.setdefault(path.parent, []).append(path)
    for folder in track(folders, "measure: methods", len(folders)):
        yield pd.concat([read_table(path) for path in folders[folder]], ignore_index=True)


if __name__ == "__main__":
    program.run(main)
