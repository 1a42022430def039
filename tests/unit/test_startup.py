"""Jobs that need no torch import none, so that they start fast; those that need it still get it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shamsul.data.masks import encode
from shamsul.explain import registry
from shamsul.explain.shared_perturbations import design
from shamsul.explain.surrogate import Surrogate
from shamsul.geometry import Frame
from shamsul.job import fingerprint
from shamsul.model import checkpoint
from shamsul.model.description import describe
from shamsul.probe import similarity
from shamsul.storage.heatmaps import Heatmaps, read_heatmaps, write_heatmaps
from shamsul.storage.images import Images, write_images
from shamsul.storage.perturbed import PerturbedPredictions, write_perturbed
from shamsul.storage.tables import write_table
from tests.networks import classifier

pytestmark = pytest.mark.workflow  # It starts the programs of jobs.

SIZE = 32
NAMES = ["x", "y"]
ASK_THE_MODEL = {"explain", "import_checkpoint", "perturb", "predict", "probe", "train"}
TABLES = sorted(
    {file.stem for file in (fingerprint.PROJECT / "scripts").glob("*.py")} - ASK_THE_MODEL
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables under which importing torch or torchvision ends a program."""
    folder = tmp_path_factory.mktemp("poisoned")
    for name in ("torch", "torchvision"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(fingerprint.PROJECT)])}


def python(environment, program, **given):
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=fingerprint.PROJECT, env=environment, capture_output=True, text=True, **given,
    )  # fmt: skip


def test_torch_is_poisoned(environment):
    done = python(environment, "try:\n    import torch\nexcept Exception:\n    pass")
    assert done.returncode and "torch was imported" in done.stderr


@pytest.mark.parametrize("program", TABLES)
def test_tables_are_made_without_torch(environment, program):
    """All modules that a program may ever import, and all that these import of other packages."""
    script = fingerprint.PROJECT / "scripts" / f"{program}.py"
    assert not {"torch", "torchvision"} & fingerprint.libraries(script).keys()
    modules = [
        ".".join(file.relative_to(fingerprint.PROJECT).with_suffix("").parts)
        for file in fingerprint.files(script)
        if file.name != "__init__.py"
    ]
    assert f"scripts.{program}" in modules
    done = python(environment, f"import {', '.join(modules)}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """Files of a shard, and of a tune split of the same images, for any method to explain."""
    folder = tmp_path_factory.mktemp("shard")
    checkpoint.save(classifier("densenet_small", size=SIZE), folder / "model.pt", {})
    digest = describe(folder / "model.pt").digest
    rng = np.random.default_rng(0)
    frame = Frame.fit(40, 30, SIZE, "stretch")
    grey = rng.integers(0, 256, (2, SIZE, SIZE), np.uint8)
    write_images(Images(grey, NAMES, [frame] * 2), folder / "images.h5")
    healthy = rng.integers(0, 256, (3, SIZE, SIZE), np.uint8)
    write_images(Images(healthy, list("abc"), [frame] * 3), folder / "train.h5")
    train = pd.DataFrame({"image_id": list("abc"), "No Finding": 1.0})
    write_table(train, folder / "train.parquet")
    (folder / "maps").mkdir()
    for name in ("one", "other"):
        maps = rng.normal(size=(2, 2, 7, 7)).astype(np.float32)
        made = Heatmaps(maps, NAMES, np.ones((2, 2), bool), ["a", "c"], name, {}, digest)
        write_heatmaps(made, folder / f"{name}.h5")
        np.save(folder / "maps" / f"{NAMES[0]}_{'a' if name == 'one' else 'c'}.npy", maps[0, 0])
    subsets = design(4, 40, 1)
    labels = np.arange(SIZE) * 4 // SIZE + np.zeros((SIZE, 1), int)
    logits = rng.normal(size=(len(subsets), 4))
    shared = PerturbedPredictions(
        NAMES, [labels] * 2, [subsets] * 2, [logits] * 2, list("abcd"), digest
    )
    write_perturbed(shared, folder / "perturbed.h5")
    mask = np.zeros((40, 30), bool)
    mask[5:20, 5:20] = True
    drawn = {"annotator": "r", "kind": "segmentation", "height": 40, "width": 30}
    rows = [drawn | {"image_id": name, "class": "a", "counts": encode(mask)} for name in NAMES]
    write_table(pd.DataFrame(rows), folder / "masks.parquet")
    patients = {"image_id": NAMES, "patient_id": ["p", "q"], "view": "frontal"}
    write_table(pd.DataFrame(patients), folder / "manifest.parquet")
    reader = {"size": [40, 30], "counts": encode(mask)}
    (folder / "reader.json").write_text(json.dumps({"x": {"a": reader}}))
    return folder


def entries(folder):
    """Every method that asks no network: its parameters, and the options of its job."""
    two = {"of": ["one", "other"]}
    members = ["--members", folder / "one.h5", folder / "other.h5"]
    tune = [
        "--tune-members", *members[1:], "--tune-images", folder / "images.h5",
        "--tune-masks", folder / "masks.parquet", "--manifests", folder / "manifest.parquet",
    ]  # fmt: skip
    yield from (({"method": name}, []) for name in ("random", "gaussian", "edges"))
    train = ["--train-images", folder / "train.h5", "--train-labels", folder / "train.parquet"]
    yield {"method": "deviation"}, train
    yield {"method": "mean_mask"}, tune
    yield {"method": "blurred", "of": "one"}, members
    yield {"method": "consensus", **two}, members
    yield {"method": "consensus", **two, "weights": "fitted"}, [*members, *tune]
    yield {"method": "imported", "path": str(folder / "maps")}, []
    yield {"method": "segmentations", "path": str(folder / "reader.json")}, []
    yield {"method": "radiologist", "segmentations": str(folder / "reader.json")}, []
    for name, cls in registry.methods().items():
        if issubclass(cls, Surrogate):
            yield {"method": name, "shared": True}, ["--perturbed", folder / "perturbed.h5"]


def command(folder, number, entry, options):
    settings = {
        "seed": 1, "classes": list("abcd"), "explained": ["a", "c"], "name": "mine", "entry": entry,
        "module": registry.methods()[entry["method"]].__module__,
    }  # fmt: skip
    return [
        "scripts/explain.py", "--settings", json.dumps(settings), "--device", "cpu",
        *("--checkpoint", folder / "model.pt", "--images", folder / "images.h5"),
        *("--heatmaps", folder / f"out{number}.h5", *options),
    ]  # fmt: skip


DRIVER = """
import json, runpy, sys
for sys.argv in json.load(sys.stdin):
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_methods_that_ask_no_network_explain_without_torch(environment, shard):
    jobs = list(entries(shard))
    free = {name for name, cls in registry.methods().items() if cls.cost == "no_model"}
    assert {entry["method"] for entry, _ in jobs} >= free
    commands = [command(shard, number, *job) for number, job in enumerate(jobs)]
    done = python(environment, DRIVER, input=json.dumps(commands, default=str))
    assert done.returncode == 0, done.stderr
    digest = describe(shard / "model.pt").digest
    for number, (entry, _) in enumerate(jobs):
        made = read_heatmaps(shard / f"out{number}.h5")
        assert made.checkpoint == digest and made.image_id == NAMES, entry
        assert made.parameters["method"] == entry["method"]
        assert np.ptp(made.heatmap[0, 0]) > 0, f"{entry}: the map is constant"


@pytest.mark.parametrize(
    "entry", [{"method": "grad_cam"}, {"method": "grad_cam", "network": "untrained"}]
)
def test_methods_that_ask_the_network_ask_for_torch(environment, shard, entry):
    done = python(
        environment, DRIVER, input=json.dumps([command(shard, 99, entry, [])], default=str)
    )
    assert done.returncode and "torch was imported" in done.stderr


def test_no_other_method_is_imported(environment, shard):
    """Another method's module may be slow to import, or broken."""
    program = DRIVER + "print(*sorted(name for name in sys.modules if 'shamsul.explain' in name))"
    jobs = json.dumps([command(shard, 99, {"method": "random"}, [])], default=str)
    done = python(environment, program, input=jobs)
    assert done.stdout.split() == [
        *("shamsul.explain", "shamsul.explain.base", "shamsul.explain.control"),
        "shamsul.explain.registry",
        "shamsul.explain.shard",
    ]


@given(
    arrays(
        st.sampled_from([np.float32, np.float64]),
        (2, 5, 6),
        elements=st.integers(-4, 4).map(lambda number: number / 3),
    )
)
def test_ranks_and_entropy_are_scipys_to_the_last_bit(maps):
    """`scipy.stats` is the slowest import of a probe, and is not needed for two short formulas."""
    for values in maps:
        ranks = scipy.stats.rankdata(values, axis=None)
        assert similarity._ranks(values).tobytes() == ranks.astype(np.float64).tobytes()
    if np.ptp(maps):
        values = np.asarray(maps, np.float64)
        low, high = values.min(), values.max()
        counts, _ = np.histogram((values - low) / (high - low), similarity.BINS, (0, 1))
        assert similarity.complexity(maps) == float(scipy.stats.entropy(counts))


def test_a_probe_does_not_import_scipy_stats():
    program = "import sys, scripts.probe; sys.exit('scipy.stats' in sys.modules)"
    assert python(os.environ, program).returncode == 0
