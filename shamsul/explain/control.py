"""Controls: maps that know nothing of the model, scored like any method."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import lazy_loader as lazy
import numpy as np
from pydantic import PositiveInt

from shamsul.explain.base import Cost, Explainer, image_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")


class Random(Explainer):
    """Uniform noise in [0, 1), a new draw for each image and class."""

    method: ClassVar[str] = "random"
    title: ClassVar[str] = "Random"
    citation: ClassVar[str] = "control"
    cost: ClassVar[Cost] = "none"
    signed: ClassVar[bool] = False

    cells: PositiveInt = 7
    """Cells along a side; 7 is what Grad-CAM has on a DenseNet at 224 pixels."""

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Noise of shape (N, C, cells, cells)."""
        shape = (self.cells, self.cells)
        maps = np.empty((len(seeds), len(classes), *shape), np.float32)
        for n, seed in enumerate(seeds):
            for c, index in enumerate(classes.tolist()):
                # By the class's name: its place among the classes must not matter.
                generator = np.random.default_rng(image_seed(seed, model.classes[index]))
                maps[n, c] = generator.random(shape, np.float32)
        return torch.from_numpy(maps).to(images.device)
