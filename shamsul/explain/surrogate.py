"""Surrogates: methods that tell which superpixels raise a class's output, and which lower it.

A radiograph is shown to the network with random subsets of its superpixels hidden. From the outputs
each method estimates one value per superpixel: LIME and Kernel SHAP, RISE and occlusion on
superpixels. Subsets and weights do not depend on the class, so the network is asked once for all
classes. With `shared: true` it is asked once for all these methods (see `shared_perturbations.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt, model_validator

from shamsul import lazy
from shamsul.explain import ridge
from shamsul.explain.base import Cost, Explainer
from shamsul.explain.peers import surrogate_estimators
from shamsul.explain.perturbation import (
    Perturbed,
    Perturber,
    SuperpixelOptions,
    region_maps,
    superpixels_of,
)
from shamsul.explain.shard import Maps, Shard
from shamsul.explain.shared_perturbations import chance, read

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class Surrogate(SuperpixelOptions, Explainer):
    """The base of methods on superpixels; subclasses write `draw` and `values`."""

    cost: ClassVar[Cost] = "sampling"
    signed: ClassVar[bool] = True

    output: Literal["logit", "probability"] = "logit"
    """Output of the network that is explained."""
    shared: bool = False
    """Use of the run's shared perturbed predictions, whose superpixels, fill and number of samples
    are those of `explain.perturbations`."""

    @model_validator(mode="after")
    def _shared_or_own(self) -> Surrogate:
        own = [
            name
            for name, declared in type(self).model_fields.items()
            if (name == "samples" or name in SuperpixelOptions.model_fields)
            and getattr(self, name) != declared.default
        ]
        if self.shared and own:
            raise ValueError(f"shared: set {', '.join(own)} under explain.perturbations instead")
        if self.shared and self.network == "untrained":
            raise ValueError("shared: is of the trained network; leave out `shared` or `network`")
        return self

    @property
    def uses_shared(self) -> bool:
        """Return `shared`."""
        return self.shared

    def draw(self, superpixels: int, seed: int) -> NDArray[np.bool_]:
        """Draw subsets (n, M) to ask the network about; True where a superpixel is shown."""
        raise NotImplementedError

    def values(self, perturbed: Perturbed, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Estimate the superpixels' values: (M, K) for all K classes of the model.

        Parameters
        ----------
        perturbed : outputs of the network.
        weights : weight of each subset, (n,), to make up for subsets not drawn by `draw`.
        """
        raise NotImplementedError

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Make maps (N, C, H, W) in which each pixel has its superpixel's value."""
        columns = classes.cpu().numpy()

        def values(perturber: Perturber, seed: int) -> NDArray[np.float64]:
            return self.ask(perturber, seed)[:, columns]

        return region_maps(self, model, images, seeds, values)

    def ask(self, perturber: Perturber, seed: int) -> NDArray[np.float64]:
        """Draw subsets, ask the network, and estimate the values (M, K)."""
        subsets = self.draw(perturber.count, seed)
        perturbed = Perturbed(perturber.labels, subsets, perturber.logits(subsets))
        return self.values(perturbed, np.ones(len(subsets)))

    def heatmaps(self, shard: Shard) -> Maps:
        """Make the heatmaps, from the shared predictions where `shared` is set."""
        if shard.empty():
            return super().heatmaps(shard)
        if not self.shared:
            regions = superpixels_of(self, shard.model, shard.images.image, self.seeds(shard))
            return replace(super().heatmaps(shard), regions=regions)
        of_model, predictions = read(shard.perturbed, shard.images.image_id, shard.checkpoint)
        classes = [of_model.index(name) for name in shard.classes]
        maps = [
            self.values(perturbed, self.importance(perturbed.subsets))[:, classes][perturbed.labels]
            for perturbed in predictions
        ]
        return Maps(
            np.stack(maps).transpose(0, 3, 1, 2).astype(np.float32),
            regions=np.array([perturbed.labels for perturbed in predictions], np.uint16),
        )

    def importance(self, subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return weights (n,) under which the shared subsets stand for those that `draw` draws."""
        return chance(subsets)


class SamplingSurrogate(Surrogate):
    """A surrogate whose subsets are drawn at random."""

    samples: PositiveInt = 1000
    """Number of perturbed images per radiograph; at least twice the number of segments."""

    @property
    def least_samples(self) -> int:
        """Return the least number of samples."""
        return 2 * self.segments

    @model_validator(mode="after")
    def _enough_samples(self) -> SamplingSurrogate:
        if self.samples < self.least_samples:
            raise ValueError(self.too_few(self.samples, "twice", self.least_samples))
        return self


class Lime(SamplingSurrogate):
    """LIME: ridge regression on random subsets, weighted by their nearness to the whole image.

    ``w = argmin sum_S exp(-d(S)^2 / (2 width^2)) (y(S) - w_0 - w S)^2 + |w|^2``, where ``d`` is the
    cosine distance of subset ``S`` to the whole image (Ribeiro et al., KDD 2016, arXiv 1602.04938).
    Defaults are the lime package's. One regression serves all classes. Maps (N, C, H, W), signed.

    Examples
    --------
    >>> import torch
    >>> from torchvision.models import resnet18
    >>> from shamsul.model.classifier import Classifier
    >>> model = Classifier.of(resnet18(num_classes=3), ("Edema", "Mass", "Nodule"), "resnet18", 64)
    >>> images = model.normalise(torch.full((1, 64, 64), 128, dtype=torch.uint8))
    >>> method = Lime(superpixels="grid", segments=4, samples=8)
    >>> method.explain(model, images, torch.tensor([0, 2]), seeds=[0]).shape
    torch.Size([1, 2, 64, 64])
    """

    method: ClassVar[str] = "lime"
    title: ClassVar[str] = "LIME"
    citation: ClassVar[str] = "Ribeiro et al., KDD 2016"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "shamsul-2023": {
            "superpixels": "quickshift",
            "fill": "constant",
            "output": "probability",
            "samples": 1000,
        }
    }

    kernel_width: PositiveFloat = 0.25
    """Cosine distance at which a subset's weight has fallen to ``exp(-1/2)``."""
    estimator: Literal["ridge", "lime"] = "ridge"
    """Estimator of the weights: `ridge`, one regression for all classes, or `lime`, lime's own
    `LimeImageExplainer`, which draws and solves by itself. They are equal but for rounding."""

    @model_validator(mode="after")
    def _shared_needs_ridge(self) -> Lime:
        if self.shared and self.estimator == "lime":
            raise ValueError("shared: lime draws its own subsets; leave `estimator` out")
        return self

    def check_files(self, made: Collection[Path] = ()) -> None:
        """Raise an InputError where lime is needed and not installed."""
        super().check_files(made)
        if self.estimator == "lime":
            surrogate_estimators.check_lime()

    def ask(self, perturber: Perturber, seed: int) -> NDArray[np.float64]:
        """Draw, ask and solve as `Surrogate.ask` does; lime draws and solves by itself."""
        if self.estimator == "ridge":
            return super().ask(perturber, seed)
        return surrogate_estimators.lime(
            perturber, self.output, self.samples, self.kernel_width, seed
        )

    def draw(self, superpixels: int, seed: int) -> NDArray[np.bool_]:
        """Show each superpixel with probability 1/2; in the first subset, all of them."""
        generator = np.random.RandomState(seed)
        generator.randint(1000)  # In its place lime draws the seed of its superpixels.
        shown = generator.randint(0, 2, self.samples * superpixels) == 1
        subsets = shown.reshape(self.samples, superpixels)
        subsets[0] = True
        return subsets

    def values(self, perturbed: Perturbed, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the coefficients of the ridge regression."""
        subsets = perturbed.subsets
        # The cosine of the angle to the whole image, all ones, is sqrt(|S| / M).
        distance = 1 - np.sqrt(subsets.mean(1))
        weights = weights * np.exp(-((distance / self.kernel_width) ** 2) / 2)
        outputs = perturbed.outputs(self.output)
        return ridge.coefficients(subsets.astype(float), outputs, weights)


class SuperpixelRise(SamplingSurrogate):
    """RISE on superpixels: the average rise of the output where a superpixel is shown.

    ``E[v(S) | i in S] - E[v(S)]``, with every superpixel shown with probability 1/2. This is RISE's
    Eq. 5 (Petsiuk et al., BMVC 2018, arXiv 1806.07421) except for a constant, with hard masks of
    the radiograph's regions instead of soft grids. Maps (N, C, H, W), signed.
    """

    method: ClassVar[str] = "superpixel_rise"
    title: ClassVar[str] = "RISE (superpixels)"
    citation: ClassVar[str] = "Petsiuk et al., BMVC 2018"

    def draw(self, superpixels: int, seed: int) -> NDArray[np.bool_]:
        """Show each superpixel with probability 1/2."""
        return np.random.default_rng(seed).random((self.samples, superpixels)) < 0.5

    def values(self, perturbed: Perturbed, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the conditional means less the mean."""
        shown = perturbed.subsets * weights[:, None]
        outputs = perturbed.outputs(self.output)
        mean = np.average(outputs, axis=0, weights=weights)
        # A superpixel that no subset shows gets zero, the value of an average one.
        return shown.T @ (outputs - mean) / np.maximum(shown.sum(0), 1e-12)[:, None]


class SuperpixelOcclusion(Surrogate):
    """Occlusion of superpixels: the fall of the output when one is hidden,
    ``v(all) - v(all but i)``.

    Zeiler and Fergus, ECCV 2014, arXiv 1311.2901. Maps (N, C, H, W), signed.
    """

    method: ClassVar[str] = "superpixel_occlusion"
    title: ClassVar[str] = "Occlusion (superpixels)"
    citation: ClassVar[str] = "Zeiler and Fergus, ECCV 2014"

    def draw(self, superpixels: int, seed: int) -> NDArray[np.bool_]:
        """Return all superpixels, and all but each one."""
        return np.vstack([np.ones(superpixels, bool), ~np.eye(superpixels, dtype=bool)])

    def values(self, perturbed: Perturbed, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``v(all) - v(all but i)``."""
        outputs, hidden = perturbed.outputs(self.output), (~perturbed.subsets).sum(1)
        values = np.empty((perturbed.subsets.shape[1], outputs.shape[1]))
        whole = outputs[hidden == 0][0]
        for row in np.flatnonzero(hidden == 1):
            values[np.argmin(perturbed.subsets[row])] = whole - outputs[row]
        return values
