"""Heatmaps and segmentations that were made elsewhere, and human readers.

They are read once and stored like any method's. They need nothing of the run's own model: imported
heatmaps explain the classifier that they were made with. An image and class without a map in any
file is scored as an empty map: a method cannot choose its images.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from shamsul import lazy
from shamsul.data.mask_files import read_json, read_run_lengths
from shamsul.data.masks import run_lengths
from shamsul.errors import InputError
from shamsul.explain.base import Cost, Method
from shamsul.explain.external.folder import listing
from shamsul.explain.shard import Maps, Shard
from shamsul.geometry import Frame
from shamsul.job.progress import track
from shamsul.labels import CHEXLOCALIZE_NAMES
from shamsul.storage.heatmaps import Covers, Points, RunLengths

if TYPE_CHECKING:
    import cv2
else:
    cv2 = lazy.load("cv2")

logger = logging.getLogger(__name__)

LARGEST_SIDE = 512
"""Largest side in pixels of a stored heatmap, unless the run's model has more."""

Files = Annotated[
    tuple[str, ...],
    BeforeValidator(
        lambda given: (given,) if isinstance(given, str) else given,
        json_schema_input_type=str | Annotated[tuple[str, ...], Field(min_length=1)],
    ),
    Field(min_length=1),
]
"""Paths of one file or several, such as one for each split, relative to Snakemake's working
folder."""


class Imported(Method):
    """Heatmaps from a folder of CheXlocalize's pickles, .npy, .npz or PNG files, or shards.

    See `shamsul.explain.external.folder` for names and formats. The maps of one shard must have one
    resolution, since they are stored as one array. Maps of more than 512 pixels a side, or than the
    run's model has if that is more, are reduced to that by area averaging: maps at a radiograph's
    full resolution are enlarged ones of models of 224 to 512 pixels, and would fill the memory.

    Shards that cover the frame must be of a run whose model sees the same part of each radiograph.
    """

    method: ClassVar[str] = "imported"
    title: ClassVar[str] = "Imported heatmaps"
    citation: ClassVar[str] = "made elsewhere"
    cost: ClassVar[Cost] = "no_model"
    signed: ClassVar[bool] = True

    path: str
    """Folder of the heatmaps, relative to Snakemake's working folder."""
    covers: Covers = "radiograph"
    """Area that the maps cover evenly: the whole radiograph, or the model's frame. Shards
    state their own, which wins."""

    def check_files(self, made: Collection[Path] = ()) -> None:
        """Raise an InputError where the folder does not hold heatmaps of one format."""
        listing(self.path)

    def files(self, image_ids: Sequence[str]) -> list[Path]:
        """Return the files of these images alone, sorted."""
        return listing(self.path).of(image_ids)

    def heatmaps(self, shard: Shard) -> Maps:
        """Read the heatmaps, each in its place.

        Raises
        ------
        InputError
            A file is damaged or hostile, a map is not finite, or not of the others' resolution, or
            the frame of a shard's image is not the one of this run.
        """
        folder, image_ids = listing(self.path), shard.images.image_id
        shape = len(image_ids), len(shard.classes)
        heatmap = np.zeros((*shape, 1, 1), np.float32)
        explained = np.zeros(shape, bool)
        probability = np.full(shape, np.nan, np.float32)
        row_of = {image_id: row for row, image_id in enumerate(image_ids)}
        largest = max(LARGEST_SIDE, *shard.images.image.shape[1:])
        for image_id, name, one in track(folder.read(image_ids, shard.classes), self.title):
            if folder.covers == "frame":
                self._check_frame(one.frame, shard.images.frames[row_of[image_id]], image_id)
            values = reduced(one.heatmap, largest)
            if not explained.any():
                heatmap = np.zeros((*shape, *values.shape), np.float32)
                if values.shape != one.heatmap.shape:
                    logger.info(
                        "%s: maps of %d x %d pixels are reduced to %d x %d",
                        self.path, *one.heatmap.shape, *values.shape,
                    )  # fmt: skip
            if heatmap.shape[2:] != values.shape:
                raise InputError(
                    f"{self.path}: the map of image {image_id}, class {name} has the shape "
                    f"{values.shape}, those before it {heatmap.shape[2:]}; "
                    "bring all of them to one resolution"
                )
            at = row_of[image_id], shard.classes.index(name)
            heatmap[at], explained[at], probability[at] = values, True, one.probability
        if others := folder.left_out(image_ids, shard.classes):
            logger.info(
                "%s: %d files of this shard's images are of no class that is explained, such as %s",
                self.path, len(others), others[0].name,
            )  # fmt: skip
        if image_ids and not explained.any():
            logger.warning(
                "%s: has no map of this shard's %d images, such as %s; its own are such as %s",
                self.path, len(image_ids), image_ids[0], min(folder.files),
            )  # fmt: skip
        return Maps(
            heatmap,
            explained=explained,
            covers=folder.covers or self.covers,
            probability=None if np.isnan(probability).all() else probability,
        )

    def _check_frame(self, theirs: Frame | None, ours: Frame, image_id: str) -> None:
        if theirs is None or not np.allclose(_part(theirs), _part(ours)):
            raise InputError(
                f"{self.path}: the heatmaps of image {image_id} are of another part of the "
                "radiograph than this run's model sees; import from a run of the same "
                "data.geometry and data.size"
            )


def _part(frame: Frame) -> NDArray[np.float64]:
    """Return top, left, height and width of the radiograph, in heights and widths of the frame."""
    height, width = frame.scale_y * frame.height, frame.scale_x * frame.width
    return np.array([frame.offset_y, frame.offset_x, height, width]) / (*frame.size, *frame.size)


def reduced(heatmap: NDArray[np.float32], largest: int) -> NDArray[np.float32]:
    """Reduce a heatmap by area averaging until no side is longer than `largest`."""
    height, width = (min(side, largest) for side in heatmap.shape)
    if (height, width) == heatmap.shape:
        return heatmap
    smaller = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.float32)


class SegmentationMethod(Method):
    """The base of methods made of JSON files of segmentations; subclasses write `paths`."""

    cost: ClassVar[Cost] = "no_model"
    signed: ClassVar[bool] = False

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of the files that the method reads."""
        raise NotImplementedError

    def check_files(self, made: Collection[Path] = ()) -> None:
        """Raise an InputError where a file does not exist and is not made by the run."""
        for path in self.files(()):
            if path not in made and not path.is_file():
                raise InputError(f"{path} does not exist; correct the path, or remove the method")

    def files(self, image_ids: Sequence[str]) -> list[Path]:
        """Return the files, the same for all images, sorted."""
        return sorted(map(Path, self.paths))


class Segmentations(SegmentationMethod):
    """Segmentations that were made elsewhere, such as CheXlocalize's `pred_segmentations`.

    COCO run lengths (Lin et al., ECCV 2014), scored as they are: no threshold changes them.
    """

    method: ClassVar[str] = "segmentations"
    title: ClassVar[str] = "Imported segmentations"
    citation: ClassVar[str] = "made elsewhere"

    path: Files
    """JSON file or files,
    ``{image_id: {class: {"size": [height, width], "counts": run lengths}}}``."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of the segmentations."""
        return self.path

    def heatmaps(self, shard: Shard) -> Maps:
        """Read the segmentations as run lengths, empty where the files have none.

        Raises
        ------
        InputError
            A file is unreadable or its run lengths are malformed, or two files have one image.
        """
        return outlines(self.path, shard)


class Radiologist(SegmentationMethod):
    """A human reader: what CheXlocalize calls the human benchmark.

    The reader's maps are segmentations, and the points named the most representative of each
    finding. A finding that the reader left out is an empty segmentation, and a miss.
    """

    method: ClassVar[str] = "radiologist"
    title: ClassVar[str] = "Radiologist"
    citation: ClassVar[str] = "Saporta et al., Nature Machine Intelligence 2022"
    human: ClassVar[bool] = True

    segmentations: Files
    """Segmentations of the reader, `hb_segmentations_test.json`, in the form that method
    `segmentations` reads."""
    points: Files | None = None
    """Points of the reader, `hb_salient_pt_test.json`, ``{image_id: {class: [[x, y], ...]}}`` in
    the masks' pixels. Without them a hit is decided by the segmentation's pixels."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of the segmentations and the points."""
        return self.segmentations + (self.points or ())

    def heatmaps(self, shard: Shard) -> Maps:
        """Read the segmentations as run lengths, and the points where there is a file of them.

        Raises
        ------
        InputError
            As `Segmentations.heatmaps`; or a point is not two numbers.
        """
        maps = outlines(self.segmentations, shard)
        if self.points is None:
            return maps
        named = _entries(self.points)
        points: Points = {}
        for image_id in shard.images.image_id:
            place, entry = named.get(image_id, ("", {}))
            found = _points(entry, place)
            for name in shard.classes:
                points[image_id, name] = found.get(name, np.zeros((0, 2)))
        return replace(maps, points=points)


def outlines(paths: Sequence[str], shard: Shard) -> Maps:
    """Read the segmentations of a shard's images and classes that some files have.

    Returns
    -------
    Run lengths that cover the radiograph; of 1 x 1 pixels and not explained where there are none.

    Raises
    ------
    InputError
        As `Segmentations.heatmaps`.
    """
    entries = _entries(paths)
    shape = len(shard.images), len(shard.classes)
    counts, size = np.full(shape, "", object), np.ones((*shape, 2), np.int64)
    explained = np.zeros(shape, bool)
    for row, image_id in enumerate(shard.images.image_id):
        place, entry = entries.get(image_id, ("", {}))
        for mask in read_run_lengths(entry, place):
            if mask["class"] not in shard.classes:
                continue
            at = row, shard.classes.index(mask["class"])
            try:
                run_lengths({**mask, "image_id": image_id})
            except InputError as error:
                raise InputError(f"{place}: {error}") from None
            counts[at], size[at] = mask["counts"], (mask["height"], mask["width"])
            explained[at] = True
    return Maps(RunLengths(counts, size), explained=explained, covers="radiograph")


def _entries(paths: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Return the entries of JSON files by image_id, each with file and image for an error's
    line.
    """
    entries: dict[str, tuple[str, Any]] = {}
    for path in paths:
        for image_id, entry in read_json(Path(path)).items():
            if image_id in entries:
                raise InputError(f"{path}: {image_id} is in another file too; list it once")
            entries[image_id] = f"{path}: {image_id}", entry
    return entries


def _points(entry: Any, place: str) -> dict[str, NDArray[np.float64]]:
    """Return the points (n, 2) of one image by class, under CheXpert's names."""
    try:
        found = {
            CHEXLOCALIZE_NAMES.get(name, name): np.asarray(points, float).reshape(len(points), 2)
            for name, points in entry.items()
        }
        if not all(np.isfinite(points).all() for points in found.values()):
            raise ValueError("a coordinate is not finite")
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{place}: not a list of points for each class ({error})") from None
    return found
