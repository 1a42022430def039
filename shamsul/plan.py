"""Size of an experiment before it runs: jobs, bytes of heatmaps, and hours of explaining.

Jobs are counted as the rules make them. Hours are an estimate: forward passes that the methods are
worth, times the seconds that one takes, and the start of each job.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from shamsul.config import Config
from shamsul.data.adapters.phantom import PhantomSource
from shamsul.errors import InputError
from shamsul.experiment import Experiment
from shamsul.explain.base import Method
from shamsul.model import inspection
from shamsul.settings import EXPLAINED, SPLITS
from shamsul.size import Size

FORWARD = {
    "densenet_small": 0.007,
    "densenet121": 0.085,
    "resnet18": 0.042,
    "resnet50": 0.104,
    "vgg16": 0.323,
    "efficientnet_b0": 0.023,
    "convnext_tiny": 0.119,
    "vit_b_16": 0.421,
}
"""Seconds of one forward pass of an image of 224 x 224 on one core, by network.

They were measured on a virtual machine, in batches of four. They grow with the number of pixels.
"""
START = 4.5
"""Seconds of processor time until a job that asks the network has imported its modules.

`python -m benchmarks.startup` measured it for Grad-CAM on a virtual machine of two cores.
"""
LIGHT_START = 1.0
"""Seconds of processor time until any other job has imported its modules, measured for scores."""
GRADIENT = 3
"""Number of forward passes that a forward and a backward pass are worth."""
GRADIENTS_OF_DRAWS = (
    *("smooth_grad", "integrated_gradients"),
    *("expected_gradients", "random_field_gradients"),
)
"""Methods that take a gradient for each draw and class.

Other sampling methods take one forward pass for each draw and all classes.
"""
DRAWS = 1000
"""Number of draws of a sampling method that has no parameter for it."""
ASK_THE_NETWORK = ("train", "import_checkpoint", "predict", "perturb", "explain", "probe")
"""Rules whose jobs import torch, except `explain` of methods that ask no network."""


@dataclass(frozen=True)
class Plan:
    """Size of an experiment.

    Attributes
    ----------
    jobs : number of jobs by rule, the target `all` included.
    asking : number of jobs that ask the network.
    images : number of explained images, in tune and test.
    passes : number of forward passes that explaining all of them is worth.
    heatmap_bytes : number of bytes of all heatmaps, at most.
    """

    jobs: dict[str, int]
    asking: int
    images: int
    passes: float
    heatmap_bytes: int

    def hours(self, forward: float) -> float:
        """Return the hours that explaining and starting take, one job at a time.

        Parameters
        ----------
        forward : seconds of one forward pass of an image.
        """
        light = sum(self.jobs.values()) - self.asking
        return (self.passes * forward + self.asking * START + light * LIGHT_START) / 3600


def plan(experiment: Experiment, images: int) -> Plan:
    """Count the jobs, forward passes and bytes of an experiment.

    Parameters
    ----------
    experiment : experiment that `shamsul.experiment.read` makes.
    images : number of explained images, in tune and test together.
    """
    config, methods = experiment.config, experiment.methods.values()
    classes = len(config.explain.classes or config.classes)
    each = sum(passes(method, classes) for method in methods)
    shared = any(method.uses_shared for method in methods)
    if shared and config.explain.perturbations:
        each += config.explain.perturbations.samples
    counted = jobs(experiment)
    silent = sum(not passes(method, classes) for method in methods)
    shards = counted["explain"] // max(len(methods), 1)
    asking = sum(counted.get(rule, 0) for rule in ASK_THE_NETWORK) - silent * shards
    cells = sum(_cells(method, config.data.size) for method in methods)
    return Plan(counted, asking, images, each * images, 4 * cells * classes * images)


def jobs(experiment: Experiment) -> dict[str, int]:
    """Return the number of jobs by rule, of a run that starts from nothing."""
    config, methods = experiment.config, experiment.methods
    shards = config.data.shards
    explained = sum(shards[split] for split in EXPLAINED)
    trains = not config.model.trained
    found = Counter(
        phantom=sum(isinstance(source, PhantomSource) for source in config.data.sources),
        read=config.data.parts,
        images=sum(shards[split] for split in SPLITS) if trains else explained,
        explain=len(methods) * explained,
        score=len(methods) * explained,
        agreement=shards["test"],
    )
    single = ["listing", "manifest", "train" if trains else "import_checkpoint", "predict"]
    single += [
        "classify",
        "quality",
        "per_image",
        "summarise_agreement",
        "compare",
        "stratify",
        "runtime",
    ]
    single += ["report", "all"]
    if any(method.uses_shared for method in methods.values()):
        found["perturb"] = explained
    if config.probe.images:
        found["probe"] = len(methods) * shards["test"]
        single.append("summarise_probes")
    if config.evaluate.protocol == "chexlocalize":
        found["chexlocalize"] = len(methods)
        single.append("chexlocalize_summary")
    found.update(single)
    return {rule: count for rule, count in sorted(found.items()) if count}


def passes(method: Method, classes: int) -> float:
    """Return the forward passes that explaining one image is worth, all classes together."""
    if method.cost == "no_model" or method.uses_shared:
        return 0
    if method.cost == "forward":
        return 1
    if method.cost == "backward":
        return GRADIENT * classes
    parameters = method.model_dump()
    given = (parameters.get(name) for name in ("samples", "steps", "segments"))
    draws = next((number for number in given if number), DRAWS)
    return draws * (GRADIENT * classes if method.method in GRADIENTS_OF_DRAWS else 1)


def _cells(method: Method, size: Size) -> int:
    """Return the cells of one heatmap at most: a sixteenth a side of the last feature maps."""
    height, width = (-(-side // 16) if method.cost == "forward" else side for side in size)
    return height * width


def forward_seconds(experiment: Experiment) -> float:
    """Return the seconds of one forward pass on one core, by `FORWARD` and the images' size."""
    config = experiment.config
    known = FORWARD.get(config.model.network)
    seconds = _measured(config) if known is None else known
    return seconds * _usual(config.data.size)


def _measured(config: Config) -> float:
    """Return the seconds of a forward pass of an image of 224 x 224 that an inspection measured."""
    found = inspection.inspect(config.model, config.classes, config.data.size)
    return found.seconds / _usual(config.data.size)


def _usual(size: Size) -> float:
    """Return the pixels of an image, in images of 224 x 224."""
    return (size[0] / 224) * (size[1] / 224)


def explained_images(experiment: Experiment) -> int:
    """Return the number of images in tune and test, from the run's manifest or its phantoms.

    Raises
    ------
    InputError
        There is no manifest yet, and a source is no phantom.
    """
    manifest = experiment.folder / "manifest.parquet"
    if manifest.is_file():
        from shamsul.storage.tables import read_table

        return int(read_table(manifest)["split"].isin(EXPLAINED).sum())
    found = 0
    for source in experiment.config.data.sources:
        if not isinstance(source, PhantomSource):
            raise InputError(f"{source.name}: its images are not counted yet; say --images N")
        # This is approximate, since some patients have a second study.
        found += sum(source.patients.get(split, 0) for split in EXPLAINED)
    return found
