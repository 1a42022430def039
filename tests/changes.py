"""Changes to a finished experiment, and the jobs that each makes necessary: exactly those.

Where the data stay as they are, a dry run announces the jobs. Where the data change, no dry run can
know what follows from a manifest that is not made yet, so the jobs are run.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from shamsul.data.image_list import shard as shard_of
from tests.experiment import PARTS

TUNE, TEST = ("tune-0000",), ("test-0000", "test-0001")
SHARDS = TUNE + TEST
PARTS_READ = 2
"""Number of parts that the image files are read in, of five shards with those of train."""
METHODS = ("grad_cam", "lime", "random", "shared_lime", "consensus", "radiologist")


def jobs(*rules):
    """Jobs of rules that have one job alone."""
    return {(rule, "") for rule in rules}


def sharded(rule, shards=SHARDS):
    return {(rule, f"shard={shard}") for shard in shards}


def of_methods(rule, methods=METHODS, shards=SHARDS):
    return {(rule, f"method={method}, shard={shard}") for method in methods for shard in shards}


AFTER_SCORES = jobs("per_image", "compare", "stratify", "runtime", "report")
AFTER_HEATMAPS = (
    AFTER_SCORES
    | jobs("quality", "summarise_probes", "summarise_agreement")
    | sharded("agreement", TEST)
)


def heatmaps(*methods):
    """The jobs of some methods, and what all methods' tables are made of."""
    return (
        of_methods("explain", methods)
        | of_methods("score", methods)
        | of_methods("probe", methods, TEST)
        | AFTER_HEATMAPS
    )


AFTER_TRAINING = jobs("predict", "classify") | sharded("perturb") | heatmaps(*METHODS)
TABLES_OF_LABELS = AFTER_SCORES | jobs(
    "classify", "quality", "summarise_probes", "summarise_agreement"
)


def after_image(shard):
    """What follows from another image in a shard of test, once the manifest is made."""
    return (
        jobs("predict", "classify", "quality", "summarise_probes", "summarise_agreement")
        | AFTER_SCORES
        | {(rule, f"shard={shard}") for rule in ("images", "perturb", "agreement")}
        | {
            (rule, f"method={method}, shard={shard}")
            for rule in ("explain", "score", "probe")
            for method in METHODS
        }
    )


# Changes of the configuration


def other_spelling(experiment):
    file = experiment.folder / "config.yaml"
    keys = file.read_text().replace("epochs: 1\n", "epochs: 1.0  # one\n")
    assert "1.0  # one" in keys
    reordered = "\n".join(f"# {line}" for line in keys.splitlines()[:3])
    file.write_text(f"{reordered}\n\n{keys}")


def other_order(experiment):
    train = experiment.configuration["train"]
    experiment.configuration["train"] = dict(reversed(train.items())) | {"weight_decay": 0}
    entry = experiment.configuration["explain"]["methods"][1]
    experiment.configuration["explain"]["methods"][1] = dict(reversed(entry.items()))
    experiment.configuration = dict(reversed(experiment.configuration.items()))


def compute(experiment):
    experiment.configuration["compute"] = {"batch_size": 7, "device": "cpu"}


def method(name, **parameters):
    def change(experiment):
        for entry in experiment.configuration["explain"]["methods"]:
            if entry.get("name", entry["method"]) == name:
                entry.update(parameters)

    return change


def key(path, value):
    def change(experiment):
        *folders, last = path.split(".")
        section = experiment.configuration
        for folder in folders:
            section = section.setdefault(folder, {})
        section[last] = value

    return change


def swapped(experiment):
    """The defaults of two parameters, each in the other's place."""
    experiment.configuration["evaluate"] |= {"min_masks": 5, "min_patients": 10}


def added_method(experiment):
    experiment.configuration["explain"]["methods"].append({"method": "lrp_z"})


def removed_method(experiment):
    del experiment.configuration["explain"]["methods"][1]


def no_points(experiment):
    assert experiment.configuration["explain"]["methods"][-1].pop("points")


# Changes of files


def touched(experiment):
    for file in experiment.folder.rglob("*"):
        if file.is_file() and ".snakemake" not in file.parts:
            file.touch()


def edited(name):
    def change(experiment):
        with (experiment.folder / name).open("a") as file:
            file.write("<!-- edited -->\n" if name.endswith("html") else "# edited\n")

    return change


def there_and_back(experiment):
    """Another branch with another module is checked out, and this one again."""

    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
            cwd=experiment.folder,
            check=True,
            capture_output=True,
        )

    git("init", "--initial-branch", "one")
    git("add", *PARTS)
    git("commit", "--message", "one")
    git("checkout", "-b", "other")
    edited("shamsul/explain/cam.py")(experiment)
    edited("scripts/train.py")(experiment)
    git("commit", "--all", "--message", "other")
    git("checkout", "one")


def lost(name):
    def change(experiment):
        path = experiment.results / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        (experiment.results / "report.html").unlink()  # A target, so that what it needs is missed.

    return change


def upgraded(distribution):
    """Another version is installed, or so says its metadata."""

    def change(experiment):
        folder = experiment.folder / "upgrade" / f"{distribution.replace('-', '_')}-99.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: {distribution}\nVersion: 99.0\n")
        path = os.pathsep.join(filter(None, [str(folder.parent), os.environ.get("PYTHONPATH")]))
        experiment.environment["PYTHONPATH"] = path

    return change


# Changes of the data


def labels(experiment, split="test"):
    folder = experiment.results / "phantom" / "phantom"
    return (
        folder
        / {
            "test": "CheXpert/test_labels.csv",
            "train": "CheXpert-v1.0-small/train.csv",
        }[split]
    )


def first_image(experiment):
    """Path of the first test image and its shard."""
    path = labels(experiment).read_text().splitlines()[1].split(",")[0]
    image_id = path.removeprefix("test/").removesuffix(".jpg").replace("/", "_")
    return labels(experiment).parent / path, f"test-{shard_of(image_id, 2):04d}"


def other_label(split):
    def change(experiment):
        header, first, *rest = labels(experiment, split).read_text().splitlines()
        cells = first.split(",")
        column = header.split(",").index("No Finding")  # which has no mask
        cells[column] = "0.0" if cells[column] == "1.0" else "1.0"
        labels(experiment, split).write_text("\n".join([header, ",".join(cells), *rest]) + "\n")

    return change


def other_image(experiment):
    path, _ = first_image(experiment)
    with Image.open(path) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)


def removed_image(experiment):
    header, _, *rest = labels(experiment).read_text().splitlines()
    labels(experiment).write_text("\n".join([header, *rest]) + "\n")


def added_image(experiment):
    """A third image of a patient: the second, mirrored; it falls into the first one's shard."""
    header, first, *rest = labels(experiment).read_text().splitlines()
    path, shard = first_image(experiment)
    patient, study, _ = path.parts[-3:]
    number = next(
        number
        for number in range(2, 50)
        if shard.endswith(f"{shard_of(f'{patient}_{study}_view{number}_frontal', 2):04d}")
    )
    new = path.with_name(f"view{number}_frontal.jpg")
    with Image.open(path) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(new)
    line = first.replace("view1_frontal", f"view{number}_frontal")
    labels(experiment).write_text("\n".join([header, first, line, *rest]) + "\n")


def other_mask(split):
    """A rectangle in the place of the first mask."""

    def change(experiment):
        folder = experiment.results / "phantom" / "phantom" / "CheXlocalize"
        file = folder / f"gt_segmentations_{split}.json"
        masks = json.loads(file.read_text())
        entry = next(iter(masks[min(masks)].values()))
        drawn = np.zeros(entry["size"], np.uint8, order="F")
        drawn[5:30, 5:30] = 1
        entry["counts"] = coco.encode(drawn)["counts"].decode()
        file.write_text(json.dumps(masks))

    return change


@dataclass(frozen=True)
class Case:
    """A change, and the jobs that it makes necessary, or a function that returns them."""

    change: Callable
    expected: set | Callable


LISTED = jobs("listing", "manifest")
"""What follows from any change of the sources' tables and masks."""


def replaced_in_shard(experiment):
    """What follows from other content of an image file: no table is read for a new list."""
    path, shard = first_image(experiment)
    image_id = f"{path.parent.parent.name}_{path.parent.name}_{path.stem}"
    part = f"part={shard_of(image_id, PARTS_READ):04d}"
    return jobs("manifest") | {("read", part)} | after_image(shard)


def listed_in_shard(experiment):
    """What follows from an image more or less."""
    return jobs("listing") | replaced_in_shard(experiment)


LOST_SHARD = "heatmaps/lime/test-0001.h5"
CASES = {
    "nothing": Case(lambda experiment: None, set()),
    "comments and 1.0 for 1": Case(other_spelling, set()),
    "the order of keys": Case(other_order, set()),
    "device and batch size": Case(compute, set()),
    "every file touched": Case(touched, set()),
    "another branch and back": Case(there_and_back, set()),
    "a comment in a module of no method of the run": Case(edited("shamsul/explain/lrp.py"), set()),
    "the measured times lost": Case(lost("benchmarks"), jobs("report")),
    "a parameter of a method": Case(method("lime", samples=21), heatmaps("lime")),
    "a parameter of a method on shared predictions": Case(
        method("shared_lime", kernel_width=0.5), heatmaps("shared_lime")
    ),
    "the shared predictions": Case(
        key("explain.perturbations", {"samples": 42, "segments": 8}),
        sharded("perturb") | heatmaps("shared_lime"),
    ),
    "a parameter of a member": Case(method("random", cells=5), heatmaps("random", "consensus")),
    "a reader's file": Case(no_points, heatmaps("radiologist")),
    "a method added": Case(added_method, heatmaps("lrp_z")),
    "a method removed": Case(removed_method, AFTER_HEATMAPS),
    "a method's module": Case(edited("shamsul/explain/cam.py"), heatmaps("grad_cam", "consensus")),
    "a module that two methods import": Case(
        edited("shamsul/explain/control.py"), heatmaps("random", "consensus")
    ),
    "a module that methods and shared predictions import": Case(
        edited("shamsul/explain/shared_perturbations.py"),
        sharded("perturb") | heatmaps("lime", "shared_lime"),
    ),
    "how heatmaps are stored": Case(
        edited("shamsul/storage/heatmaps.py"),
        of_methods("explain")
        | of_methods("score")
        | of_methods("probe", METHODS, TEST)
        | AFTER_HEATMAPS,
    ),
    "the program of one rule": Case(
        edited("scripts/compare.py"), jobs("compare", "runtime", "report")
    ),
    "a template of the report": Case(
        edited("shamsul/report/sections/summary.html"), jobs("report")
    ),
    "a section of the report": Case(edited("shamsul/report/sections/gains.py"), jobs("report")),
    "the report's title": Case(key("report.title", "Another"), jobs("report")),
    "a threshold": Case(key("evaluate.fixed_threshold", 0.4), AFTER_SCORES),
    "the rules of thresholds": Case(key("evaluate.thresholds", ["otsu", "best"]), AFTER_SCORES),
    "two parameters swapped": Case(
        swapped, AFTER_SCORES | jobs("classify", "summarise_probes", "summarise_agreement")
    ),
    "another confidence": Case(
        key("evaluate.confidence", 0.9),
        AFTER_SCORES | jobs("classify", "summarise_probes", "summarise_agreement"),
    ),
    "another baseline": Case(
        key("evaluate.baseline", "grad_cam"), jobs("compare", "runtime", "report")
    ),
    "another margin": Case(key("evaluate.margin", 0.2), jobs("compare", "runtime", "report")),
    "more images probed": Case(
        key("probe.images", 3),
        of_methods("probe", METHODS, TEST) | jobs("summarise_probes", "runtime", "report"),
    ),
    "CheXlocalize's protocol": Case(
        key("evaluate.protocol", "chexlocalize"),
        {("chexlocalize", f"method={method}") for method in METHODS}
        | jobs("chexlocalize_summary", "runtime", "report"),
    ),
    "the seed": Case(key("seed", 7), jobs("train") | AFTER_TRAINING),
    "a setting of training": Case(key("train.epochs", 2), jobs("train") | AFTER_TRAINING),
    "torch upgraded": Case(upgraded("torch"), jobs("train") | AFTER_TRAINING),
    "a library upgraded that readers and strata use": Case(
        upgraded("opencv-python-headless"), heatmaps("radiologist")
    ),
    "a shard of heatmaps lost": Case(
        lost(LOST_SHARD),
        {(rule, "method=lime, shard=test-0001") for rule in ("explain", "score", "probe")}
        | {("agreement", "shard=test-0001")}
        | jobs("quality", "summarise_probes", "summarise_agreement")
        | AFTER_SCORES,
    ),
}
OF_DATA = {
    "a label of test": Case(other_label("test"), LISTED | TABLES_OF_LABELS),
    "a label of train": Case(other_label("train"), LISTED | jobs("train") | AFTER_TRAINING),
    "an image changed": Case(other_image, replaced_in_shard),
    "an image removed": Case(removed_image, listed_in_shard),
    "an image added": Case(added_image, listed_in_shard),
    "a mask of tune": Case(
        other_mask("val"),
        LISTED | of_methods("score", METHODS, TUNE) | heatmaps("consensus"),
    ),
    "a mask of test": Case(
        other_mask("test"),
        lambda experiment: (
            LISTED | of_methods("score", METHODS, [first_image(experiment)[1]]) | AFTER_SCORES
        ),
    ),
}
"""Changes of the data."""
OFTEN = {"a label of test", "an image changed", "a mask of test"}
"""Those of them that are run whenever the tests are. Of a label of train a test of its own runs the
jobs above the classifier."""
OUTPUTS = {
    "listing": ["listing/*"],
    "read": ["read/{part}.parquet"],
    "manifest": [
        *("manifest.parquet", "masks.parquet", "masked_classes.parquet", "shards/*"),
        *("tables/rejected.parquet", "tables/sources.parquet"),
    ],
    "images": ["images/{shard}.h5"],
    "train": ["model/*", "tables/history.parquet"],
    "predict": ["predictions.parquet"],
    "classify": [
        "tables/classification.parquet",
        "tables/reliability.parquet",
        "tables/reliability_bins.parquet",
    ],
    "perturb": ["perturbed/{shard}.h5"],
    "explain": ["heatmaps/{method}/{shard}.h5"],
    "score": ["scores/{method}/{shard}.parquet", "signs/{method}/{shard}.parquet"],
    "probe": ["probes/{method}/{shard}.parquet"],
    "summarise_probes": ["tables/faithfulness.parquet", "tables/sanity.parquet"],
    "quality": ["tables/quality.parquet"],
    "per_image": [
        *("tables/per_image.parquet", "tables/thresholds.parquet", "tables/signs.parquet"),
        *("tables/markers.parquet", "pxap.parquet"),
    ],
    "compare": [f"tables/{name}.parquet" for name in ("localisation", "comparisons", "gains")],
    "stratify": ["tables/strata.parquet", "tables/regressions.parquet"],
    "agreement": ["agreement/{shard}.parquet"],
    "summarise_agreement": ["tables/agreement.parquet"],
    "chexlocalize": ["chexlocalize/{method}.parquet"],
    "chexlocalize_summary": ["tables/chexlocalize.parquet"],
    "runtime": ["tables/runtime.parquet"],
    "report": ["report.html"],
}


def change(experiment, case):
    """Make the change; the jobs that are expected."""
    expected = case.expected(experiment) if callable(case.expected) else case.expected
    case.change(experiment)
    return expected
