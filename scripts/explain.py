"""Heatmaps of one method for one shard of images: rule `explain`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shamsul import cli, storage
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.base import Cost, Explainer, image_seed
from shamsul.model import checkpoint
from shamsul.model.classifier import Classifier
from shamsul.model.device import be_deterministic, resolve_device
from shamsul.progress import track

TOGETHER: dict[Cost, int] = {"forward": 16, "backward": 4, "sampling": 1, "none": 1}
"""Images explained together; the last ones are repeated to make up the number. It is fixed because
sums are rounded differently in batches of different sizes. Sampling methods have batches of their
own, of perturbed images."""


def main() -> None:
    """Parse the arguments, explain, write the shard."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON: seed, classes, explained, name, entry",
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-size", type=int, default=32, help="of perturbed images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--heatmaps", type=Path, required=True)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    be_deterministic()
    device = resolve_device(arguments.device)
    model = checkpoint.load(arguments.checkpoint, device, arguments.batch_size)
    settings = arguments.settings
    if tuple(settings["classes"]) != tuple(model.classes):
        raise InputError(
            f"{arguments.checkpoint}: was trained for the classes {', '.join(model.classes)}, and "
            f"`classes` are {', '.join(settings['classes'])}; train again, or make them equal"
        )
    (explainer,) = registry.build([settings["entry"]], model.backbone).values()
    images = storage.read_images(arguments.images)
    heatmap = explain(explainer, model, images, settings["explained"], settings["seed"])
    storage.write_heatmaps(
        storage.Heatmaps(
            heatmap=heatmap,
            image_id=images.image_id,
            explained=np.ones(heatmap.shape[:2], bool),
            classes=list(settings["explained"]),
            method=settings["name"],
            parameters=registry.entry(explainer),
            checkpoint=model.digest(),
        ),
        arguments.heatmaps,
    )


def explain(
    explainer: Explainer,
    model: Classifier,
    images: storage.Images,
    explained: list[str],
    seed: int,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Heatmaps (N, C, h, w) of all images of a shard.

    Parameters
    ----------
    explained : names of the C classes to explain, among the model's.
    seed : the configuration's.
    """
    classes = torch.tensor([model.classes.index(name) for name in explained], device=model.device)
    step = TOGETHER[explainer.cost]
    parts = [np.zeros((0, len(explained), 1, 1), np.float32)] if not len(images) else []
    starts = range(0, len(images), step)
    for start in track(starts, f"{explainer.title}: groups of {step} images"):
        rows = np.arange(start, min(start + step, len(images)))
        padded = np.resize(rows, step)
        maps = explainer.explain(
            model,
            model.normalise(images.image[padded]),
            classes,
            [image_seed(seed, images.image_id[row]) for row in padded],
        )
        parts.append(maps[: len(rows)].detach().cpu().numpy().astype(np.float32))
    return np.concatenate(parts)


if __name__ == "__main__":
    cli.run(main)
