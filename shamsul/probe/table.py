"""Table of the probes of one method's heatmaps of one shard."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shamsul.errors import InputError
from shamsul.explain.base import Explainer, Method
from shamsul.explain.shard import Shard, Training, image_seed
from shamsul.job.progress import track
from shamsul.model.classifier import Classifier
from shamsul.probe.faithfulness import Radiograph, at_model, measure
from shamsul.probe.randomisation import RANDOMISATION, randomised
from shamsul.probe.reexplain import alone, explained
from shamsul.probe.road import Imputer
from shamsul.probe.robustness import ROBUSTNESS, noisy
from shamsul.probe.settings import Probe
from shamsul.probe.similarity import CLASS_SPECIFICITY, SHAPE
from shamsul.size import told
from shamsul.storage.heatmaps import Heatmaps
from shamsul.storage.images import Images

logger = logging.getLogger(__name__)

COLUMNS = {
    "image_id": "str",
    "class": "str",
    "method": "str",
    "metric": "str",
    "fill": "str",
    "stage": "int64",
    "explained": "bool",
    "value": "float64",
}
"""Columns of the table of probes and their types."""
Row = tuple[int, int, str, str, int, bool, float]
"""Row of the shard, index of the class in the classifier that is asked, metric, fill, stage,
whether there is a map, value."""


def probe(
    model: Classifier,
    images: Images,
    heatmaps: Heatmaps,
    method: Method,
    settings: Probe,
    seed: int,
    perturbations: dict[str, Any] | None = None,
    training: Training | None = None,
) -> list[dict[str, Any]]:
    """Ask the model about some of a shard's heatmaps.

    Images and classes are chosen without regard to the method, so that methods are compared on the
    same ones. For faithfulness a map that is not there is one of zeros, which scores as chance
    does; what compares maps with each other has no row for it. A value depends on its own image,
    class and method alone.

    The classifier that is asked is the one that the method explains, another checkpoint's too. It
    is the run's for what explains none (controls, readers) and for maps made elsewhere, whose
    classifier is not known.

    Parameters
    ----------
    model : classifier that the run explains.
    images : radiographs of the shard.
    heatmaps : heatmaps of the same images by `method`.
    method : method of the heatmaps; one that does not explain the model is not asked again.
    seed : seed of the configuration.
    perturbations : configuration's `explain.perturbations`, for methods that use them.
    training : radiographs of the train split, for methods that compare with them.

    Returns
    -------
    Rows with the columns `COLUMNS`, sorted. `fill` is "" where nothing is filled. `stage` numbers
    the stages of `mprt` from 1, the output's, and is 0 for their mean and for all other metrics.
    `explained` tells whether the method has a map. NaN values are of images and classes for which a
    metric is not defined.

    Raises
    ------
    InputError
        The heatmaps are of other images, the images of another size than the model's, or another
        checkpoint that is explained does not fit (see `Explainer.explained_model`).
    """
    if heatmaps.image_id != images.image_id:
        raise InputError(f"{heatmaps.method}: heatmaps are of other images; delete and make again")
    if len(images) and images.image.shape[1:] != model.size:
        raise InputError(
            f"images are of {told(images.image.shape[1:])} pixels, the checkpoint's of "
            f"{told(model.size)}"
        )
    rows = chosen(images.image_id, settings.images, seed)
    classes = most_probable(model, images.image[rows], heatmaps.classes, settings.classes)
    own_model = asked = model
    if isinstance(method, Explainer):
        shard = Shard(lambda: model, images, tuple(heatmaps.classes), seed, training=training)
        own_model = method.explained_model(shard)
        # A network with random weights is a control, and its maps are held to the trained one.
        asked = method.model_copy(update={"network": "trained"}).explained_model(shard)
    own = own_indices(model, asked, classes)
    found = _measured(asked, images, heatmaps, rows, own, settings, seed)
    if (ROBUSTNESS.keys() | RANDOMISATION.keys()) & set(settings.metrics) and rows:
        if isinstance(method, Explainer):
            method = alone(method, perturbations).ready(shard)
            few, of = rows[: settings.reexplained_images], own[: settings.reexplained_images]
            found += _reexplained(own_model, images, method, few, of, settings, seed)
        else:
            logger.info("%s does not ask the model, and is not asked again", heatmaps.method)
    named = [
        (images.image_id[row], asked.classes[index], heatmaps.method, *rest)
        for row, index, *rest in found
    ]
    return [dict(zip(COLUMNS, row, strict=True)) for row in sorted(named, key=lambda row: row[:6])]


def chosen(image_ids: list[str], count: int, seed: int) -> list[int]:
    """Return the rows of the images to probe, those whose names have the lowest hashes.

    An image that is added takes the place of one at most.
    """
    rows = range(len(image_ids))
    return sorted(rows, key=lambda row: (image_seed(seed, image_ids[row]), image_ids[row]))[:count]


def most_probable(
    model: Classifier, grey: NDArray[np.uint8], names: list[str], count: int
) -> NDArray[np.intp]:
    """Return the explained classes of the highest probability, (N, k) indices into the model's."""
    explained = np.array([model.classes.index(name) for name in names])
    logits = model.predict(model.normalise(grey)).cpu().numpy()[:, explained]
    return explained[np.argsort(-logits, axis=1, kind="stable")[:, :count]]


def own_indices(
    model: Classifier, other: Classifier, indices: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return indices of classes of one classifier as those of the same names in another one."""
    names = np.array(model.classes)[indices]
    return np.vectorize(other.classes.index, otypes=[np.intp])(names)


def _measured(
    model: Classifier,
    images: Images,
    heatmaps: Heatmaps,
    rows: list[int],
    classes: NDArray[np.intp],
    settings: Probe,
    seed: int,
) -> list[Row]:
    """Return the rows of metrics that need the maps as they are."""
    imputer = Imputer(model.size)
    columns = {model.classes.index(name): place for place, name in enumerate(heatmaps.classes)}
    found: list[Row] = []
    for row, indices in track(zip(rows, classes.tolist(), strict=True), "probe: images", len(rows)):
        own = image_seed(seed, images.image_id[row])
        radiograph = Radiograph.of(model, images.image[row], settings.fills, own)
        frame = images.frames[row]
        maps = {
            index: at_model(heatmaps.heatmap[row, place], frame, heatmaps.covers)
            for index, place in columns.items()
            if heatmaps.explained[row, place]
        }
        nothing = np.zeros(images.image[row].shape)
        wanted = [maps.get(index, nothing) for index in indices]
        for index, metric, fill, value in measure(radiograph, wanted, indices, imputer, settings):
            found.append((row, index, metric, fill, 0, index in maps, value))
        for index in filter(maps.__contains__, indices):
            for metric in SHAPE.keys() & set(settings.metrics):
                value = SHAPE[metric](heatmaps.heatmap[row, columns[index]])
                found.append((row, index, metric, "", 0, True, value))
        if len(maps) < 2:
            continue
        for index in filter(maps.__contains__, indices):
            others = [other for key, other in maps.items() if key != index]
            for metric in CLASS_SPECIFICITY.keys() & set(settings.metrics):
                value = CLASS_SPECIFICITY[metric](maps[index], others)
                found.append((row, index, metric, "", 0, True, value))
    return found


def _reexplained(
    model: Classifier,
    images: Images,
    method: Explainer,
    rows: list[int],
    classes: NDArray[np.intp],
    settings: Probe,
    seed: int,
) -> list[Row]:
    """Compare the maps with others by the same method.

    Noise and random weights are drawn with the run's seed, as for every method.
    """
    names = [images.image_id[row] for row in rows]
    drawn = [image_seed(seed, name) for name in names]
    seeds = drawn if method.seed is None else [image_seed(method.seed, name) for name in names]
    greys = torch.from_numpy(images.image[rows].astype(np.float32))
    maps = explained(method, model, greys, classes, seeds)
    found: list[Row] = []

    def add(metric: str, image: int, place: int, stage: int, value: float) -> None:
        found.append((rows[image], int(classes[image, place]), metric, "", stage, True, value))

    if metrics := ROBUSTNESS.keys() & set(settings.metrics):
        for image, row in enumerate(track(rows, f"{method.title}: images with noise")):
            versions = noisy(images.image[row], settings.noisy, settings.radius, drawn[image])
            wanted = np.repeat(classes[image : image + 1], len(versions), axis=0)
            own = [seeds[image]] * len(versions)
            others = explained(method, model, torch.from_numpy(versions), wanted, own)
            for (place, heatmap), metric in itertools.product(enumerate(maps[image]), metrics):
                with_noise = np.array([other[place] for other in others])
                add(metric, image, place, 0, ROBUSTNESS[metric](heatmap, with_noise))
    if metrics := RANDOMISATION.keys() & set(settings.metrics):
        networks = track(
            randomised(model, settings.stages, seed),
            f"{method.title}: randomised networks",
            settings.stages,
        )
        # A network that sees no image tells nothing of a method: its maps are not defined.
        stages = [
            [np.full_like(own, np.nan) for own in maps]
            if network is None
            else explained(method, network, greys, classes, seeds)
            for network in networks
        ]
        for (image, place), metric in itertools.product(np.ndindex(classes.shape), metrics):
            random = [stage[image][place] for stage in stages]
            value = RANDOMISATION[metric](maps[image][place], random)
            by_stage = value if isinstance(value, list) else []
            add(metric, image, place, 0, float(np.mean(value)))
            for stage, one in enumerate(by_stage, 1):
                add(metric, image, place, stage, one)
    return found
