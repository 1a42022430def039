"""What explaining all of CheXpert takes: `python -m benchmarks.plan [--forwards-per-second N]`.

Seconds and bytes of each kind of job are measured here on a few images, on one thread, with the
network and the methods of the study; jobs, hours and bytes of 234 (CheXlocalize's validation set),
668 (its test set) and 224,316 images (CheXpert) follow by multiplication. Hours of GPU follow from
the number of forward passes that the work is worth and a number of them in a second that is
assumed, since none was measured. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks import measure
from benchmarks.evaluate import score_method
from benchmarks.subjects import CLASSES, radiographs, ready
from shamsul.explain import registry
from shamsul.explain.base import Explainer
from shamsul.explain.settings import Perturbations
from shamsul.job.fingerprint import PROJECT

METHODS = (
    *("grad_cam", "layer_cam", "lrp_z", "lrp_epsilon", "lrp_alpha2beta1", "deep_taylor"),
    *("lrp_epsilon_plus_flat", "integrated_gradients"),
)
"""Those of the twelve that ask the network themselves; lime and kernel_shap share predictions, and
mean_mask and random ask nothing."""
FREE = 4
"""Methods that ask nothing, or read shared predictions."""
SHARD = {234: 59, 668: 56, 224316: 1024}
"""Images of a shard, by the number of images in all."""


def main() -> None:
    """Measure, multiply, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forwards-per-second", type=float, default=1500, help="on the GPU")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = ready()
    images, classes = radiographs(model, 4), torch.arange(len(CLASSES))
    with torch.no_grad():
        forward = seconds(lambda: model(images)) / len(images)
    print(f"one forward pass: {forward:.3f} s on one thread", file=sys.stderr)
    work, size = {}, {}
    for name in METHODS:
        method = registry.one({"method": name})
        assert isinstance(method, Explainer)
        some = images[:1] if method.cost == "sampling" else images
        before = time.perf_counter()
        maps = method.explain(model, some, classes, [0] * len(some))
        work[name] = (time.perf_counter() - before) / len(some) / forward
        size[name] = maps.numpy().astype(np.float32).nbytes / len(some)
        print(f"{name}: {work[name]:.1f} forward passes, {size[name]:.0f} bytes", file=sys.stderr)
    # benchmarks.explain: LIME costs what its forward passes do.
    work["perturb"] = float(Perturbations().samples)
    start = begin("-c", "import shamsul.model.checkpoint")
    light = begin("scripts/score.py", "--help")
    print(f"start: {start:.1f} s with torch, {light:.1f} s without", file=sys.stderr)
    maps = score_method(1)  # which compiles
    per_map = seconds(lambda: score_method(1), 1) / maps
    print(f"score: {per_map:.4f} s a map", file=sys.stderr)
    print(
        "| images | shards | jobs | of these asking the network | minutes each, one core | hours of"
        " one core | minutes each, GPU | hours of GPU | start-up there | heatmaps |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    for number, shard in SHARD.items():
        shards = -(-number // shard)
        asking = shards * len(work)
        jobs = asking + shards * (FREE + len(METHODS) + FREE + 2)  # free, scores, images, agreement
        passes = number * sum(work.values())
        scores = number * 10 * (len(METHODS) + FREE) * per_map
        cores = passes * forward + scores + asking * start + (jobs - asking) * light
        gpu = passes / arguments.forwards_per_second + asking * start
        print(
            f"| {number:,} | {shards} of {shard} | {jobs:,} | {asking:,} |"
            f" {passes * forward / asking / 60:.1f} | {cores / 3600:,.0f} |"
            f" {gpu / asking / 60:.1f} |"
            f" {gpu / 3600:,.1f} | {100 * asking * start / gpu:.1f} % |"
            f" {number * sum(size.values()) / 1e9:,.1f} GB |"
        )


def seconds(function: Callable[[], object], rounds: int = 3) -> float:
    """Median time of a call, after one to warm up."""
    function()
    return statistics.median(measure.seconds(function) for _ in range(rounds))


def begin(*arguments: str) -> float:
    """Seconds that Python takes for something that does nothing but import."""
    command = [sys.executable, *arguments]
    return seconds(lambda: subprocess.run(command, capture_output=True, check=True, cwd=PROJECT))


if __name__ == "__main__":
    main()
