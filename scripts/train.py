"""Train the classifier, or go on with a training that was interrupted: rule `train`."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from shamsul.job import program
from shamsul.job.fingerprint import files
from shamsul.model import dataset
from shamsul.model.checkpoint import save
from shamsul.model.device import resolve_device
from shamsul.model.importing import untrained
from shamsul.model.job import BATCH_SIZE, Device
from shamsul.model.settings import Model, Train
from shamsul.model.training import processes
from shamsul.model.training.train import fit, selection
from shamsul.storage.tables import write_table


def main(
    settings: dict[str, Any],
    train_images: list[Path],
    train_manifests: list[Path],
    tune_images: list[Path],
    tune_manifests: list[Path],
    device: Device = "auto",
    batch_size: int = BATCH_SIZE,
    *,
    state: Path,
    checkpoint: Path,
    history: Path,
) -> None:
    """Train the classifier, or go on with a training that was interrupted.

    Parameters
    ----------
    settings : seed, classes, size, model, train.
    train_images : radiographs of the train split, a file for each shard.
    train_manifests : labels of these radiographs, a table for each shard.
    tune_images : radiographs of the tune split, a file for each shard.
    tune_manifests : labels of these radiographs, a table for each shard.
    device : processor to compute on; `auto` is a GPU where there is one.
    batch_size : images that are given to the network at once when scoring on tune.
    state : file to go on from, which exists from the first epoch to the end.
    checkpoint : file of the classifier to write.
    history : table to write, a row for each epoch.
    """
    classes, size, seed = tuple(settings["classes"]), tuple(settings["size"]), settings["seed"]
    model, train = Model.model_validate(settings["model"]), Train.model_validate(settings["train"])
    if processes.to_launch(train.processes):
        sys.exit(processes.launch(train.processes, Path(__file__), sys.argv[1:]))
    train_set = dataset.read(train_images, train_manifests, classes, size)
    tune_set = dataset.read(tune_images, tune_manifests, classes, size)
    classifier = untrained(model, classes, size, seed)
    classifier.batch_size = batch_size
    # A training that was interrupted does not go on under other code.
    code = hashlib.sha256(b"".join(file.read_bytes() for file in files(Path(__file__))))
    classifier.to(resolve_device(device))
    with processes.joined(train.processes, classifier.device) as joined:
        epochs = fit(classifier, train_set, tune_set, train, seed, state, code=code.hexdigest())
    if joined.rank:
        return  # The first writes the files.
    save(classifier, checkpoint, selection(epochs))
    write_table(epochs, history)
    # The state is removed last, so that a run after a kill before this line trains nothing again.
    # It is gone already where a job of a killed run went on beside this one.
    state.unlink(missing_ok=True)


if __name__ == "__main__":
    program.run(main)
