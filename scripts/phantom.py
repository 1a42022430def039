"""Generate a source of phantoms as CheXpert and CheXlocalize have theirs: rule `phantom`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shamsul.data.adapters.phantom import PhantomSource
from shamsul.job import program
from shamsul.phantom.export import export


def main(settings: dict[str, Any], threads: int = 1, *, directory: Path) -> None:
    """Generate a phantom source: radiographs, labels and masks as CheXpert and CheXlocalize do.

    Parameters
    ----------
    settings : settings of the source.
    threads : processes that draw radiographs at once.
    directory : folder to write to.
    """
    source = PhantomSource.model_validate(settings)
    export(directory, source.seed, source, workers=threads)


if __name__ == "__main__":
    program.run(main)
