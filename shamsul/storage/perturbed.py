"""Shards of perturbed predictions, which several methods share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shamsul.storage import shards

VERSION = 5
"""Version of the content of a shard of perturbed predictions."""


@dataclass(frozen=True)
class PerturbedPredictions:
    """The network's predictions for perturbed versions of one shard's radiographs.

    Attributes
    ----------
    image_id : (N,) str.
    labels : N arrays (H, W), the superpixels of each radiograph.
    subsets : N arrays (n, M), which of its M superpixels are shown.
    logits : N arrays (n, K), for all K classes of the model.
    classes : (K,) str.
    checkpoint : digest of the network's weights.
    """

    image_id: list[str]
    labels: list[NDArray[np.intp]]
    subsets: list[NDArray[np.bool_]]
    logits: list[NDArray[np.float64]]
    classes: list[str]
    checkpoint: str


def write_perturbed(perturbed: PerturbedPredictions, path: str | Path) -> None:
    """Write perturbed predictions: a group for each radiograph, by its place in the shard."""
    with shards.created(path, VERSION) as file:
        file.attrs["classes"] = perturbed.classes
        file.attrs["checkpoint"] = perturbed.checkpoint
        shards.write_names(file, perturbed.image_id)
        for row in range(len(perturbed.image_id)):
            group = file.create_group(str(row))
            labels = perturbed.labels[row].astype(np.uint32)
            group.create_dataset("labels", data=labels, compression="gzip")
            group.create_dataset("subsets", data=perturbed.subsets[row], compression="gzip")
            group.create_dataset("logits", data=perturbed.logits[row].astype(np.float32))


def read_perturbed(path: str | Path, checkpoint: str | None = None) -> PerturbedPredictions:
    """Read perturbed predictions.

    Parameters
    ----------
    path : path of the shard.
    checkpoint : digest of the run's weights, which the shard must state; None takes any shard.

    Raises
    ------
    InputError
        The file is damaged, or what is in it is not of the shape, type and size that it must be,
        or it is of another checkpoint.
    """
    with shards.opened(path, VERSION) as file:
        classes = [str(name) for name in file.attrs["classes"]]
        stated = str(file.attrs["checkpoint"])
        made = PerturbedPredictions(shards.names(file), [], [], [], classes, stated)
        for row in range(len(made.image_id)):
            group = shards.member(file, str(row))
            labels = shards.values(group, "labels", "u", None, None, compressed=True)
            count = int(labels.max()) + 1
            subsets = shards.values(group, "subsets", "b", None, count, compressed=True)
            made.labels.append(labels.astype(np.intp))
            made.subsets.append(subsets)
            logits = shards.finite(group, "logits", len(subsets), len(classes))
            made.logits.append(logits.astype(np.float64))
    shards.check_checkpoint(path, made.checkpoint, checkpoint)
    return made
