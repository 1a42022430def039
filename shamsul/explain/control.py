"""Controls: maps that know nothing of the model, scored like any method.

A method's score means little before the scores of position, edges and chance alone are known: a
heart is in the middle of every radiograph. The control that shares a method's mathematics but not
the model's knowledge is `network: untrained`, an option of every method that explains the model.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from shamsul.errors import InputError
from shamsul.explain.base import Cost, Method, TrainInput
from shamsul.explain.shard import Maps, Shard, Supervision, Training, image_seed
from shamsul.storage.heatmaps import RunLengths

if TYPE_CHECKING:
    from shamsul.geometry import Frame


FEWEST_HEALTHY = 2
"""Fewest images of a mean healthy radiograph; of one there is no standard deviation."""


class Control(Method):
    """The base of the controls; subclasses write `maps`."""

    citation: ClassVar[str] = "control"
    cost: ClassVar[Cost] = "no_model"
    signed: ClassVar[bool] = False

    def heatmaps(self, shard: Shard) -> Maps:
        """Make the heatmaps with `maps`. Controls promise nothing, so they have no quality."""
        if shard.empty():
            return Maps(np.zeros((0, len(shard.classes), 1, 1), np.float32))
        return Maps(np.asarray(self.maps(shard), np.float32))

    def maps(self, shard: Shard) -> NDArray[np.floating]:
        """Make maps (N, C, h, w) of values that are not negative."""
        raise NotImplementedError


class Random(Control):
    """Uniform noise in [0, 1), a new draw for each image and class."""

    method: ClassVar[str] = "random"
    title: ClassVar[str] = "Random"

    cells: PositiveInt = 7
    """Cells along a side of the map. Grad-CAM has 7 on a DenseNet at 224 pixels."""

    def maps(self, shard: Shard) -> NDArray[np.floating]:
        """Draw uniform noise (N, C, cells, cells) in [0, 1)."""
        # The seed is of the class's name, so that its place among the classes does not matter.
        return np.array(
            [
                [
                    np.random.default_rng(image_seed(seed, name)).random(
                        (self.cells, self.cells), np.float32
                    )
                    for name in shard.classes
                ]
                for seed in shard.seeds()
            ]
        )


class Gaussian(Control):
    """A Gaussian in the middle of the image, the same for every image and class."""

    method: ClassVar[str] = "gaussian"
    title: ClassVar[str] = "Centred Gaussian"

    width: Annotated[float, Field(gt=0)] = 0.25
    """Standard deviation of the Gaussian, as a fraction of the image's height and width."""
    cells: PositiveInt = 56
    """Cells along a side of the map."""

    def maps(self, shard: Shard) -> NDArray[np.floating]:
        """Make one map (cells x cells) for all images and classes; its maximum is about 1."""
        at = (np.arange(self.cells) + 0.5) / self.cells - 0.5
        bell = np.exp(-((at / self.width) ** 2) / 2)
        shape = (len(shard.images), len(shard.classes), self.cells, self.cells)
        return np.broadcast_to(np.outer(bell, bell), shape)


class Edges(Control):
    """The strength of edges in the radiograph (Sobel), the same for every class."""

    method: ClassVar[str] = "edges"
    title: ClassVar[str] = "Edge detector"

    sigma: Annotated[float, Field(ge=0)] = 1.0
    """Standard deviation in pixels of the smoothing before edges are computed."""

    def maps(self, shard: Shard) -> NDArray[np.floating]:
        """Make maps of edge strength (N, C, H, W) at the images' resolution."""
        from skimage.filters import gaussian, sobel  # Here, because it is slow to import.

        edges = [sobel(gaussian(image, self.sigma)) for image in shard.images.image]
        return np.repeat(np.array(edges)[:, None], len(shard.classes), axis=1)


class Deviation(Control):
    """The distance of the radiograph from the mean healthy one of the train split, pixel by pixel.

    ``|image - mean| / sd`` of the images labelled healthy. No classifier has part in it, and the
    map is the same for every class: it knows that something is unusual, and not what.
    """

    method: ClassVar[str] = "deviation"
    title: ClassVar[str] = "Deviation from the mean healthy radiograph"

    sigma: Annotated[float, Field(ge=0)] = 1.0
    """Standard deviation in pixels of the smoothing before images are compared."""
    healthy: str = "No Finding"
    """Class whose positive label makes an image of the train split healthy."""

    @property
    def train_inputs(self) -> tuple[TrainInput, ...]:
        """Return images and labels: the map is made of images labelled healthy."""
        return ("images", "labels")

    def maps(self, shard: Shard) -> NDArray[np.floating]:
        """Make maps of deviation (N, C, H, W) in standard deviations.

        Raises
        ------
        InputError
            The run has no class `healthy`, or too few images of train are labelled so.
        """
        mean, deviation = self.moments(shard.training)
        maps = [np.abs(self._smooth(image) - mean) / deviation for image in shard.images.image]
        return np.repeat(np.array(maps)[:, None], len(shard.classes), axis=1)

    def moments(self, training: Training | None) -> tuple[NDArray[np.floating], ...]:
        """Return mean and standard deviation (H, W) of the healthy images' grey values, 0-255.

        The standard deviation is at least one grey level.
        """
        assert training is not None
        if self.healthy not in training.labels:
            raise InputError(
                f"deviation: {self.healthy!r} is not among the run's classes; name the class of "
                "healthy images as `healthy`, or leave the method out"
            )
        rows = np.flatnonzero(training.labels[self.healthy] == 1)
        if len(rows) < FEWEST_HEALTHY:
            raise InputError(
                f"deviation: {len(rows)} images of {training.image_file} are labelled "
                f"{self.healthy!r}, and {FEWEST_HEALTHY} are needed; lower data.shards.train, or "
                "leave the method out"
            )
        # Sums, since the images of a large shard would not fit as floating-point numbers.
        total, squares = np.zeros((2, *training.images.image.shape[1:]))
        for row in rows:
            image = self._smooth(training.images.image[row])
            total += image
            squares += image**2
        mean = total / len(rows)
        return mean, np.sqrt(np.maximum(squares / len(rows) - mean**2, 1))

    def _smooth(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        from scipy.ndimage import gaussian_filter  # Here, because it is slow to import.

        smooth: NDArray[np.float64] = gaussian_filter(image.astype(np.float64), self.sigma)
        return smooth


class Blurred(Method):
    """Another method's heatmaps, blurred.

    A method whose blurred maps score better gains from smoothness alone, which some metrics reward:
    imputation in ROAD restores pixels hidden in specks and not those hidden in one piece (Song et
    al., 2023, arXiv 2304.13836). The blurred random map is `random`, whose few cells are
    interpolated. Maps (N, C, h, w), signed.
    """

    method: ClassVar[str] = "blurred"
    title: ClassVar[str] = "Blurred"
    citation: ClassVar[str] = "control"
    cost: ClassVar[Cost] = "no_model"
    signed: ClassVar[bool] = True

    of: str
    """Name of the method whose heatmaps are blurred."""
    sigma: Annotated[float, Field(gt=0)] = 0.05
    """Standard deviation of the Gaussian, as a fraction of the heatmap's height and width."""

    @property
    def members(self) -> tuple[str, ...]:
        """Return the name of the method whose heatmaps are blurred."""
        return (self.of,)

    def heatmaps(self, shard: Shard) -> Maps:
        """Blur the other method's heatmaps, signed, at their own resolution."""
        from scipy.ndimage import gaussian_filter  # Here, because it is slow to import.

        member = shard.members[self.of]
        if isinstance(member.heatmap, RunLengths):
            raise InputError(f"blurred: {self.of} makes segmentations; choose one of heatmaps")
        columns = [member.classes.index(name) for name in shard.classes]
        maps = member.heatmap[:, columns]
        height, width = maps.shape[2:]
        return Maps(
            gaussian_filter(maps, (0, 0, self.sigma * height, self.sigma * width)),
            explained=member.explained[:, columns],
            covers=member.covers,
        )


class MeanMask(Control):
    """The mean of the experts' masks of the tune split, for each class and view.

    The map knows where a finding usually is and has not seen the radiograph. A patient's own masks
    are left out of the mean that the patient is scored with. Where no other patient has a mask of
    that class and view, the mean is over all views; where no view has one, there is no map.
    """

    method: ClassVar[str] = "mean_mask"
    title: ClassVar[str] = "Mean mask"
    abstains: ClassVar[bool] = True

    @property
    def supervised(self) -> bool:
        """Return True: the map is made of masks."""
        return True

    def heatmaps(self, shard: Shard) -> Maps:
        """Make the maps, and tell those of which no mask is known apart: they are all zero."""
        made = super().heatmaps(shard)
        assert isinstance(made.heatmap, np.ndarray)
        return replace(made, explained=np.asarray(made.heatmap.any(axis=(2, 3))))

    def maps(self, shard: Shard) -> NDArray[np.floating]:
        """Return the share of the masks that cover each pixel of the model's frame: (N, C, H, W) in
        [0, 1].
        """
        assert shard.supervision is not None
        rows = shard.supervision.manifest.set_index("image_id")
        patient_of, view_of = rows["patient_id"].to_dict(), rows["view"].to_dict()
        masks = masks_in_frame(shard.supervision)
        on_tune = {patient_of[image_id] for image_id, _ in masks}

        @functools.cache
        def mean(name: str, view: str, without: str | None) -> NDArray[np.floating]:
            others = {
                image_id: mask
                for (image_id, of), mask in masks.items()
                if of == name and patient_of[image_id] != without
            }
            same = [mask for image_id, mask in others.items() if view_of[image_id] == view]
            used = same or list(others.values())
            return np.mean(used, axis=0) if used else np.zeros(shard.size)

        maps = []
        for image_id in shard.images.image_id:
            patient = patient_of[image_id] if patient_of[image_id] in on_tune else None
            maps.append([mean(name, view_of[image_id], patient) for name in shard.classes])
        return np.array(maps)


def masks_in_frame(supervision: Supervision) -> dict[tuple[str, str], NDArray[np.float32]]:
    """Return the tune split's masks in the model's frame, (H, W) in [0, 1], by image_id and class.

    Outlines only, where the class has one in any image; else boxes.
    """
    from shamsul.data.masks import by_image, decode
    from shamsul.geometry import to_model

    masks = supervision.masks
    outlined = masks.loc[masks["kind"] == "segmentation", "class"].unique()
    kind = np.where(masks["class"].isin(outlined), "segmentation", "box")
    found: dict[tuple[str, str], NDArray[np.float32]] = {}
    chosen = masks[masks["kind"] == kind].to_dict("records")
    for (image_id, name, _), row in by_image(chosen).items():
        frame: Frame = supervision.frames[image_id].at(row["height"], row["width"])
        mask = to_model(decode(row).astype(np.uint8) * 255, frame)
        found[image_id, name] = mask.astype(np.float32) / np.float32(255)
    return found
