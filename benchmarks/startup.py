"""How long jobs take before they do anything, against the libraries that they cannot do without.

Run by hand: ``python -m benchmarks.startup [NAME...]``, one JSON line for each comparison. Jobs are
processes on three small images, alternating with processes that import their libraries alone; all
costs are processor seconds.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import alternate, line, main, peer, processor_seconds
from shamsul.explain import registry
from shamsul.geometry import Frame
from shamsul.job.fingerprint import PROJECT
from shamsul.model import checkpoint
from shamsul.storage.heatmaps import Heatmaps, write_heatmaps
from shamsul.storage.images import Images, write_images
from tests.networks import classifier

CLASSES = ["a", "b", "c", "d"]
SIZE = 32
ASK_THE_MODEL = {"explain", "import_checkpoint", "perturb", "predict", "probe", "train"}


def cost(arguments: Sequence[str | Path], folder: Path) -> Callable[[], float]:
    """Processor seconds of a process of this Python, from its start to its end."""
    return functools.partial(
        processor_seconds, [sys.executable, *arguments], folder,
        PYTHONPATH=str(PROJECT), OMP_NUM_THREADS="1",
    )  # fmt: skip


def against(
    arguments: Sequence[str | Path], libraries: str, folder: Path, rounds: int = 3
) -> tuple[float, float]:
    """Median processor seconds of a job, and of importing some libraries."""
    return alternate(
        cost(arguments, folder),
        cost(["-c", f"import {libraries}"], folder),
        rounds,
        cost=lambda function: function(),
    )


@functools.cache
def shard() -> Path:
    """A folder with the files of one shard."""
    folder = Path(tempfile.mkdtemp())
    network = classifier("densenet_small", size=SIZE)
    checkpoint.save(network, folder / "model.pt", {})
    generator, names = np.random.default_rng(0), ["x", "y", "z"]
    grey = generator.integers(0, 256, (3, SIZE, SIZE), np.uint8)
    write_images(Images(grey, names, [Frame.fit(90, 80, SIZE, "stretch")] * 3), folder / "i.h5")
    maps = generator.normal(size=(3, 4, 7, 7)).astype(np.float32)
    every = np.ones((3, 4), bool)
    write_heatmaps(
        Heatmaps(maps, names, every, CLASSES, "m", {}, network.digest()), folder / "h.h5"
    )
    return folder


def explain(method: str) -> list[str | Path]:
    """The job of a method."""
    settings = {
        "seed": 1, "classes": CLASSES, "explained": CLASSES, "name": method,
        "entry": {"method": method}, "module": registry.methods()[method].__module__,
    }  # fmt: skip
    return [
        PROJECT / "scripts" / "explain.py", "--settings", json.dumps(settings), *shard_options(),
        *("--heatmaps", "out.h5"),
    ]  # fmt: skip


def shard_options() -> list[str]:
    """Options of a job that asks the network about the shard."""
    return ["--device", "cpu", "--checkpoint", "model.pt", "--images", "i.h5"]


def asking() -> dict[str, tuple[list[str | Path], str]]:
    """Jobs that ask the network, with the least work that each can have, and their libraries."""
    cut = {"segments": 4, "superpixels": "grid", "samples": 16}
    little = {
        "images": 1,
        "reexplained_images": 1,
        "classes": 1,
        "metrics": ["deletion"],
        "steps": 2,
    }
    network = "numpy, h5py, pydantic.main, torch, torchvision"
    tables = f"{network}, pandas, pyarrow"

    def job(name: str, settings: dict[str, Any], *options: str) -> list[str | Path]:
        given = ["--settings", json.dumps({"seed": 1, "classes": CLASSES} | settings)]
        return [PROJECT / "scripts" / f"{name}.py", *given, *shard_options(), *options]

    probed = {
        "probe": little, "entry": {"method": "grad_cam"}, "module": "shamsul.explain.cam",
        "perturbations": None,
    }  # fmt: skip
    predict = [PROJECT / "scripts" / "predict.py", *shard_options(), "--predictions", "p.parquet"]
    return {
        "grad_cam": (explain("grad_cam"), network),
        "lrp_epsilon": (explain("lrp_epsilon"), network),
        "perturb": (job("perturb", {"perturbations": cut}, "--perturbed", "p.h5"), network),
        "predict": (predict, tables),
        "probe": (
            job("probe", probed, "--heatmaps", "h.h5", "--probes", "q.parquet"),
            f"{tables}, scipy.sparse.linalg",
        ),
        "train": ([PROJECT / "scripts" / "train.py", "--help"], f"{tables}, sklearn.metrics"),
    }


def with_network() -> dict[str, Any]:
    """Jobs that ask the network against importing the libraries that they cannot do without.

    Whole jobs on three small images; training is up to its arguments, with all that it imports.
    The value is the slowest job's. Fails where a job imports a library that it has no use for, or
    imports anything twice as slowly as the libraries' own files.
    """
    ratios = {}
    for name, (job, libraries) in asking().items():
        ours, theirs = against(job, libraries, shard())
        ratios |= {name: ours / theirs, f"{name}_s": ours, f"{name}_peer_s": theirs}
    return line(
        max(ratios[name] for name in asking()), at_most=1.1, **peer("torchvision"), **ratios
    )


def without_network() -> dict[str, Any]:
    """Heatmaps of `random`, whole job, against importing numpy, h5py and pyarrow.

    3.5 times these are half a second over them, on a machine that takes 0.2 s for them; `over_s`
    has the seconds. Fails where the job imports pandas, torch or scipy.
    """
    ours, theirs = against(explain("random"), BARE, shard(), rounds=7)
    return line(
        ours / theirs, at_most=3.5, ours_s=ours, peer_s=theirs, over_s=ours - theirs, **peer("h5py")
    )


BARE = "numpy, h5py, pyarrow"
LIBRARIES = {
    "chexlocalize": "pandas, h5py, numba, scipy.ndimage",
    "images": "numpy, h5py, PIL.Image",
    "manifest": "pandas, h5py, pydantic.json_schema",
    "phantom": "numpy, pydantic.json_schema, scipy.ndimage, scipy.sparse, skimage.measure",
    "report": "pandas, h5py, jinja2",
    "score": "pandas, h5py, numba",
}
"""The libraries that a program cannot do without, where these are not pandas alone."""


def tables() -> dict[str, Any]:
    """The programs of images, tables and report, up to their arguments, against their libraries.

    The value is the slowest program's; `over_*` are seconds over importing numpy, h5py and pyarrow.
    Fails where a program imports a library that its table does not need.
    """
    names = {file.stem for file in (PROJECT / "scripts").glob("*.py")} - ASK_THE_MODEL
    ratios, over = {}, {}
    bare = statistics.median(cost(["-c", f"import {BARE}"], PROJECT)() for _ in range(5))
    for name in sorted(names):
        job = [PROJECT / "scripts" / f"{name}.py", "--help"]
        ours, theirs = against(job, LIBRARIES.get(name, "pandas"), PROJECT)
        ratios[name], over[f"over_{name}"] = ours / theirs, ours - bare
    return line(max(ratios.values()), at_most=1.5, **peer("pandas"), **ratios, **over)


def rules() -> dict[str, Any]:
    """A dry run of the default experiment against one of a Snakefile of one rule.

    Fails where reading the rules imports torch or pandas.
    """
    folder = Path(tempfile.mkdtemp())
    (folder / "Snakefile").write_text(
        "rule one:\n    output:\n        'x'\n    shell:\n        ''\n"
    )
    dry = ["-m", "snakemake", "--dry-run", "--quiet", "all", "--cores", "1"]
    ours, theirs = alternate(
        cost([*dry, "--snakefile", PROJECT / "Snakefile", "--directory", folder], folder),
        cost(dry, folder),
        cost=lambda function: function(),
    )
    return line(ours / theirs, at_most=2.5, ours_s=ours, peer_s=theirs, **peer("snakemake"))


COMPARISONS = {
    function.__name__: function for function in (with_network, without_network, tables, rules)
}

if __name__ == "__main__":
    main(COMPARISONS)
