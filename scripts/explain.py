"""Heatmaps of one method for one shard of images: rule `explain`."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shamsul.explain import registry
from shamsul.explain.base import Method
from shamsul.explain.shard import Maps, Shard, Supervision
from shamsul.job import program
from shamsul.model.description import check_classes, describe
from shamsul.model.job import add_options, load_model
from shamsul.storage.heatmaps import Heatmaps, read_heatmaps, write_heatmaps
from shamsul.storage.images import read_frames, read_images

logger = logging.getLogger(__name__)


def main() -> None:
    """Parse the arguments, explain, write the shard."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings",
        type=json.loads,
        required=True,
        help="JSON: seed, classes, explained, name, entry, module",
    )
    add_options(parser)
    parser.add_argument("--heatmaps", type=Path, required=True, help="shard to write")
    more = parser.add_argument_group("what only some methods need")
    more.add_argument("--perturbed", type=Path, help="the shard's shared predictions")
    more.add_argument("--members", type=Path, nargs="*", default=[], help="heatmaps of this shard")
    more.add_argument("--tune-members", type=Path, nargs="*", default=[], help="and of tune")
    more.add_argument("--tune-images", type=Path, nargs="*", default=[])
    more.add_argument("--tune-masks", type=Path, nargs="*", default=[])
    more.add_argument("--manifests", type=Path, nargs="*", default=[], help="of tune and the shard")
    arguments = parser.parse_args()

    settings = arguments.settings
    described = describe(arguments.checkpoint)
    check_classes(arguments.checkpoint, described.classes, settings["classes"])
    # Members are looked up by the rule; here each method stands alone.
    method = registry.one(settings["entry"], module=settings["module"])
    images = read_images(arguments.images)
    maps = method.heatmaps(
        Shard(
            load=lambda: load_model(arguments, settings["classes"]),
            images=images,
            classes=tuple(settings["explained"]),
            seed=settings["seed"],
            members={m.method: m for m in map(read_heatmaps, arguments.members)},
            supervision=supervision(arguments) if method.supervised else None,
            perturbed=arguments.perturbed,
        )
    )
    write_heatmaps(
        Heatmaps(
            heatmap=maps.heatmap,
            image_id=images.image_id,
            explained=explained(maps, method),
            classes=list(settings["explained"]),
            method=settings["name"],
            parameters=registry.entry(method),
            checkpoint=described.digest,
            quality=maps.quality,
            covers=maps.covers,
            probability=maps.probability,
            points=maps.points,
            frames=images.frames,
        ),
        arguments.heatmaps,
    )


def explained(maps: Maps, method: Method) -> NDArray[np.bool_]:
    """Where there are heatmaps, (N, C); the log says how many are missing."""
    if maps.explained is None:
        return np.ones(maps.heatmap.shape[:2], bool)
    if missing := int((~maps.explained).sum()):
        logger.warning(
            "%s: no heatmap for %d of %d images and classes; they are scored as empty",
            method.title, missing, maps.explained.size,
        )  # fmt: skip
    return maps.explained


def supervision(arguments: argparse.Namespace) -> Supervision:
    """What a supervised method learns from."""
    import pandas as pd  # Here, because it is slow to import.

    from shamsul.storage.tables import read_table

    heatmaps: dict[str, list[Heatmaps]] = {}
    for path in arguments.tune_members:
        shard = read_heatmaps(path)
        heatmaps.setdefault(shard.method, []).append(shard)
    manifest = pd.concat([read_table(path) for path in arguments.manifests])
    return Supervision(
        manifest=manifest.drop_duplicates("image_id"),
        masks=pd.concat([read_table(path) for path in arguments.tune_masks]),
        frames={
            image_id: frame
            for path in arguments.tune_images
            for image_id, frame in read_frames(path).items()
        },
        heatmaps=heatmaps,
    )


if __name__ == "__main__":
    program.run(main)
