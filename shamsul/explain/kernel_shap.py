"""Kernel SHAP and its kin: Shapley values of superpixels, or of rectangles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from numpy.typing import NDArray
from pydantic import model_validator

from shamsul import lazy
from shamsul.explain import shapley
from shamsul.explain.base import Explainer
from shamsul.explain.peers import surrogate_estimators
from shamsul.explain.perturbation import FillOptions, Perturbed, Perturber, SuperpixelOptions
from shamsul.explain.shard import Maps, Shard
from shamsul.explain.surrogate import SamplingSurrogate

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class KernelShap(SamplingSurrogate):
    """Kernel SHAP: Shapley values of the superpixels, estimated from some of the subsets.

    ``phi_i = mean over orders of v(S + i) - v(S)``, where ``v(S)`` is the output with the
    superpixels ``S`` shown (Lundberg and Lee, NeurIPS 2017, arXiv 1705.07874). Values sum to the
    difference of the outputs for the radiograph and for its fill. Maps (N, C, H, W), signed.

    Examples
    --------
    >>> import torch
    >>> from torchvision.models import resnet18
    >>> from shamsul.model.classifier import Classifier
    >>> model = Classifier.of(resnet18(num_classes=3), ("Edema", "Mass", "Nodule"), "resnet18", 64)
    >>> images = model.normalise(torch.full((1, 64, 64), 128, dtype=torch.uint8))
    >>> method = KernelShap(superpixels="grid", segments=4, samples=8)
    >>> method.explain(model, images, torch.tensor([0, 2]), seeds=[0]).shape
    torch.Size([1, 2, 64, 64])
    """

    method: ClassVar[str] = "kernel_shap"
    title: ClassVar[str] = "Kernel SHAP"
    citation: ClassVar[str] = "Lundberg and Lee, NeurIPS 2017"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "shamsul-2023": {
            "estimator": "regression",
            "compactness": 0.3,
            "sigma": 3.0,
            "fill": "constant",
            "value": 255.0,
            "scale": "unit",
            "output": "probability",
            "samples": 1000,
        }
    }

    estimator: Literal["gaussian_process", "regression", "shap_partition"] = "gaussian_process"
    """Estimator of the Shapley values. `regression` is Kernel SHAP's own, by the shap package, with
    all superpixels estimated (`l1_reg=False`; shap by default keeps ten and zeroes the others).
    `gaussian_process` estimates the same values, with less error from equally many subsets in all
    games that were tried (see `shapley.py`). `shap_partition` is shap's Partition explainer with
    its image masker: Owen values of rectangles that it halves where they matter, without
    superpixels, from `samples` images for each class."""

    @property
    def least_samples(self) -> int:
        """Return the least number of samples; shap's rectangles need no more than two."""
        return 2 if self.estimator == "shap_partition" else super().least_samples

    @model_validator(mode="after")
    def _estimator_suits(self) -> KernelShap:
        if self.shared and self.estimator != "gaussian_process":
            raise ValueError("shared: shap draws its own subsets; leave `estimator` out")
        of_superpixels = {*SuperpixelOptions.model_fields} - {*FillOptions.model_fields}
        unused = sorted(of_superpixels & self.model_fields_set)
        if self.estimator == "shap_partition" and unused:
            raise ValueError(f"{unused[0]}: shap_partition has no superpixels; remove it")
        return self

    def draw(self, superpixels: int, seed: int) -> NDArray[np.bool_]:
        """Draw pairs of a subset and its complement, of all sizes."""
        return shapley.draw(superpixels, self.samples, seed)

    def values(self, perturbed: Perturbed, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the Shapley values; no weights are needed, whatever subsets were asked about."""
        return shapley.values(perturbed.subsets, perturbed.outputs(self.output))

    def ask(self, perturber: Perturber, seed: int) -> NDArray[np.float64]:
        """Draw, ask and solve as `Surrogate.ask` does; the shap package draws and solves by
        itself.
        """
        if self.estimator == "gaussian_process":
            return super().ask(perturber, seed)
        return surrogate_estimators.shap_regression(perturber, self.output, self.samples, seed)

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Make maps (N, C, H, W), of superpixels' values or of shap's rectangles'."""
        if self.estimator != "shap_partition":
            return super().explain(model, images, classes, seeds)
        return torch.stack(
            [
                surrogate_estimators.shap_partition(
                    self, model, image, classes, self.output, self.samples, seed
                )
                for image, seed in zip(images, seeds, strict=True)
            ]
        )

    def heatmaps(self, shard: Shard) -> Maps:
        """Make the heatmaps; shap's rectangles are no superpixels that could be stored."""
        if self.estimator == "shap_partition":
            return Explainer.heatmaps(self, shard)
        return super().heatmaps(shard)
