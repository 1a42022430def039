"""Take a checkpoint that was trained elsewhere: rule `import_checkpoint`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.job import program
from shamsul.model.checkpoint import save
from shamsul.model.importing import import_checkpoint
from shamsul.model.settings import Model
from shamsul.model.training.train import HISTORY_COLUMNS
from shamsul.storage.tables import write_table


def main(settings: dict[str, Any], *, checkpoint: Path, history: Path) -> None:
    """Take a checkpoint that was trained elsewhere; nothing is trained.

    Parameters
    ----------
    settings : classes, size, model.
    checkpoint : file of the classifier to write.
    history : table to write, without a row.
    """
    model = Model.model_validate(settings["model"])
    classifier = import_checkpoint(model, settings["classes"], tuple(settings["size"]))
    save(classifier, checkpoint, {})
    kinds = {name: "int64" if name == "epoch" else "float64" for name in HISTORY_COLUMNS}
    write_table(pd.DataFrame(columns=HISTORY_COLUMNS).astype(kinds), history)


if __name__ == "__main__":
    program.run(main)
