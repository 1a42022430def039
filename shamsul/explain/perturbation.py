"""Perturbed radiographs, with superpixels hidden in many combinations, and the network's answers.

LIME, Kernel SHAP, occlusion and RISE all ask the network about versions of a radiograph in which
parts are hidden. This module has what they share: the parts, their fill, and the making of the
versions on the model's device, one batch at a time. All of it happens in the space of the model's
input: an image is normalised first, and its parts are replaced after.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from shamsul import lazy
from shamsul.explain.superpixels import Labels, Superpixels, grid, quickshift, slic
from shamsul.model.inside.canonise import folded

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

BLUR = 0.1
"""Standard deviation of the blur of `fill: blur`, as a fraction of height and width."""


class FillOptions(BaseModel):
    """The options of what stands where something is hidden."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    fill: Literal["mean", "blur", "noise", "black", "constant"] = "mean"
    """Fill of hidden regions: the mean of what is hidden, the blurred radiograph, noise of the
    radiograph's own mean and deviation, black, or the constant `value`."""
    value: float = 0.0
    """Value of `fill: constant`, in the units of the model's input: 0 is ImageNet's mean colour."""


class SuperpixelOptions(FillOptions):
    """The options of a radiograph's superpixels and of their fill."""

    superpixels: Superpixels = "slic"
    """Algorithm of the superpixels: `slic`, `quickshift` as the lime package makes them, or a
    `grid` of rectangles."""
    segments: Annotated[int, Field(ge=2)] = 50
    """Approximate number of superpixels; quickshift finds its own number."""
    compactness: PositiveFloat = 0.1
    """Weight in SLIC of nearness against likeness of grey (0 to 1)."""
    sigma: Annotated[float, Field(ge=0)] = 1.0
    """Standard deviation in pixels of the smoothing before SLIC."""
    scale: Literal["model", "unit"] = "model"
    """Scale of the perturbed images. `unit` hands them to the model in [0, 1] and not normalised: a
    fault of SHAMSUL's released script for SHAP, kept for comparison with it."""

    @model_validator(mode="after")
    def _black_is_of_the_models_scale(self) -> Self:
        if self.scale == "unit" and self.fill == "black":
            raise ValueError("fill: black is of scale `model`; in [0, 1] it is `constant` 0")
        return self

    def too_few(self, samples: int, times: str, needed: int) -> str:
        """Return the message on too few samples for the segments; it names a key that is set.

        Parameters
        ----------
        samples : number of samples.
        times : number of samples that each segment needs, in words: `twice`.
        needed : least number of samples.
        """
        if "samples" in self.model_fields_set or "segments" not in self.model_fields_set:
            return f"samples: must be at least {times} the segments ({needed}), not {samples}"
        return (
            f"segments: {self.segments} need at least {times} as many samples ({needed}), and by "
            f"default there are {samples}; set `samples` too"
        )


@dataclass(frozen=True)
class Perturbed:
    """The network's outputs for one radiograph's perturbed versions.

    Attributes
    ----------
    labels : superpixels (H, W), M of them.
    subsets : (n, M) bool, True where a superpixel is shown; the first hides all, the second none.
    logits : (n, K) float64, for all K classes of the model.
    """

    labels: Labels
    subsets: NDArray[np.bool_]
    logits: NDArray[np.float64]

    def outputs(self, kind: Literal["logit", "probability"]) -> NDArray[np.float64]:
        """Return logits or probabilities (n, K)."""
        return self.logits if kind == "logit" else 1 / (1 + np.exp(-self.logits))


def quick(model: Classifier) -> Classifier:
    """Return a faster copy of the model for forward passes without gradients; its logits are equal
    but for rounding.

    The copy is kept until one of another model, or of the same with other weights, is asked for.
    """
    tensors = model.state_dict().values()
    return _folded(model, tuple((t.data_ptr(), t._version) for t in tensors))


@functools.lru_cache(maxsize=1)
def _folded(model: Classifier, weights: tuple[tuple[int, int], ...]) -> Classifier:
    return folded(model)


class Perturber:
    """One radiograph, ready to be shown with any of its superpixels hidden.

    Parameters
    ----------
    settings : options of superpixels and fill.
    model : classifier to ask.
    image : (3, H, W) float32, normalised as the model sees it.
    seed : seed of noise, and of quickshift.
    """

    def __init__(
        self, settings: SuperpixelOptions, model: Classifier, image: Tensor, seed: int
    ) -> None:
        self.model = quick(model)
        self.labels = _superpixels(settings, model, image, seed)
        if settings.scale == "unit":
            image = to_grey(model, image).expand_as(image)
        self.image = image
        self.filled = filled(settings, model, image, self.labels, seed)
        self._where = torch.from_numpy(self.labels).to(image.device)

    @property
    def count(self) -> int:
        """Return the number M of superpixels."""
        return int(self.labels.max()) + 1

    def logits(self, subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the network's logits (n, K) for each subset (n, M) of superpixels that are
        shown.
        """
        shown = torch.from_numpy(subsets).to(self.image.device)
        parts = [
            self.model.predict(torch.where(part[:, None, self._where], self.image, self.filled))
            for part in shown.split(self.model.tile)
        ]
        return torch.cat(parts).double().cpu().numpy()


def superpixels_of(
    settings: SuperpixelOptions, model: Classifier, images: NDArray[np.uint8], seeds: Sequence[int]
) -> NDArray[np.uint16]:
    """Return the superpixels (N, H, W) of radiographs (N, H, W), as `Perturber` makes them."""
    found = [
        _superpixels(settings, model, model.normalise(image[None])[0], seed)
        for image, seed in zip(images, seeds, strict=True)
    ]
    return np.array(found, np.uint16)


def _superpixels(
    settings: SuperpixelOptions, model: Classifier, image: Tensor, seed: int
) -> Labels:
    grey = to_grey(model, image).cpu().numpy()
    match settings.superpixels:
        case "slic":
            return slic(grey, settings.segments, settings.compactness, settings.sigma)
        case "quickshift":
            return quickshift(grey, seed)
        case "grid":
            return grid(grey.shape[0], grey.shape[1], settings.segments)


def region_maps(
    options: SuperpixelOptions,
    model: Classifier,
    images: Tensor,
    seeds: list[int],
    values: Callable[[Perturber, int], NDArray[np.float64]],
) -> Tensor:
    """Make maps (N, C, H, W) in which each pixel has its region's value.

    Parameters
    ----------
    options : regions, and what hides them.
    model : classifier that is asked.
    images : (N, K, H, W), normalised.
    seeds : N integers, one per image.
    values : function that returns the values (M, C) of an image's M regions, given what perturbs
        it and its seed.
    """
    maps = []
    for image, seed in zip(images, seeds, strict=True):
        perturber = Perturber(options, model, image, seed)
        found = values(perturber, seed)
        maps.append(torch.from_numpy(found[perturber.labels]).permute(2, 0, 1))
    return torch.stack(maps).to(images)


def to_grey(model: Classifier, image: Tensor) -> Tensor:
    """Return the grey values (H, W) in [0, 1] of a normalised image (3, H, W)."""
    black, white = model.normalise(_levels(image, (0, 255)))
    return ((image - black) / (white - black)).mean(0)


def filled(
    settings: FillOptions, model: Classifier, image: Tensor, labels: Labels, seed: int
) -> Tensor:
    """Return the image with everything hidden: (3, H, W).

    Parameters
    ----------
    image : (3, H, W) in the scale in which it is perturbed.
    labels : (H, W) regions, each of which `fill: mean` gives its own mean.
    """
    match settings.fill:
        case "black":
            return model.normalise(_levels(image, (0,)))[0]
        case "constant":
            return torch.full_like(image, settings.value)
        case "blur":
            from scipy.ndimage import gaussian_filter

            down, across = (BLUR * side for side in image.shape[-2:])
            blurred = gaussian_filter(image.cpu().numpy(), (0, down, across))
            return torch.from_numpy(blurred).to(image)
        case "noise":
            generator = torch.Generator().manual_seed(seed)
            # Grey noise: the same draw in each channel, as in any radiograph.
            noise = torch.randn(image.shape[-2:], generator=generator).to(image)
            mean, deviation = image.mean((1, 2), True), image.std((1, 2), keepdim=True)
            return mean + deviation * noise
        case "mean":
            planes = image.cpu().double().flatten(1).numpy()
            sums = np.stack([np.bincount(labels.ravel(), plane) for plane in planes])
            means = sums / np.bincount(labels.ravel())
            return torch.from_numpy(means[:, labels]).to(image)


def _levels(image: Tensor, levels: tuple[int, ...]) -> Tensor:
    """Return radiographs of one grey level each, uint8 (n, H, W)."""
    greys = torch.tensor(levels, dtype=torch.uint8, device=image.device)
    return greys[:, None, None].expand(-1, *image.shape[1:])
