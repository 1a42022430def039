"""Sensitivity analysis: which regions the output depends on when all vary at once.

Sobol's indices and the Hilbert-Schmidt independence criterion (HSIC) both ask the network about
perturbed radiographs that do not depend on the class, so that it is asked once for all classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from shamsul import lazy
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.perturbation import Perturber, SuperpixelOptions, region_maps
from shamsul.explain.superpixels import Superpixels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class SensitivityAnalysis(SuperpixelOptions, Explainer):
    """The base of methods that vary all regions at once; subclasses write `draw` and `values`."""

    cost: ClassVar[Cost] = "sampling"
    signed: ClassVar[bool] = False

    output: Literal["logit", "probability"] = "logit"
    """Output of the network that is explained."""
    superpixels: Superpixels = "grid"
    """Algorithm of the regions: a `grid` of rectangles as in the paper, `slic`, or `quickshift`."""

    def draw(self, regions: int, seed: int) -> NDArray[np.float64]:
        """Draw how far each region is shown, from 0 to 1: (n, M)."""
        raise NotImplementedError

    def values(self, shown: NDArray[np.float64], outputs: NDArray[np.float64]) -> NDArray:
        """Return the regions' values (M, K), not negative, from outputs (n, K)."""
        raise NotImplementedError

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Make maps (N, C, H, W) in which each pixel has its region's value."""
        columns = classes.cpu().numpy()

        def values(perturber: Perturber, seed: int) -> NDArray[np.float64]:
            shown = self.draw(perturber.count, seed)
            outputs = asked(perturber, shown)[:, columns]
            if self.output == "probability":
                outputs = 1 / (1 + np.exp(-outputs))
            return self.values(shown, outputs)

        return region_maps(self, model, images, seeds, values)


def asked(perturber: Perturber, shown: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logits (n, K) where each region is blended with its fill, shown as far as (n, M)
    says.
    """
    model, image, fill = perturber.model, perturber.image, perturber.filled
    labels = torch.from_numpy(perturber.labels.astype(np.int64)).to(image.device)
    shares = torch.from_numpy(shown).to(image)
    parts = [
        model.predict(fill + part[:, labels][:, None] * (image - fill))
        for part in shares.split(model.tile)
    ]
    return torch.cat(parts).double().cpu().numpy()


class Sobol(SensitivityAnalysis):
    """Sobol attribution (Fel et al., NeurIPS 2021): the total index of each region.

    ``S_i = E[Var(y | all regions but i)] / Var(y)`` is the share of the output's variance that
    region i takes part in, alone or with others, when every region is blended with its fill to a
    uniform random degree. Jansen's estimator, ``mean (y(A) - y(A with B's i))^2 / (2 Var(y))``,
    from a scrambled Sobol sequence. Maps (N, C, H, W), not negative (arXiv 2111.04138).

    All classes share ``designs * (regions + 2)`` forward passes for each image.
    """

    method: ClassVar[str] = "sobol"
    title: ClassVar[str] = "Sobol attribution"
    citation: ClassVar[str] = "Fel et al., NeurIPS 2021"

    segments: Annotated[int, Field(ge=2)] = 64
    """Approximate number of regions."""
    designs: Annotated[int, Field(ge=2)] = 32
    """Number of points of the sequence, a power of two."""

    @field_validator("designs")
    @classmethod
    def _power_of_two(cls, designs: int) -> int:
        if designs & (designs - 1):
            raise ValueError(f"must be a power of two, such as 32 or 64, not {designs}")
        return designs

    def draw(self, regions: int, seed: int) -> NDArray[np.float64]:
        """Return A, B, and A with each column of B in turn: (designs (M + 2), M)."""
        from scipy.stats import qmc  # Here, because it is slow to import.

        points = qmc.Sobol(2 * regions, rng=seed).random(self.designs)
        first, second = points[:, :regions], points[:, regions:]
        mixed = np.repeat(first[None], regions, 0)
        column = np.arange(regions)
        mixed[column, :, column] = second.T
        return np.concatenate([first, second, mixed.reshape(-1, regions)])

    def values(self, shown: NDArray[np.float64], outputs: NDArray[np.float64]) -> NDArray:
        """Return the total indices by Jansen's estimator, (M, K); zero where nothing varies."""
        count, classes = self.designs, outputs.shape[1]
        plain = outputs[:count]
        variance = outputs[: 2 * count].var(0, ddof=1)
        mixed = outputs[2 * count :].reshape(-1, count, classes)
        # Rounding of a constant output is no variance.
        floor = (1e-6 * np.abs(outputs).max(0)) ** 2
        halves = ((plain - mixed) ** 2).mean(1) / 2
        return np.where(variance > floor, halves / np.where(variance > floor, variance, 1), 0)


class Hsic(SensitivityAnalysis):
    """HSIC attribution (Novello et al., NeurIPS 2022): the dependence of the output on a region.

    ``HSIC_i = tr(K_i H L H) / (n - 1)^2`` with ``K_i`` the kernel of whether region i is shown, 1
    where it is alike and 0 where not, ``L`` a Gaussian kernel of the outputs, whose width is the
    median of their distances, and ``H`` the centring matrix. Every region is shown in half of the
    perturbed images, drawn at random (a Latin hypercube of binary values). Maps (N, C, H, W), not
    negative (arXiv 2206.06219).

    All classes share `samples` forward passes for each image.
    """

    method: ClassVar[str] = "hsic"
    title: ClassVar[str] = "HSIC attribution"
    citation: ClassVar[str] = "Novello et al., NeurIPS 2022"

    segments: Annotated[int, Field(ge=2)] = 49
    """Approximate number of regions."""
    samples: Annotated[int, Field(ge=4, multiple_of=2)] = 1500
    """Number of perturbed images per radiograph, even."""

    def draw(self, regions: int, seed: int) -> NDArray[np.float64]:
        """Show each region in one half of the images, (samples, M)."""
        half = np.repeat([0.0, 1.0], self.samples // 2)
        columns = np.repeat(half[:, None], regions, 1)
        return np.random.default_rng(seed).permuted(columns, axis=0)

    def values(self, shown: NDArray[np.float64], outputs: NDArray[np.float64]) -> NDArray:
        """Return the criterion for each region and class, (M, K)."""
        return np.stack([hsic(shown, column) for column in outputs.T], 1)


def hsic(shown: NDArray[np.float64], outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return HSIC of binary inputs (n, M) with an output (n,): (M,), not negative.

    The centred kernel of a binary input x is ``2 x x'`` centred, since ``1[x = x'] = 1 - x - x' +
    2 x x'``.
    """
    distance = np.abs(outputs[:, None] - outputs)
    width = np.median(distance[np.triu_indices(len(outputs), 1)])
    if width <= 1e-6 * np.abs(outputs).max():
        return np.zeros(shown.shape[1])
    kernel = np.exp(-((distance / width) ** 2) / 2)
    kernel -= kernel.mean(0)
    kernel -= kernel.mean(1, keepdims=True)
    found = 2 * np.einsum("ai,ai->i", shown, kernel @ shown) / (len(outputs) - 1) ** 2
    return np.maximum(found, 0)
