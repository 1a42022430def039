"""Gallery: radiographs, the experts' masks and every method's heatmap."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.data.masks import by_image, decode
from shamsul.data.reading.files import load
from shamsul.errors import InputError
from shamsul.geometry import Frame
from shamsul.metrics import PREFIX
from shamsul.report.overlay import OTHER, data_uri, outline, overlay, radiograph
from shamsul.report.run import Run
from shamsul.report.views import View
from shamsul.storage.heatmaps import RunLengths, read_heatmaps
from shamsul.storage.images import read_frames

TITLE = "Gallery"
AFTER = "sanity"
NEEDS = (
    "localisation",
    "comparisons",
    "per_image",
    "predictions",
    "manifest",
    "masks",
    "heatmaps",
    "images",
    "roots",
)


def context(run: Run) -> dict[str, Any]:
    """Return the examples that the main view chooses."""
    return {"examples": shown(run, run.main) if run.main else []}


@dataclass(frozen=True)
class Choice:
    """An image and class to show, and the reason."""

    image_id: str
    class_name: str
    reason: str


@dataclass(frozen=True)
class Overlay:
    """A method's heatmap or segmentation over the radiograph; `made` is false where it has none."""

    method: str
    uri: str
    overlap: float
    hit: float
    made: bool


@dataclass(frozen=True)
class Example:
    """Pictures of a choice. `radiograph` and `expert` are data URIs."""

    choice: Choice
    probability: float
    height: int
    width: int
    radiograph: str
    expert: str
    overlays: list[Overlay]


def choose(
    per_image: pd.DataFrame, metric: str, rule: str, counted: Collection[str], count: int
) -> list[Choice]:
    """Return typical and best cases of the classes with most masks, by a rule and not by eye.

    Images of test are ranked by the metric's mean over the explanation methods. Class by class,
    most masks first, the middle one and the best one are taken; where more are asked for than
    there are classes, the worst ones follow.

    Parameters
    ----------
    per_image : table of the evaluation.
    metric, rule : metric and threshold rule of the values that rank the images.
    counted : methods whose values count; all where none of them has one.
    count : number of examples.
    """
    own = per_image[
        (per_image["split"] == "test")
        & (per_image["metric"] == metric)
        & (per_image["threshold_rule"] == rule)
    ]
    if own["method"].isin(counted).any():
        own = own[own["method"].isin(counted)]
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


def shown(run: Run, main: View) -> list[Example]:
    """Return the pictures of the examples, with the methods' overlap and hit rate."""
    methods, per_image = run.methods, run.table("per_image")
    explanations = set(filter(methods.explains, methods.names))
    choices = choose(
        per_image, main.metric, main.rule, explanations, run.config["report"]["gallery"]
    )
    key = ["image_id", "class", "method"]
    wanted = per_image[per_image["image_id"].isin({choice.image_id for choice in choices})]
    overlap = wanted[(wanted["metric"] == main.metric) & (wanted["threshold_rule"] == main.rule)]
    hits = wanted[wanted["metric"] == PREFIX[main.kind] + "hit_rate"]
    both = overlap[[*key, "value"]].merge(hits[[*key, "value"]], on=key, suffixes=("", "_hit"))
    return examples(
        choices,
        methods.names,
        {tuple(row[:3]): tuple(row[3:]) for row in both.itertuples(index=False)},
        run.table("predictions").set_index(["image_id", "class"])["probability"].to_dict(),
        run.table("manifest"),
        run.table("masks"),
        main.kind,
        run.results.heatmaps,
        run.results.images,
        run.results.roots,
    )


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
    """Return pictures of the chosen examples.

    Parameters
    ----------
    choices : images and classes to show.
    methods : methods in the order of the report.
    values : overlap and hit rate by image, class and method.
    probabilities : probability of the class, by image and class.
    manifest, masks : tables of the chosen images at least.
    kind : kind of the masks to outline.
    heatmaps, images : shards, of the chosen images at least.
    roots : folder of each source by its name.

    Raises
    ------
    InputError
        A radiograph cannot be read: names the file.
    """
    chosen = {choice.image_id for choice in choices}
    rows = manifest[manifest["image_id"].isin(chosen)].set_index("image_id")
    drawn = masks[masks["image_id"].isin(chosen) & (masks["kind"] == kind)]
    experts = by_image(drawn.to_dict("records"))
    frames = _frames(images, chosen)
    for image_id in sorted(chosen - frames.keys() | chosen - set(rows.index)):
        raise InputError(f"report: image {image_id!r} is in no manifest or image shard")
    maps, signed, outlined = _heatmaps(heatmaps, choices, frames)
    shown = []
    for choice in choices:
        key = (choice.image_id, choice.class_name)
        row = rows.loc[choice.image_id]
        picture = radiograph(load(roots[str(row["source"])] / str(row["path"]), int(row["depth"])))
        expert = decode(experts[*key, kind])
        overlays = []
        for method in methods:
            if (method, *key) not in maps:
                continue
            heatmap, frame = maps[method, *key]
            drawn = picture
            if heatmap is not None and method in outlined:
                drawn = outline(picture, heatmap > 0, OTHER)
            elif heatmap is not None:
                drawn = overlay(picture, heatmap, frame, method in signed)
            values_of = values.get((*key, method), (math.nan, math.nan))
            uri = data_uri(outline(drawn, expert))
            overlays.append(Overlay(method, uri, *values_of, made=heatmap is not None))
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
        found |= {name: frame for name, frame in read_frames(path).items() if name in chosen}
    return found


Maps = dict[tuple[str, str, str], tuple[NDArray[np.float32] | None, Frame]]
"""The map, None where it was not made, and its frame, by method, image and class."""


def _heatmaps(
    shards: Iterable[Path], choices: Sequence[Choice], frames: Mapping[str, Frame]
) -> tuple[Maps, set[str], set[str]]:
    """Return maps, methods that have negative relevance anywhere, and methods of segmentations."""
    found: Maps = {}
    signed: set[str] = set()
    outlined: set[str] = set()
    for path in shards:
        shard = read_heatmaps(path)
        # Run lengths have no sign, and to look at them all would decode them all.
        if isinstance(shard.heatmap, RunLengths):
            outlined.add(shard.method)
        elif (shard.heatmap < 0).any():
            signed.add(shard.method)
        rows = {image_id: row for row, image_id in enumerate(shard.image_id)}
        for choice in choices:
            if choice.image_id in rows and choice.class_name in shard.classes:
                row, column = rows[choice.image_id], shard.classes.index(choice.class_name)
                heatmap = shard.heatmap[row, column] if shard.explained[row, column] else None
                key = (shard.method, choice.image_id, choice.class_name)
                found[key] = (heatmap, shard.frame_of(frames[choice.image_id]))
    return found, signed, outlined
