"""Predict perturbed radiographs, for several methods: rule `perturb`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shamsul.explain.settings import Perturbations
from shamsul.explain.shared_perturbations import ask
from shamsul.job import program
from shamsul.model.job import BATCH_SIZE, Device, load_model
from shamsul.storage.images import read_images
from shamsul.storage.perturbed import write_perturbed


def main(
    settings: dict[str, Any],
    checkpoint: Path,
    images: Path,
    device: Device = "auto",
    batch_size: int = BATCH_SIZE,
    *,
    perturbed: Path,
) -> None:
    """Ask the network about perturbed versions of a shard's radiographs, for several methods.

    Parameters
    ----------
    settings : seed, classes, perturbations.
    checkpoint : file of the classifier.
    images : radiographs of the shard.
    device : processor to compute on; `auto` is a GPU where there is one.
    batch_size : perturbed images that are given to the network at once on a GPU.
    perturbed : shard to write.
    """
    model = load_model(checkpoint, device, batch_size, settings["classes"])
    perturbations = Perturbations(**settings["perturbations"])
    write_perturbed(ask(perturbations, model, read_images(images), settings["seed"]), perturbed)


if __name__ == "__main__":
    program.run(main)
