"""Faithfulness of heatmaps: the network's need for the pixels that they call relevant.

The network is shown versions of a radiograph in which pixels are hidden, and is asked for the
class's logit: in a multi-label network classes do not compete, and a probability near 0 or 1
hardly moves whatever is hidden. All versions of an image go through the network in one list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shamsul.explain.perturbation import FillOptions, filled, quick
from shamsul.geometry import Frame, to_original
from shamsul.model.classifier import Classifier
from shamsul.probe.road import Imputer, imputed
from shamsul.probe.settings import Fill, Probe
from shamsul.size import Size, pair
from shamsul.storage.heatmaps import Covers

MARGIN = 0.1
"""Least fall of the logit, from the radiograph to its fill, of which shares are taken."""
ROUNDING = 1e-6
"""Share of a map's largest relevance to which relevance is rounded.

Interpolation of a constant map leaves differences of about a tenth of it in float32, and they must
not be ranked.
"""
SIDES = (1 / 8, 1 / 2)
"""Smallest and largest side of infidelity's squares, as fractions of the image's shorter one."""

Value = tuple[int, str, str, float]
"""Value of a metric: index of the class, metric, fill ("" where there is none), value."""


@dataclass(frozen=True)
class Radiograph:
    """Radiograph and the fills that hide its pixels.

    Attributes
    ----------
    model : classifier, in its form for many forward passes.
    grey : (H, W) uint8.
    image : (3, H, W) float32, as the model sees it.
    fills : (3, H, W) each, the image with everything hidden.
    seed : seed of the image.
    """

    model: Classifier
    grey: NDArray[np.uint8]
    image: Tensor
    fills: dict[Fill, Tensor]
    seed: int

    @classmethod
    def of(
        cls, model: Classifier, grey: NDArray[np.uint8], fills: tuple[Fill, ...], seed: int
    ) -> Radiograph:
        """Prepare a radiograph (H, W) and its fills."""
        image = model.normalise(grey[None])[0]
        whole = np.zeros(grey.shape, np.intp)
        hidden = {f: filled(FillOptions(fill=f), model, image, whole, seed) for f in fills}
        return cls(quick(model), grey, image, hidden, seed)

    def logits(self, versions: list[Tensor]) -> list[NDArray[np.float64]]:
        """Return the logits (n, K) of each stack of versions (n, 3, H, W)."""
        logits = self.model.predict(torch.cat(versions)).double().cpu()
        return [part.numpy() for part in logits.split([len(part) for part in versions])]

    def without(self, hidden: NDArray[np.bool_], fill: Fill) -> Tensor:
        """Return versions (n, 3, H, W) in which `hidden` (n, H, W) is filled."""
        where = torch.from_numpy(hidden).to(self.image.device)[:, None]
        return torch.where(where, self.fills[fill], self.image)


def measure(
    radiograph: Radiograph,
    maps: list[NDArray[np.float64]],
    classes: list[int],
    imputer: Imputer,
    settings: Probe,
) -> Iterator[Value]:
    """Yield deletion, insertion, ROAD and infidelity of one radiograph's heatmaps.

    Parameters
    ----------
    maps : k of the model's resolution, (H, W), signed.
    classes : k indices into the model's classes.
    settings : `metrics`, `fills`, `steps`, `squares`.
    """
    generator = np.random.default_rng(radiograph.seed)
    hidden = squares(settings.squares, radiograph.grey.shape, generator)
    # The radiograph and its fills serve all classes and measures, the squares all classes.
    plain = torch.stack([radiograph.image, *radiograph.fills.values()])
    asked = [radiograph.without(hidden, fill) for fill in radiograph.fills]
    (whole, *empty), *squared = radiograph.logits(
        [plain, *asked] if SQUARES.keys() & set(settings.metrics) else [plain]
    )
    ties = generator.permutation(radiograph.grey.size)
    for heatmap, index in zip(maps, classes, strict=True):
        for fill, logits in zip(radiograph.fills, squared, strict=False):
            falls = whole[index] - logits[:, index]
            for name in SQUARES.keys() & set(settings.metrics):
                yield index, name, fill, SQUARES[name](heatmap, hidden, falls)
        ordered = order(heatmap, ties)
        curves = _curves(radiograph, ordered, settings)
        versions = list(curves.values())
        if "road" in settings.metrics:
            greys = imputed(imputer, radiograph.grey, ordered, radiograph.seed)
            versions.append(radiograph.model.normalise(torch.from_numpy(greys).flatten(0, 1)))
        if not versions:
            continue
        answers = [logits[:, index] for logits in radiograph.logits(versions)]
        ends = {fill: e[index] for fill, e in zip(radiograph.fills, empty, strict=True)}
        for (metric, fill), logits in zip(curves, answers, strict=False):
            between = (logits, whole[index], ends[fill])
            yield index, metric, fill, area(*between, rising=metric == "insertion")
        if "road" in settings.metrics:
            most, least = answers[-1].reshape(2, -1)
            yield index, "road", "", float((least - most).mean())


def _curves(
    radiograph: Radiograph, ordered: NDArray[np.intp], settings: Probe
) -> dict[tuple[str, Fill], Tensor]:
    """Return versions along the curves, without their ends, by metric and fill."""
    first = steps(ordered, settings.steps).reshape(-1, *radiograph.grey.shape)
    hidden = {"deletion": first, "insertion": ~first}
    return {
        (metric, fill): radiograph.without(hidden[metric], fill)
        for metric in hidden
        if metric in settings.metrics
        for fill in radiograph.fills
    }


def at_model(heatmap: NDArray[np.floating], frame: Frame, covers: Covers) -> NDArray[np.float64]:
    """Bring a heatmap (h, w) of any resolution to the model's, (H, W), signed.

    It is interpolated bilinearly. A finer one is averaged over each pixel, sampled once a cell or
    closer.

    Parameters
    ----------
    frame : frame of the radiograph.
    covers : area that the heatmap covers evenly; where that is the radiograph, the frame's padding
        has no relevance.
    """
    rows, columns = frame.size
    if covers == "frame":
        way = Frame.fit(rows, columns, frame.size, "stretch")
    else:
        # The frame's pixels in a radiograph of height and width 1.
        height, width = frame.scale_y * frame.height, frame.scale_x * frame.width
        lines = (1 / height, 1 / width, -frame.offset_y / height, -frame.offset_x / width)
        way = Frame(rows, columns, (1, 1), *lines)
    high, wide = way.size
    cells = way.scale_y * heatmap.shape[0] / high, way.scale_x * heatmap.shape[1] / wide
    down, across = (math.ceil(round(count, 6)) for count in cells)  # Equal resolutions are equal.
    sampled = to_original(heatmap, way.at(rows * down, columns * across)).astype(np.float64)
    resized = sampled.reshape(rows, down, columns, across).mean((1, 3))
    unit = ROUNDING * np.abs(resized).max() or 1
    return np.round(resized / unit) * unit


def order(heatmap: NDArray[np.float64], ties: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the places of a map's pixels, most relevant first.

    Relevance is the positive part. Pixels of equal relevance, among them all that have none, come
    in the order of `ties`, so that a map that says nothing scores as chance does.

    Parameters
    ----------
    heatmap : (H, W).
    ties : (H * W,) a permutation; one for all classes and methods of an image.
    """
    return np.lexsort((ties, -np.maximum(heatmap.ravel(), 0)))


def steps(ordered: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    """Return (count - 1, P), True where a pixel is among the first 1 / count, 2 / count, ... ."""
    place = np.empty(len(ordered), np.intp)
    place[ordered] = np.arange(len(ordered))
    first = np.round(np.arange(1, count) / count * len(ordered))
    return place < first[:, None]


def area(logits: NDArray[np.float64], whole: float, empty: float, rising: bool) -> float:
    """Return the area under a curve of insertion or deletion (Petsiuk et al., BMVC 2018).

    The curve is ``v = (f - f_empty) / (f_whole - f_empty)``, cut to [0, 1], against the share of
    pixels that are hidden or shown, by trapezoids. The paper has the class's softmax probability; a
    share of the logit's fall compares classes that are predicted with different certainty. It is
    cut because a version may have a higher logit than the radiograph or a lower one than its fill,
    and where the fall is small such a share could be of any size.

    Parameters
    ----------
    logits : (n,) of versions at equal steps of area, the ends left out.
    whole, empty : logits of the radiograph and of its fill.
    rising : True where pixels are shown (insertion) and not hidden.

    Returns
    -------
    In [0, 1]. NaN where the logit falls by less than `MARGIN`: there is no evidence to take away.
    That is so for every method alike.
    """
    if whole - empty < MARGIN:
        return np.nan
    ends = (0.0, 1.0) if rising else (1.0, 0.0)
    curve = np.clip((logits - empty) / (whole - empty), 0, 1)
    return float(np.trapezoid([ends[0], *curve, ends[1]])) / (len(curve) + 1)


def squares(count: int, size: int | Size, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Draw random squares within an image: (count, H, W), True inside."""
    height, width = pair(size)
    low, high = (max(1, round(fraction * min(height, width))) for fraction in SIDES)
    length = generator.integers(low, high + 1, count)
    room = np.array([[height], [width]]) - length + 1
    top, left = np.floor(generator.random((2, count)) * room).astype(int)
    rows, columns = (
        (at >= start[:, None]) & (at < (start + length)[:, None])
        for at, start in ((np.arange(height), top), (np.arange(width), left))
    )
    return rows[:, :, None] & columns[:, None, :]


def infidelity(
    heatmap: NDArray[np.float64], hidden: NDArray[np.bool_], falls: NDArray[np.float64]
) -> float:
    """Return the error of a map's sums over hidden pixels as predictions of the logit's fall.

    ``min_{b >= 0} E[(b a - d)^2] / E[d^2]`` for sums `a` and falls `d`: the infidelity of Yeh et
    al. (NeurIPS 2019, Eq. 1) for the removal of squares, where the perturbation is measured in
    shares of the pixels' values, as befits maps of contributions. Their optimal scale `b` takes the
    map's unit out. Here it may not be negative, for a map is not to profit from the wrong sign, and
    the expected square of the fall, the error of a map that says nothing, is the unit.

    Parameters
    ----------
    heatmap : (H, W), signed.
    hidden : (n, H, W), True where a version's pixel is hidden.
    falls : (n,) of the logit.

    Returns
    -------
    In [0, 1]; 1 for an empty map. NaN where the logit never falls or rises, whatever the map.
    """
    sums = hidden.reshape(len(hidden), -1) @ heatmap.ravel()
    product, square, unit = (sums * falls).mean(), (sums**2).mean(), (falls**2).mean()
    if unit == 0:
        return np.nan
    if product <= 0:
        return 1.0
    return float(max(0.0, 1 - product / square * (product / unit)))


SQUARES: dict[
    str, Callable[[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]], float]
] = {"infidelity": infidelity}
"""Metrics of a map, hidden squares and the falls of the logit, as `infidelity`, by name."""
