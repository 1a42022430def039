"""What all rules share: the checked configuration, where files lie, and what counts as code."""

import json
import os
import sys
from pathlib import Path

PROJECT = Path(workflow.basedir)
sys.path.insert(0, str(PROJECT))
# The jobs' Python finds the library without an installation, as in a conda environment of Snakemake's.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])
)

import shamsul.code
import shamsul.config
from shamsul.data import sources
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.settings import EXPLAINED, SPLITS

try:
    CONFIG = shamsul.config.load(config)
    METHODS = registry.build(CONFIG.explain.methods, CONFIG.model.backbone)
    sources.check(CONFIG.data, CONFIG.classes, CONFIG.data_root)
    shamsul.config.check(CONFIG, METHODS)
except InputError as error:
    raise WorkflowError(f"configuration: {error}")

RUN = f"results/{CONFIG.run}"
ROOTS = sources.roots(CONFIG.data, CONFIG.data_root, Path(RUN) / "phantom")
SHARDS = {
    split: [f"{split}-{number:04d}" for number in range(CONFIG.data.shards[split])]
    for split in SPLITS
}
EXPLAINED_SHARDS = [shard for split in EXPLAINED for shard in SHARDS[split]]

# What follows changes the time a job takes and never its result, so it is no rule's parameter.
DEVICE = CONFIG.compute.device
BATCH_SIZE = CONFIG.compute.batch_size
GPU = int(DEVICE == "cuda" or (DEVICE == "auto" and Path("/dev/nvidia0").exists()))
ROOTS_JSON = json.dumps({name: str(folder) for name, folder in ROOTS.items()})


wildcard_constraints:
    shard=r"(train|tune|test)-\d{4}",
    source=r"[^/]+",
    method="|".join(METHODS),


def program(name, *more):
    """A script and all that it imports from this project; the script comes first.

    `more` are further files of the project that it reads or imports.
    """
    script = PROJECT / "scripts" / f"{name}.py"
    files = shamsul.code.files(script, *(PROJECT / file for file in more))
    return [
        os.path.relpath(file) for file in [script, *(f for f in files if f != script)]
    ]


def shard_table(kind):
    """Input function: the shard's rows of the manifest (`parquet`) or of the masks."""

    def path(wildcards):
        # Asking the checkpoint makes Snakemake look at the shards' content after it has run, so
        # that an image added to one shard leaves the others alone.
        checkpoints.manifest.get()
        return f"{RUN}/shards/{wildcards.shard}.{kind}"

    return path


def shard_tables(kind, *splits):
    """Input function: as `shard_table`, for all shards of some splits."""

    def paths(wildcards):
        checkpoints.manifest.get()
        return [
            f"{RUN}/shards/{shard}.{kind}"
            for split in splits
            for shard in SHARDS[split]
        ]

    return paths


def images(*splits):
    """Image shards of some splits."""
    return [f"{RUN}/images/{shard}.h5" for split in splits for shard in SHARDS[split]]
