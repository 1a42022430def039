"""Program that inspects a network: settings as JSON on its input, what it finds on its output."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from shamsul.errors import InputError
from shamsul.model.inspection import Inspection
from shamsul.model.networks.names import SHORT
from shamsul.model.settings import Model


class _Notes(logging.Handler):
    """A handler of logging that keeps the lines."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(record.getMessage())


def inspected(asked: dict[str, Any]) -> Inspection:
    """Make the classifier and return what is found.

    Raises
    ------
    InputError
        The network cannot be made, or its weights cannot be read.
    """
    import torch

    from shamsul.model.importing import import_checkpoint, untrained

    notes = _Notes()
    logger = logging.getLogger("shamsul")
    logger.addHandler(notes)
    logger.setLevel(logging.INFO)
    model = Model.model_validate(asked["model"])
    torch.set_num_threads(1)
    if not model.trained:
        # What the weights are does not matter, and they may have to be downloaded.
        model = model.model_copy(update={"weights": "random"})
        classifier = untrained(model, asked["classes"], asked["size"], seed=0)
    else:
        classifier = import_checkpoint(model, asked["classes"], asked["size"])
    structure = classifier.structure
    images = torch.zeros(2, classifier.spec.presentation.channels, *classifier.size)
    begun = time.monotonic()
    with torch.no_grad():
        classifier(images)
    return Inspection(
        spec=classifier.spec,
        structure=structure,
        seconds=(time.monotonic() - begun) / len(images),
        notes=tuple(notes.lines),
    )


def known() -> str:
    """Return the content of `inspection.KNOWN`: the structures of the networks that need no source,
    with random weights and images of 64 pixels.
    """
    from shamsul.model.importing import untrained

    found = {
        name: untrained(Model(network=name, weights="random"), ("a", "b"), 64, seed=0).structure
        for name in SHORT
    }
    plain = {name: structure.model_dump(mode="json") for name, structure in found.items()}
    return json.dumps(plain, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Run the program."""
    output, sys.stdout = sys.stdout, sys.stderr  # Libraries print.
    try:
        found = inspected(json.load(sys.stdin))
    except InputError as error:
        sys.exit(f"error: {error}")
    output.write(found.model_dump_json())


if __name__ == "__main__":
    main()
