"""Examples of the report: a radiograph, the expert's mask and every method's heatmap."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.data.geometry import Frame
from shamsul.data.images import load
from shamsul.data.masks import by_image, decode
from shamsul.errors import InputError
from shamsul.report.overlay import data_uri, outline, overlay, radiograph
from shamsul.storage import read_heatmaps, read_images


@dataclass(frozen=True)
class Choice:
    """An image and class to show, and why."""

    image_id: str
    class_name: str
    reason: str


@dataclass(frozen=True)
class Overlay:
    """A method's heatmap over the radiograph."""

    method: str
    uri: str
    overlap: float
    hit: float


@dataclass(frozen=True)
class Example:
    """What the gallery shows of a choice. `radiograph` and `expert` are data URIs."""

    choice: Choice
    probability: float
    height: int
    width: int
    radiograph: str
    expert: str
    overlays: list[Overlay]


def choose(
    per_image: pd.DataFrame, metric: str, rule: str, control: str, count: int
) -> list[Choice]:
    """Typical and best cases of the classes with most masks, by a rule and not by eye.

    Images of test are ranked by the metric's mean over the methods without the control. Class by
    class, most masks first, the middle one and the best one are taken; where more are asked for
    than there are classes, the worst ones follow.

    Parameters
    ----------
    per_image : table of the evaluation.
    metric, rule : which values rank the images.
    control : method whose values do not count, unless there is no other.
    count : number of examples.
    """
    own = per_image[
        (per_image["split"] == "test")
        & (per_image["metric"] == metric)
        & (per_image["threshold_rule"] == rule)
    ]
    if (own["method"] != control).any():
        own = own[own["method"] != control]
    means = own.groupby(["class", "image_id"])["value"].mean().reset_index()
    means = means.sort_values(["class", "value", "image_id"], ignore_index=True)
    by_class = [(str(name), group["image_id"].tolist()) for name, group in means.groupby("class")]
    by_class.sort(key=lambda item: (-len(item[1]), item[0]))
    typical_and_best, worst = [], []
    for name, images in by_class:
        middle = (len(images) - 1) // 2
        typical_and_best.append(Choice(images[middle], name, "typical: the median of its class"))
        if middle != len(images) - 1:
            typical_and_best.append(Choice(images[-1], name, "the best of its class"))
        if middle != 0:
            worst.append(Choice(images[0], name, "the worst of its class"))
    return [*typical_and_best, *worst][:count]


def examples(
    choices: Sequence[Choice],
    methods: Sequence[str],
    values: Mapping[tuple[str, str, str], tuple[float, float]],
    probabilities: Mapping[tuple[str, str], float],
    manifest: pd.DataFrame,
    masks: pd.DataFrame,
    kind: str,
    heatmaps: Iterable[Path],
    images: Iterable[Path],
    roots: Mapping[str, Path],
) -> list[Example]:
    """Pictures of the chosen examples.

    Parameters
    ----------
    choices : what to show.
    methods : in the order of the report.
    values : overlap and hit rate by image, class and method.
    probabilities : of the class, by image and class.
    manifest, masks : of the chosen images at least.
    kind : of the masks to outline.
    heatmaps, images : shards, of the chosen images at least.
    roots : folder of each source by its name.

    Raises
    ------
    InputError
        A radiograph cannot be read: names the file.
    """
    chosen = {choice.image_id for choice in choices}
    rows = manifest[manifest["image_id"].isin(chosen)].set_index("image_id")
    experts = by_image(masks[masks["image_id"].isin(chosen) & (masks["kind"] == kind)])
    frames = _frames(images, chosen)
    maps, signed = _heatmaps(heatmaps, choices)
    shown = []
    for choice in choices:
        key = (choice.image_id, choice.class_name)
        if choice.image_id not in rows.index or choice.image_id not in frames:
            raise InputError(f"report: image {choice.image_id!r} is in no manifest or image shard")
        row = rows.loc[choice.image_id]
        picture = radiograph(load(roots[str(row["source"])] / str(row["path"])))
        expert = decode(experts[*key, kind])
        overlays = []
        for method in methods:
            if (method, *key) not in maps:
                continue
            coloured = overlay(
                picture, maps[method, *key], frames[choice.image_id], method in signed
            )
            overlap, hit = values.get((*key, method), (math.nan, math.nan))
            overlays.append(Overlay(method, data_uri(outline(coloured, expert)), overlap, hit))
        shown.append(
            Example(
                choice=choice,
                probability=probabilities.get(key, math.nan),
                height=picture.shape[0],
                width=picture.shape[1],
                radiograph=data_uri(picture),
                expert=data_uri(outline(picture, expert)),
                overlays=overlays,
            )
        )
    return shown


def _frames(shards: Iterable[Path], chosen: set[str]) -> dict[str, Frame]:
    found: dict[str, Frame] = {}
    for path in shards:
        shard = read_images(path)
        pairs = zip(shard.image_id, shard.frames, strict=True)
        found |= {image_id: frame for image_id, frame in pairs if image_id in chosen}
    return found


def _heatmaps(
    shards: Iterable[Path], choices: Sequence[Choice]
) -> tuple[dict[tuple[str, str, str], NDArray[np.float32]], set[str]]:
    """Maps by method, image and class, and the methods that have negative relevance anywhere."""
    found: dict[tuple[str, str, str], NDArray[np.float32]] = {}
    signed: set[str] = set()
    for path in shards:
        shard = read_heatmaps(path)
        if (shard.heatmap < 0).any():
            signed.add(shard.method)
        rows = {image_id: row for row, image_id in enumerate(shard.image_id)}
        for choice in choices:
            if choice.image_id in rows and choice.class_name in shard.classes:
                row, column = rows[choice.image_id], shard.classes.index(choice.class_name)
                if shard.explained[row, column]:
                    key = (shard.method, choice.image_id, choice.class_name)
                    found[key] = shard.heatmap[row, column]
    return found, signed
