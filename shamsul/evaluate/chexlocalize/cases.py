"""Cases of CheXlocalize's protocol: one method's map, mask and points, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shamsul.data.masks import Row, by_image, decode
from shamsul.errors import InputError
from shamsul.evaluate.chexlocalize.segmentation import on_radiograph
from shamsul.geometry import Frame
from shamsul.job.progress import track
from shamsul.labels import LOCALISED
from shamsul.storage.heatmaps import Heatmaps, RunLengths, read_heatmaps


@dataclass(frozen=True)
class Run:
    """Masks, splits and probabilities against which the methods of a run are judged.

    Attributes
    ----------
    masks : rows of the masks table by image_id and class; outlines only.
    splits : split of each image.
    frames : frame of each image.
    probability : probability of the run's own classifier by image_id and class.
    classes : classes to judge, sorted.
    checkpoint : digest of the weights that heatmaps must be of; None takes any.
    """

    masks: Mapping[tuple[str, str], Row]
    splits: Mapping[str, str]
    frames: Mapping[str, Frame]
    probability: Mapping[tuple[str, str], float]
    classes: list[str]
    checkpoint: str | None = None

    @classmethod
    def of(
        cls,
        masks: pd.DataFrame,
        manifest: pd.DataFrame,
        predictions: pd.DataFrame,
        frames: Mapping[str, Frame],
        classes: Iterable[str],
        checkpoint: str | None = None,
    ) -> Run:
        """Build it from the run's tables; of the manifest image_id and split are needed.

        Masks of several annotators are united, boxes left out.
        """
        outlines = by_image(masks[masks["kind"] == "segmentation"].to_dict("records"))
        keys = zip(predictions["image_id"], predictions["class"], strict=True)
        return cls(
            {(image_id, name): row for (image_id, name, _), row in outlines.items()},
            dict(zip(manifest["image_id"], manifest["split"], strict=True)),
            frames,
            dict(zip(keys, predictions["probability"].astype(float), strict=True)),
            sorted(classes),
            checkpoint,
        )

    def masked(self, split: str) -> list[str]:
        """Return the images of a split that have a mask of any class of CheXlocalize's, sorted.

        They are the rows of CheXlocalize's tables whatever the class, so its resamples depend on
        them.
        """
        names = {*LOCALISED, *self.classes}
        found = {image_id for image_id, name in self.masks if name in names}
        return sorted(image_id for image_id in found if self.splits.get(image_id) == split)


@dataclass(frozen=True)
class Case:
    """Answer of one method for one image and class.

    Attributes
    ----------
    key : image_id and class.
    given : (height, width) segmentation, where the method is segmentations.
    original : (height, width) float32 map, where there is one.
    mask : (height, width) bool; None where the image has no mask of the class.
    probability : probability of the class, in [0, 1].
    points : (n, 2) x and y of a human reader's points; None where nobody was asked.
    """

    key: tuple[str, str]
    given: NDArray[np.bool_] | None
    original: NDArray[np.float32] | None
    mask: NDArray[np.bool_] | None
    probability: float
    points: NDArray[np.float64] | None

    def overlap(self, segmentation: NDArray[np.bool_] | None, true_pos_only: bool) -> float:
        """Return intersection over union of mask and segmentation (None: empty), in [0, 1].

        It is NaN where either is empty, or both unless `true_pos_only`.
        """
        found = 0 if segmentation is None else np.count_nonzero(segmentation)
        expert = 0 if self.mask is None else np.count_nonzero(self.mask)
        if segmentation is None or self.mask is None or not found or not expert:
            return np.nan if true_pos_only or not found + expert else 0.0
        shared = np.count_nonzero(segmentation & self.mask)
        return shared / (found + expert - shared)

    def hit(self) -> float:
        """Return 1 where the map's first maximum, or any point of a reader, is in the mask, else 0.

        It is NaN without a mask, and for a segmentation whose reader marked no points.
        """
        if self.mask is None or not self.mask.any():
            return np.nan
        if self.points is not None:
            height, width = self.mask.shape
            pixels = [(int(y), int(x)) for x, y in self.points]
            inside = [(y, x) for y, x in pixels if 0 <= y < height and 0 <= x < width]
            return float(any(self.mask[pixel] for pixel in inside))
        if self.original is None:
            return np.nan
        return float(self.mask.flat[int(self.original.argmax())])


def cases(shards: Iterable[Path], run: Run, split: str, masked_only: bool) -> Iterator[Case]:
    """Yield a method's cases of a split, map by map; none where it has no answer.

    Parameters
    ----------
    shards : heatmap shards of the method.
    run : masks and probabilities against which it is judged.
    split : `tune` or `test`.
    masked_only : True leaves out images without a mask.

    Raises
    ------
    InputError
        A segmentation and its mask differ in size, a probability is missing, or a shard is of
        another checkpoint.
    """
    for path in sorted(shards):
        heatmaps = read_heatmaps(path, run.checkpoint)
        names = [name for name in run.classes if name in heatmaps.classes]
        wanted = [
            (row, heatmaps.classes.index(name), (image_id, name))
            for row, image_id in enumerate(heatmaps.image_id)
            if run.splits.get(image_id) == split
            for name in names
            if not masked_only or (image_id, name) in run.masks
        ]
        for row, column, key in track(wanted, f"{heatmaps.method} on {split}, as CheXlocalize"):
            if heatmaps.explained[row, column] or key in heatmaps.points:
                yield _case(heatmaps, row, column, key, run)


def _case(heatmaps: Heatmaps, row: int, column: int, key: tuple[str, str], run: Run) -> Case:
    found, frame = run.masks.get(key), run.frames[key[0]]
    mask = None if found is None else decode(found)
    given: NDArray[np.bool_] | None = None
    original: NDArray[np.float32] | None = None
    made = bool(heatmaps.explained[row, column])
    if isinstance(heatmaps.heatmap, RunLengths):
        given = heatmaps.heatmap[row, column] > 0 if made else np.zeros((0, 0), bool)
        if made and mask is not None and given.shape != mask.shape:
            raise InputError(
                f"{heatmaps.method}: the segmentation of image {key[0]!r}, class {key[1]!r} is of "
                f"{given.shape[0]} x {given.shape[1]} pixels, its mask of "
                f"{mask.shape[0]} x {mask.shape[1]}; make both of the radiograph's size"
            )
    elif made:
        at = frame if mask is None else frame.at(*mask.shape)
        original = on_radiograph(heatmaps.heatmap[row, column], at, heatmaps.covers)
    probability = np.nan
    if heatmaps.probability is not None:
        probability = float(heatmaps.probability[row, column])
    if np.isnan(probability):
        probability = run.probability.get(key, np.nan)
    points = heatmaps.points.get(key)
    return Case(key, given, original, mask, probability, points)
