"""Generate a phantom source: radiographs, labels and masks as CheXpert and CheXlocalize do."""

import argparse
import json
from pathlib import Path

from shamsul.data.adapters.phantom import PhantomSource
from shamsul.job import program
from shamsul.phantom.export import export


def main() -> None:
    """Parse the arguments and write the tree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=json.loads, required=True, help="the source (JSON)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--directory", type=Path, required=True)
    arguments = parser.parse_args()
    source = PhantomSource.model_validate(arguments.settings)
    export(arguments.directory, source.seed, source, workers=arguments.threads)


if __name__ == "__main__":
    program.run(main)
