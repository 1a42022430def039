"""Expected gradients: integrated gradients averaged over radiographs, or over random fields."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt, PrivateAttr

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.explain.base import TrainInput
from shamsul.explain.gradient import GradientSum
from shamsul.explain.shard import Shard, image_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

CELLS = (1, 2, 4, 8)
"""Numbers of cells along a side of the references of `RandomFieldGradients`; one cell is an even
grey."""


class ReferenceGradients(GradientSum):
    """The base of integrated gradients averaged over many references; subclasses write
    `references`.
    """

    signed: ClassVar[bool] = True

    samples: PositiveInt = 50
    """Number of reference images; one gradient is taken between each of them and the image."""

    def references(self, model: Classifier, image: Tensor) -> Iterator[Tensor]:
        """Yield `samples` reference images, (3, H, W), normalised, the same for every image."""
        raise NotImplementedError

    def points(
        self, model: Classifier, image: Tensor, seed: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one point on the straight line from each reference to the image."""
        generator = torch.Generator().manual_seed(seed)
        intervals = torch.randperm(self.samples, generator=generator)
        places = (intervals + torch.rand(self.samples, generator=generator)) / self.samples
        for place, reference in zip(places.tolist(), self.references(model, image), strict=True):
            difference = image - reference
            yield reference + place * difference, difference / self.samples

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Return contributions of pixels to the logit's difference from the references':
        (N, C, H, W).
        """
        return self.gradient_sum(model, images, classes, seeds).sum(2)

    def expected_sum(self, model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
        """Return ``f_c(x) - mean_r f_c(r)``, (N, C)."""
        with torch.no_grad():
            logits = [model(r[None]) for r in self.references(model, images[0])]
            return (model(images) - torch.cat(logits).mean(0))[:, classes]


class ExpectedGradients(ReferenceGradients):
    """Expected gradients: integrated gradients averaged over radiographs of the train split.

    ``map_c = sum over channels of E_(r, a) [(x - r) d f_c / d x (r + a (x - r))]`` (Erion et al.,
    Nature Machine Intelligence 2021, arXiv 1906.10670). Maps (N, C, H, W), signed.

    With many references no grey is invisible, as a single baseline's is. References `r` are drawn
    once, by the seed, from one shard of the train split, and are the same for all images. Their
    labels are not looked at. Where the shard has fewer than `samples`, each is used about equally
    often. Positions `a` between reference and image are uniform on [0, 1], one in each of `samples`
    equal intervals, drawn for each image. A map sums in expectation to ``f_c(x) - mean_r f_c(r)``.
    """

    method: ClassVar[str] = "expected_gradients"
    title: ClassVar[str] = "Expected gradients"
    citation: ClassVar[str] = "Erion et al., Nature Machine Intelligence 2021"

    _drawn: NDArray[np.uint8] | None = PrivateAttr(None)

    @property
    def train_inputs(self) -> tuple[TrainInput, ...]:
        """Return the images: the references are among them."""
        return ("images",)

    def ready(self, shard: Shard) -> ExpectedGradients:
        """Return the method with its references drawn.

        Raises
        ------
        InputError
            There is no radiograph of the train split to draw.
        """
        if shard.training is None or not len(shard.training.images):
            raise InputError(
                f"{self.method}: there is no radiograph of the train split to compare with; add a "
                f"source of `split: train`, or use {RandomFieldGradients.method}"
            )
        greys = shard.training.images.image
        seed = image_seed(shard.seed if self.seed is None else self.seed, "references")
        order = np.random.default_rng(seed).permutation(len(greys))
        other = self.model_copy()
        other._drawn = greys[np.resize(order, self.samples)]
        return other

    def references(self, model: Classifier, image: Tensor) -> Iterator[Tensor]:
        """Yield the radiographs that `ready` drew, (3, H, W)."""
        assert self._drawn is not None  # `ready` was called.
        for grey in self._drawn:
            yield model.normalise(grey[None])[0]


class RandomFieldGradients(ReferenceGradients):
    """Integrated gradients averaged over random grey fields: expected gradients without images.

    The mathematics is that of `expected_gradients`, but the references are synthetic. So no other
    radiograph takes part, and it is not the method of Erion et al. (Nature Machine Intelligence
    2021, arXiv 1906.10670): a network sees findings in such fields, and maps localise worse.
    Maps (N, C, H, W), signed.

    References are the same for all images and runs: in turn an even grey and smooth fields of
    2 x 2, 4 x 4 and 8 x 8 random greys, all uniform between black and white.
    """

    method: ClassVar[str] = "random_field_gradients"
    title: ClassVar[str] = "Integrated gradients (random fields)"
    citation: ClassVar[str] = "after Erion et al., Nature Machine Intelligence 2021"

    def references(self, model: Classifier, image: Tensor) -> Iterator[Tensor]:
        """Yield `samples` grey fields, (3, H, W), between black and white."""
        black, white = model.normalise(torch.tensor([[[0]], [[255]]], dtype=torch.uint8))
        generator = torch.Generator().manual_seed(0)
        for cells in itertools.islice(itertools.cycle(CELLS), self.samples):
            grey = torch.rand(1, 1, cells, cells, generator=generator).to(image)
            field = torch.nn.functional.interpolate(grey, image.shape[1:], mode="bilinear")[0]
            yield black + field * (white - black)
