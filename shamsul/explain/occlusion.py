"""Occlusion and RISE: changes of the output when a window, or a random pattern, is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt, model_validator

from shamsul import lazy
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.perturbation import FillOptions, filled, quick

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class Masking(FillOptions, Explainer):
    """The base of methods that hide parts of an image through masks; subclasses write `masks` and
    `combine`.
    """

    cost: ClassVar[Cost] = "sampling"
    signed: ClassVar[bool] = True

    output: Literal["logit", "probability"] = "logit"
    """Output of the network that is explained."""

    def masks(self, image: Tensor, step: int, seed: int) -> Iterator[Tensor]:
        """Yield masks of how far each pixel is shown: (up to `step`, H, W) in [0, 1] at a time."""
        raise NotImplementedError

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Make maps (N, C, H, W) of the images' resolution. Memory does not grow with the number of
        masks.
        """
        return torch.stack(
            [
                self._explain(model, image, seed)[classes]
                for image, seed in zip(images, seeds, strict=True)
            ]
        )

    def _explain(self, model: Classifier, image: Tensor, seed: int) -> Tensor:
        """Make the map of every class of the model: (K, H, W)."""
        height, width = image.shape[1:]
        # Masks have no regions to take the mean of, so `fill: mean` is the whole radiograph's.
        whole = np.zeros((height, width), np.intp)
        hidden = filled(self, model, image, whole, seed)
        model = quick(model)
        plain = self._outputs(model.predict(image[None]))[0]
        weighted = torch.zeros(len(plain), height, width, dtype=torch.float64, device=image.device)
        coverage = torch.zeros(height, width, dtype=torch.float64, device=image.device)
        total, count = torch.zeros_like(plain), 0
        for mask in self.masks(image, model.tile, seed):
            outputs = self._outputs(model.predict(hidden + mask[:, None] * (image - hidden)))
            weight = self.weight(mask).double()
            weighted += torch.einsum("nk,nhw->khw", outputs, weight)
            coverage += weight.sum(0)
            total, count = total + outputs.sum(0), count + len(mask)
        mean = weighted / coverage.clamp(min=1e-12)
        return self.combine(mean, plain[:, None, None], (total / count)[:, None, None]).float()

    def weight(self, mask: Tensor) -> Tensor:
        """Return the weight of each pixel in an output's mean: (n, H, W)."""
        raise NotImplementedError

    def combine(self, mean: Tensor, plain: Tensor, overall: Tensor) -> Tensor:
        """Combine the outputs' means into the map (K, H, W).

        Parameters
        ----------
        mean : mean output for each pixel, (K, H, W), weighted by `weight`.
        plain : output for the whole radiograph, (K, 1, 1).
        overall : mean output over all masks, (K, 1, 1).
        """
        raise NotImplementedError

    def _outputs(self, logits: Tensor) -> Tensor:
        return (logits if self.output == "logit" else logits.sigmoid()).double()


class Occlusion(Masking):
    """Occlusion: the fall of the output when a window is hidden.

    ``map_i = y(x) - mean over windows that cover i of y(x with the window hidden)`` (Zeiler and
    Fergus, ECCV 2014, arXiv 1311.2901). Windows that would reach beyond the image are cut at its
    border. Maps (N, C, H, W), signed.

    Examples
    --------
    >>> import torch
    >>> from torchvision.models import resnet18
    >>> from shamsul.model.classifier import Classifier
    >>> model = Classifier.of(resnet18(num_classes=3), ("Edema", "Mass", "Nodule"), "resnet18", 64)
    >>> images = model.normalise(torch.full((1, 64, 64), 128, dtype=torch.uint8))
    >>> method = Occlusion(window=32, stride=32, fill="black")
    >>> method.explain(model, images, torch.tensor([0, 2]), seeds=[0]).shape
    torch.Size([1, 2, 64, 64])
    """

    method: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "Occlusion"
    citation: ClassVar[str] = "Zeiler and Fergus, ECCV 2014"

    window: PositiveInt = 32
    """Side in pixels of the square that is hidden."""
    stride: PositiveInt = 16
    """Pixels from one window to the next; at most the window."""

    @model_validator(mode="after")
    def _windows_cover(self) -> Occlusion:
        if self.stride > self.window:
            reason = "or pixels between windows have no value"
            if "stride" in self.model_fields_set:
                raise ValueError(
                    f"stride: must be at most the window ({self.window}), {reason}, not "
                    f"{self.stride}"
                )
            raise ValueError(
                f"window: must be at least the stride, by default {self.stride}, {reason}, not "
                f"{self.window}; set `stride` too"
            )
        return self

    def masks(self, image: Tensor, step: int, seed: int) -> Iterator[Tensor]:
        """Yield masks that hide one window each."""
        height, width = image.shape[1:]
        places = [(top, left) for top in self._starts(height) for left in self._starts(width)]
        for start in range(0, len(places), step):
            some = places[start : start + step]
            masks = image.new_ones(len(some), height, width)
            for mask, (top, left) in zip(masks, some, strict=True):
                mask[top : top + self.window, left : left + self.window] = 0
            yield masks

    def _starts(self, length: int) -> range:
        last = -(-max(length - self.window, 0) // self.stride)
        return range(0, last * self.stride + 1, self.stride)

    def weight(self, mask: Tensor) -> Tensor:
        """Return what is hidden, as the weight."""
        return 1 - mask

    def combine(self, mean: Tensor, plain: Tensor, overall: Tensor) -> Tensor:
        """Return the fall of the output, ``plain - mean``."""
        return plain - mean


class Rise(Masking):
    """RISE: the average rise of the output where a pixel is shown.

    Random grids of cells, each shown with probability p, are enlarged to smooth masks with a random
    shift. The map is ``sum_n M_n v_n / sum_n M_n - mean_n v_n``. This is Eq. 5 of Petsiuk et al.
    (BMVC 2018, arXiv 1806.07421) except for a constant, and with each pixel's own coverage in place
    of its expectation, which removes the noise of the draw. Maps (N, C, H, W), signed.
    """

    method: ClassVar[str] = "rise"
    title: ClassVar[str] = "RISE"
    citation: ClassVar[str] = "Petsiuk et al., BMVC 2018"

    samples: PositiveInt = 2000
    """Number of random masks per radiograph."""
    cells: Annotated[int, Field(ge=2)] = 7
    """Cells along a side of the random grids."""
    shown: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability that a cell is shown."""

    def masks(self, image: Tensor, step: int, seed: int) -> Iterator[Tensor]:
        """Yield enlarged random grids, each shifted by up to a cell."""
        height, width = image.shape[1:]
        generator = np.random.default_rng(seed)
        cell_y, cell_x = -(-height // self.cells), -(-width // self.cells)
        enlarged = (self.cells + 1) * cell_y, (self.cells + 1) * cell_x
        # Drawn all at once, so that they do not depend on how many masks are made at a time.
        shifts = generator.integers((cell_y, cell_x), size=(self.samples, 2)).tolist()
        for start in range(0, self.samples, step):
            count = min(step, self.samples - start)
            grids = generator.random((count, 1, self.cells + 1, self.cells + 1)) < self.shown
            masks = torch.nn.functional.interpolate(
                torch.from_numpy(grids).to(image), size=enlarged, mode="bilinear"
            )[:, 0]
            yield torch.stack(
                [
                    mask[top : top + height, left : left + width]
                    for mask, (top, left) in zip(masks, shifts[start:], strict=False)
                ]
            )

    def weight(self, mask: Tensor) -> Tensor:
        """Return what is shown, as the weight."""
        return mask

    def combine(self, mean: Tensor, plain: Tensor, overall: Tensor) -> Tensor:
        """Return the rise of the output, ``mean - overall``."""
        return mean - overall
