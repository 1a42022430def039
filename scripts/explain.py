"""Make the heatmaps of one method for one shard of images: rule `explain`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shamsul.data.pseudonyms import originals, said_in_private
from shamsul.explain import registry
from shamsul.explain.base import Method
from shamsul.explain.shard import Maps, Shard, Supervision, Training
from shamsul.job import program
from shamsul.model.description import check_classes, describe
from shamsul.model.job import BATCH_SIZE, Device, load_model
from shamsul.storage.heatmaps import Heatmaps, read_heatmaps, write_heatmaps
from shamsul.storage.images import read_frames, read_images

logger = logging.getLogger(__name__)


def main(
    settings: dict[str, Any],
    checkpoint: Path,
    images: Path,
    perturbed: Path | None = None,
    members: Sequence[Path] = (),
    tune_members: Sequence[Path] = (),
    tune_images: Sequence[Path] = (),
    tune_masks: Sequence[Path] = (),
    manifests: Sequence[Path] = (),
    train_images: Path | None = None,
    train_labels: Path | None = None,
    private: Path | None = None,
    device: Device = "auto",
    batch_size: int = BATCH_SIZE,
    *,
    heatmaps: Path,
) -> None:
    """Explain every class of every image of one shard by one method.

    Parameters
    ----------
    settings : seed, classes, explained, name, entry, module.
    checkpoint : file of the classifier.
    images : radiographs of the shard.
    perturbed : predictions of the shard's perturbed radiographs, where the method shares them.
    members : heatmaps of this shard by the methods of which a consensus is made.
    tune_members : heatmaps of the tune split by the same methods, for one that learns from masks.
    tune_images : radiographs of the tune split, for a method that learns from masks.
    tune_masks : masks of the tune split, for a method that learns from them.
    manifests : patients of tune and of this shard, for a method that learns from masks.
    train_images : radiographs of train, for a method that compares with them.
    train_labels : their rows of the manifest, for a method that reads labels of train.
    private : folder of the names that were replaced, for a method that looks for images by names.
    device : processor to compute on; `auto` is a GPU where there is one.
    batch_size : perturbed images that are given to the network at once on a GPU.
    heatmaps : shard to write.
    """
    described = describe(checkpoint)
    digest = described.digest
    check_classes(checkpoint, described.classes, settings["classes"])
    # The rule looks up members, so here each method stands alone.
    method = registry.one(settings["entry"], module=settings["module"])
    shard = read_images(images)
    given = Shard(
        load=lambda: load_model(checkpoint, device, batch_size, settings["classes"]),
        images=shard,
        classes=tuple(settings["explained"]),
        seed=settings["seed"],
        members={m.method: m for m in (read_heatmaps(m, digest) for m in members)},
        supervision=(
            supervision(digest, tune_members, tune_images, tune_masks, manifests)
            if method.supervised
            else None
        ),
        training=Training(train_images, train_labels) if train_images else None,
        perturbed=perturbed,
        checkpoint=digest,
    )
    maps = named(method, given, private) if private else method.heatmaps(given)
    write_heatmaps(
        Heatmaps(
            heatmap=maps.heatmap,
            image_id=shard.image_id,
            explained=explained(maps, method),
            classes=list(settings["explained"]),
            method=settings["name"],
            parameters=registry.entry(method),
            checkpoint=digest,
            quality=maps.quality,
            covers=maps.covers,
            probability=maps.probability,
            points=maps.points,
            frames=shard.frames,
            regions=maps.regions,
        ),
        heatmaps,
    )


def explained(maps: Maps, method: Method) -> NDArray[np.bool_]:
    """Return where there are heatmaps, (N, C), and log how many are missing."""
    if maps.explained is None:
        return np.ones(maps.heatmap.shape[:2], bool)
    if missing := int((~maps.explained).sum()):
        logger.warning(
            "%s: no heatmap for %d of %d images and classes; they are scored as empty",
            method.title, missing, maps.explained.size,
        )  # fmt: skip
    return maps.explained


def named(method: Method, shard: Shard, private: Path) -> Maps:
    """Return the maps of a method that looks for images by the names that were replaced."""
    names = originals(shard.images.image_id, private)
    pseudonym = dict(zip(names, shard.images.image_id, strict=True))
    with said_in_private(private):
        maps = method.heatmaps(replace(shard, images=replace(shard.images, image_id=names)))
    points = {(pseudonym[name], label): found for (name, label), found in maps.points.items()}
    return replace(maps, points=points)


def supervision(
    checkpoint: str,
    members: Sequence[Path],
    images: Sequence[Path],
    masks: Sequence[Path],
    manifests: Sequence[Path],
) -> Supervision:
    """Read the data that a supervised method learns from: the tune split's maps, images, masks.

    The maps must be of the checkpoint with the digest that is given.
    """
    import pandas as pd  # Here, because it is slow to import.

    from shamsul.storage.tables import read_table

    heatmaps: dict[str, list[Heatmaps]] = {}
    for shard in (read_heatmaps(path, checkpoint) for path in members):
        heatmaps.setdefault(shard.method, []).append(shard)
    manifest = pd.concat([read_table(path) for path in manifests])
    return Supervision(
        manifest=manifest.drop_duplicates("image_id"),
        masks=pd.concat([read_table(path) for path in masks]),
        frames={
            image_id: frame for path in images for image_id, frame in read_frames(path).items()
        },
        heatmaps=heatmaps,
    )


if __name__ == "__main__":
    program.run(main)
