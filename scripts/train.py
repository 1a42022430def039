"""Train the classifier, or go on with a training that was interrupted: rule `train`."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from shamsul.job import program
from shamsul.job.fingerprint import files
from shamsul.model import checkpoint, dataset
from shamsul.model.backbones import build
from shamsul.model.classifier import Classifier
from shamsul.model.device import resolve_device
from shamsul.model.settings import Model, Train
from shamsul.model.train import fit, selection
from shamsul.storage.tables import write_table


def main() -> None:
    """Parse the arguments, train, write the checkpoint and the history."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="JSON: seed, classes, size, model, train"
    )
    for split in ("train", "tune"):
        parser.add_argument(f"--{split}-images", type=Path, nargs="*", required=True)
        parser.add_argument(f"--{split}-manifests", type=Path, nargs="*", required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-size", type=int, default=32, help="when scoring on tune")
    parser.add_argument("--state", type=Path, required=True, help="file to go on from")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--history", type=Path, required=True)
    arguments = parser.parse_args()

    settings = arguments.settings
    classes, size, seed = tuple(settings["classes"]), settings["size"], settings["seed"]
    model, train = Model.model_validate(settings["model"]), Train.model_validate(settings["train"])
    train_set, tune_set = (
        dataset.read(images, manifests, classes, size)
        for images, manifests in (
            (arguments.train_images, arguments.train_manifests),
            (arguments.tune_images, arguments.tune_manifests),
        )
    )
    network = build(model.backbone, len(classes), size, model.weights, seed)
    classifier = Classifier(network, classes, model.backbone, size, arguments.batch_size)
    classifier.to(resolve_device(arguments.device))
    # A training that was interrupted does not go on under other code.
    code = hashlib.sha256(b"".join(file.read_bytes() for file in files(Path(__file__))))
    history = fit(
        classifier, train_set, tune_set, train, seed, arguments.state, code=code.hexdigest()
    )
    checkpoint.save(classifier, arguments.checkpoint, selection(history))
    write_table(history, arguments.history)
    # Last: killed before this line, the next run trains nothing again. It is gone already where a
    # job of a killed run went on beside this one.
    arguments.state.unlink(missing_ok=True)


if __name__ == "__main__":
    program.run(main)
