"""Ask the model about some of one method's heatmaps of one shard: rule `probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shamsul.explain import registry
from shamsul.explain.shard import Training
from shamsul.job import program
from shamsul.model.description import describe
from shamsul.model.job import BATCH_SIZE, Device, load_model
from shamsul.probe.settings import Probe
from shamsul.probe.table import COLUMNS, probe
from shamsul.storage.heatmaps import read_heatmaps
from shamsul.storage.images import read_images
from shamsul.storage.tables import write_rows


def main(
    settings: dict[str, Any],
    checkpoint: Path,
    images: Path,
    heatmaps: Path,
    train_images: Path | None = None,
    train_labels: Path | None = None,
    device: Device = "auto",
    batch_size: int = BATCH_SIZE,
    *,
    probes: Path,
) -> None:
    """Ask the model about some of one method's heatmaps of one shard.

    Parameters
    ----------
    settings : seed, classes, probe, entry, module, perturbations.
    checkpoint : file of the classifier.
    images : radiographs of the shard.
    heatmaps : heatmaps of the shard by the method.
    train_images : radiographs of train, for a method that compares with them.
    train_labels : their rows of the manifest, for a method that reads labels of train.
    device : processor to compute on; `auto` is a GPU where there is one.
    batch_size : perturbed images that are given to the network at once on a GPU.
    probes : table to write, a row for each image, class and metric.
    """
    rows = probe(
        load_model(checkpoint, device, batch_size, settings["classes"]),
        read_images(images),
        read_heatmaps(heatmaps, describe(checkpoint).digest),
        registry.one(settings["entry"], module=settings["module"]),
        Probe(**settings["probe"]),
        settings["seed"],
        settings["perturbations"],
        Training(train_images, train_labels) if train_images else None,
    )
    write_rows(rows, COLUMNS, probes)


if __name__ == "__main__":
    program.run(main)
