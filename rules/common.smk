"""Checked configuration and places of files, which all rules share."""

import functools
import json
import logging
import mimetypes
import os
import shlex
import shutil
import sys
from pathlib import Path

# The folder of this workflow's Snakefile, also where another workflow imports it as a module.
PROJECT = Path(workflow.current_basedir).parent
# The folder that holds the library: the repository, or where a wheel was installed.
LIBRARY = PROJECT if (PROJECT / "shamsul").is_dir() else PROJECT.parent.parent
sys.path.insert(0, str(LIBRARY))
if set("{}") & set(str(PROJECT)):
    raise WorkflowError(
        f"{PROJECT}: Snakemake reads braces in the path of a workflow as names of wildcards; move"
        " shamsul to a folder without braces. Data and results may lie in folders with braces"
    )
# The jobs' Python is the one that runs Snakemake, unless they have environments of their own.
PYTHON = (
    ""
    if workflow.deployment_settings.deployment_method
    else f" PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
)
# It finds the library without an installation. A prefix, because Snakemake keeps PYTHONPATH out of
# environments of conda's; it takes the place of Snakemake's own, without which `tee` would hide
# that a job failed. Libraries compute on one thread: sums can depend on the number, which Snakemake
# would take from `threads` and the cores that there are. Training sets its own (`train.threads`).
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(LIBRARY))}${{{{PYTHONPATH:+:$PYTHONPATH}}}}"
    f"{PYTHON} OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1;"
    f" source {shlex.quote(str(PROJECT / 'scripts' / 'job.sh'))}; "
)

# What the library says goes where Snakemake's own words go.
if workflow.is_main_process:
    logging.getLogger("shamsul").setLevel(logging.INFO)
    logging.getLogger("shamsul").addHandler(logging.StreamHandler())

# For Snakemake's report: Python knows no type of Parquet files.
mimetypes.add_type("application/vnd.apache.parquet", ".parquet")

from snakemake.exceptions import IncompleteCheckpointException
from snakemake.io import checkpoint_target, contains_wildcard

import shamsul.job.fingerprint
import shamsul.config
import shamsul.job.options
import shamsul.job.snakemake_records
from shamsul import experiment
from shamsul.data import image_changes, pseudonyms, sources
from shamsul.data.adapters.phantom import PHANTOM_FILES, PhantomSource
from shamsul.errors import InputError
from shamsul.evaluate.parameters import (
    Comparison,
    Measurement,
    Inference,
    Stratification,
)
from shamsul.explain import registry
from shamsul.explain.base import Method
from shamsul.explain.external.methods import Imported, Segmentations
from shamsul.job.links import LINKS, link
from shamsul.model import inspection
from shamsul.settings import EXPLAINED, SPLITS
from shamsul.storage.files import remove_leftovers
from shamsul.tables import TABLES, existing

try:
    EXPERIMENT = experiment.checked(
        config, place=workflow.modifier.path_modifier.replace_prefix
    )
    CONFIG, METHODS = EXPERIMENT.config, EXPERIMENT.methods
    ROOTS = EXPERIMENT.roots
    # Rules name their files under RUN. Where this is a module with a prefix, Snakemake puts that
    # before these names, and here the files lie then; without one it is the same folder.
    RUN, PLACE = f"results/{CONFIG.run}", str(EXPERIMENT.folder)
    # What names images is kept out of the results where pseudonyms take the place of names.
    PRIVATE = EXPERIMENT.private
    if workflow.is_main_process:
        for record in sorted(Path(f"{PRIVATE or PLACE}/image_files").glob("*.csv")):
            image_changes.notice(
                record,
                ROOTS,
                Path(f"{PRIVATE or PLACE}/changed_images/{record.stem}.txt"),
            )
except InputError as error:
    raise WorkflowError(f"configuration: {error}")

if workflow.is_main_process and (
    unknown := shamsul.job.snakemake_records.without(Path(PLACE))
):
    logger.warning(
        f"Of {len(unknown)} results, such as {unknown[0]}, there is no record of how they were made"
        " (was .snakemake deleted, or not copied along?), so changed settings and code since then"
        " go unnoticed. `snakemake --touch --forceall` accepts them as they are, `snakemake --forceall` makes"
        " everything anew."
    )

SHARDS = {
    split: [f"{split}-{number:04d}" for number in range(CONFIG.data.shards[split])]
    for split in SPLITS
}
EXPLAINED_SHARDS = [shard for split in EXPLAINED for shard in SHARDS[split]]


def incomplete():
    """Return the first result that each incomplete method lacks, and the log of that job."""
    results = [("heatmaps", "h5", "explain"), ("scores", "parquet", "score")]
    if CONFIG.probe.images:
        results.append(("probes", "parquet", "probe"))
    missing = {}
    for method in METHODS:
        for folder, suffix, job in results:
            for shard in SHARDS["test"] if job == "probe" else EXPLAINED_SHARDS:
                file = f"{PLACE}/{folder}/{method}/{shard}.{suffix}"
                if not Path(file).exists():
                    log = f"{PLACE}/logs/{job}/{method}/{shard}.log"
                    missing.setdefault(method, {"file": file, "log": log})
    for name, method in METHODS.items():
        for member in filter(missing.get, method.members):
            missing.setdefault(name, missing[member])
    return missing


MISSING = incomplete() if CONFIG.partial else {}
METHODS = {name: method for name, method in METHODS.items() if name not in MISSING}
# For `expand` and `jobs`: all shards of heatmaps, and those of the test split.
EVERY = {"method": METHODS, "shard": EXPLAINED_SHARDS}
TESTED = {"method": METHODS, "shard": SHARDS["test"]}
NONE = {"method": [], "shard": []}
ROLES = shamsul.config.roles(CONFIG, METHODS)
ABSTAINING = sorted(name for name, method in METHODS.items() if method.abstains)
for role, name in ROLES.items():
    if name in MISSING:
        raise WorkflowError(
            f"partial: {MISSING[name]['file']} is missing of {name}, the evaluate.{role}; name a"
            " complete method there"
        )

ROOTS_JSON = json.dumps({name: str(folder) for name, folder in ROOTS.items()})
# A resource, as the roots are: no result depends on where the names are.
NAMES = f"--private {shlex.quote(str(PRIVATE))}" if PRIVATE else ""


wildcard_constraints:
    shard=r"(train|tune|test)-\d{4}",
    part=r"\d{4}",
    source=r"[^/]+",
    method="|".join(METHODS),


def changed_images(*parts):
    """Return the lists of image files that were replaced under their old names, as input, if any."""
    folder = Path(f"{PRIVATE or PLACE}/changed_images")
    files = [folder / f"{part}.txt" for part in parts]
    return [local(str(file)) for file in files if file.exists()]


def made(name, file):
    """Have Snakemake look at the job anew once a checkpoint has made a file.

    Every rule that needs the checkpoint, through however many others, asks here, by an input
    function of its own. Before the file is made, Snakemake takes all that follows for updated.
    Afterwards it looks again at those jobs only that asked the checkpoint, and the others would
    run for nothing. `checkpoints.manifest.get()` does the same, but goes through all files of the
    checkpoint whenever one job asks.
    """
    path = f"{(name == 'listing' and PRIVATE) or PLACE}/{file}"
    if path not in (checkpoints.created_output or ()):
        raise IncompleteCheckpointException(
            getattr(checkpoints, name).rule, checkpoint_target(path)
        )


def places(wildcards):
    """Return the table of the places of a part's image files."""
    made("listing", "listing/images.parquet")
    return f"{PRIVATE or RUN}/listing/{wildcards.part}.parquet"


def listed(wildcards=None):
    """Return no input, and have Snakemake look at the job anew once the manifest has been made."""
    made("manifest", "manifest.parquet")
    return []


def shard_table(kind):
    """Make an input function that returns a table of the shard.

    The kind `parquet` has the shard's rows of the manifest, `files.parquet` their columns on which
    the pixels depend, and `masks.parquet` the shard's masks.
    """

    def path(wildcards):
        listed()
        return f"{RUN}/shards/{wildcards.shard}.{kind}"

    return path


def shard_tables(kind, *splits):
    """Make an input function that returns such tables of all shards of some splits."""

    def paths(wildcards):
        listed()
        return [
            f"{RUN}/shards/{shard}.{kind}"
            for split in splits
            for shard in SHARDS[split]
        ]

    return paths


def table(name):
    """Return a table as output, never empty, with its place and caption in Snakemake's report."""
    declared = TABLES[name]
    return report(
        ensure(f"{RUN}/tables/{name}.parquet", non_empty=True),
        caption=f"../captions/{name}.rst",
        category=declared.category,
        subcategory=declared.subcategory,
        labels={"table": name},
    )


def given(*files):
    """Return, as input, files whose paths the user's own configuration gives, with `{run}` or not.

    A module's prefix is before them already, or not at all. A path with `{word}` in it, which
    Snakemake takes for a wildcard, is replaced by a link to the file.
    """
    links = Path(f"{PLACE}/{LINKS}")
    return [
        local(link(Path(file), links) if contains_wildcard(file) else str(file))
        for file in files
    ]


def images(*splits):
    """Return the image shards of some splits."""
    return [f"{RUN}/images/{shard}.h5" for split in splits for shard in SHARDS[split]]


def evaluate_settings(parameters, **narrower):
    """Return the seed and those settings of `evaluate` that a program's parameters name.

    A narrower value takes the place of the configuration's, so that less reruns.
    """
    chosen = {key: getattr(CONFIG.evaluate, key) for key in parameters.names()}
    return shamsul.config.canonical(
        {"seed": CONFIG.seed, "evaluate": chosen | narrower}
    )


def shown_configuration():
    """Return the configuration that the report shows, with all that can change a result."""
    shown = CONFIG.model_dump(exclude={"compute": True, "data": {"root"}})
    if PRIVATE:
        shown["data"]["exclude"] = f"{len(CONFIG.data.exclude)} images"
    shown["explain"]["methods"] = [
        {"name": name, **registry.entry(method)} for name, method in METHODS.items()
    ]
    return shown
