"""Surrogates: a linear model of which superpixels raise a class's output, and which lower it.

LIME (Ribeiro et al., KDD 2016) and Kernel SHAP (Lundberg and Lee, NeurIPS 2017) replace random
subsets of superpixels by a neutral fill, ask the network about each, and fit weights. Which subsets
and how to fit is left to the lime and shap packages; both are given a function of subsets, so that
perturbed images exist on the model's device alone, one batch at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import lazy_loader as lazy
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from shamsul.explain.base import Cost, Explainer
from shamsul.explain.superpixels import slic

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

Predictor = Callable[[NDArray], NDArray[np.float64]]
"""From subsets (n, M), one where a superpixel is shown and zero where filled, to outputs (n, C)."""
TILE = 16
"""Perturbed images are made in multiples of this: the least that a forward pass is made of."""
BLUR = 0.1
"""Width of the blur of `fill: blur`, as a fraction of the image's side."""


class Surrogate(Explainer):
    """What LIME and Kernel SHAP share; subclasses write `weights`."""

    cost: ClassVar[Cost] = "sampling"
    signed: ClassVar[bool] = True

    samples: PositiveInt = 1000
    """Perturbed images per radiograph; at least twice the number of segments."""
    segments: Annotated[int, Field(ge=2)] = 50
    """About how many superpixels."""
    compactness: PositiveFloat = 0.1
    """SLIC's weight of nearness against likeness of grey (0 to 1)."""
    sigma: Annotated[float, Field(ge=0)] = 1.0
    """Width in pixels of the smoothing before SLIC."""
    fill: Literal["mean", "blur", "black"] = "mean"
    """What hides a superpixel: its own mean, the blurred radiograph, or black (model input)."""
    output: Literal["logit", "probability"] = "logit"
    """The output that is explained."""

    @model_validator(mode="after")
    def _enough_samples(self) -> Surrogate:
        if self.samples < 2 * self.segments:
            raise ValueError(
                f"samples: must be at least twice the segments ({2 * self.segments}), "
                f"not {self.samples}"
            )
        return self

    def weights(self, predict: Predictor, shape: tuple[int, int], seed: int) -> NDArray[np.float64]:
        """Weights of that shape, (M, C): of each superpixel for each class."""
        raise NotImplementedError

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Each pixel has its superpixel's weight: (N, C, H, W)."""
        maps = images.new_empty(len(images), len(classes), *images.shape[2:])
        black, white = model.normalise(_black_and_white(images))
        for n, (image, seed) in enumerate(zip(images, seeds, strict=True)):
            grey = ((image - black) / (white - black)).mean(0)
            labels = slic(grey.cpu().numpy(), self.segments, self.compactness, self.sigma)
            filled = self._filled(image, black, labels)
            predict = self._predictor(model, image, filled, labels, classes)
            weights = self.weights(predict, (int(labels.max()) + 1, len(classes)), seed)
            maps[n] = torch.from_numpy(weights[labels]).permute(2, 0, 1)
        return maps

    def _filled(self, image: Tensor, black: Tensor, labels: NDArray[np.intp]) -> Tensor:
        """The image with every superpixel hidden: (3, H, W)."""
        if self.fill == "black":
            return black
        if self.fill == "blur":
            from scipy.ndimage import gaussian_filter

            width = BLUR * image.shape[-1]
            blurred = gaussian_filter(image.cpu().numpy(), (0, width, width))
            return torch.from_numpy(blurred).to(image)
        sums = np.stack([np.bincount(labels.ravel(), plane) for plane in _planes(image)])
        means = sums / np.bincount(labels.ravel())
        return torch.from_numpy(means[:, labels]).to(image)

    def _predictor(
        self,
        model: Classifier,
        image: Tensor,
        filled: Tensor,
        labels: NDArray[np.intp],
        classes: Tensor,
    ) -> Predictor:
        where = torch.from_numpy(labels).to(image.device)

        def predict(subsets: NDArray) -> NDArray[np.float64]:
            shown = torch.from_numpy(subsets > 0.5).to(image.device)
            outputs = [
                model.predict(torch.where(part[:, None, where], image, filled))[:, classes]
                for part in shown.split(-(-model.batch_size // TILE) * TILE)
            ]
            values = torch.cat(outputs)
            if self.output == "probability":
                values = values.sigmoid()
            return values.double().cpu().numpy()

        return predict


class Lime(Surrogate):
    """LIME: ridge regression on random halves, weighted by their nearness to the whole image.

    As the lime package does by default: cosine distance, kernel width 0.25, ridge penalty 1.
    """

    method: ClassVar[str] = "lime"
    title: ClassVar[str] = "LIME"
    citation: ClassVar[str] = "Ribeiro et al., KDD 2016"

    def weights(self, predict: Predictor, shape: tuple[int, int], seed: int) -> NDArray[np.float64]:
        """Ridge coefficients."""
        from lime.lime_image import LimeImageExplainer

        # To lime the radiograph is one row of M pixels, each a segment, one if shown, zero if not.
        superpixels, outputs = shape
        with _no_progress_bar():
            explanation = LimeImageExplainer(random_state=seed).explain_instance(
                np.ones((1, superpixels, 3)),
                lambda rows: predict(rows[:, 0, :, 0]),
                labels=range(outputs),
                top_labels=None,
                hide_color=0,
                num_samples=self.samples,
                batch_size=self.samples,
                segmentation_fn=lambda _: np.arange(superpixels)[None],
            )
        weights = np.zeros(shape)
        for output, pairs in explanation.local_exp.items():
            for superpixel, weight in pairs:
                weights[superpixel, output] = weight
        return weights


class KernelShap(Surrogate):
    """Kernel SHAP: Shapley values of the superpixels, by regression on sampled subsets.

    Values sum to the difference of the outputs for the radiograph and for its fill. All superpixels
    are estimated (`l1_reg=False`); shap by default keeps ten and zeroes the others.
    """

    method: ClassVar[str] = "kernel_shap"
    title: ClassVar[str] = "Kernel SHAP"
    citation: ClassVar[str] = "Lundberg and Lee, NeurIPS 2017"

    def weights(self, predict: Predictor, shape: tuple[int, int], seed: int) -> NDArray[np.float64]:
        """Shapley values."""
        import shap

        everything = np.ones((1, shape[0]))
        with _global_seed(seed):
            explainer = shap.KernelExplainer(predict, np.zeros_like(everything))
            values = explainer.shap_values(
                everything, nsamples=self.samples, l1_reg=False, silent=True
            )
        return np.asarray(values)[0]


def _black_and_white(images: Tensor) -> Tensor:
    """A black and a white radiograph, uint8 (2, H, W)."""
    levels = torch.tensor([0, 255], dtype=torch.uint8, device=images.device)
    return levels[:, None, None].expand(2, *images.shape[2:])


def _planes(image: Tensor) -> Iterator[NDArray[np.float64]]:
    """The three channels of an image, each a vector."""
    yield from image.cpu().double().flatten(1).numpy()


@contextlib.contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, and put it back: shap draws from no other."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


@contextlib.contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Silence the bar that lime draws for each image and has no argument to turn off."""
    from lime import lime_image

    bar = lime_image.tqdm
    lime_image.tqdm = iter
    try:
        yield
    finally:
        lime_image.tqdm = bar
