"""Estimators of the packages lime and shap, asked about the same perturbed radiographs as ours."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.explain.perturbation import FillOptions, Perturbed, Perturber, filled, quick
from shamsul.explain.shapley import global_seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from shamsul.model.classifier import Classifier
else:
    torch = lazy.load("torch")

Output = Literal["logit", "probability"]


def check_lime() -> None:
    """Raise an InputError where lime is not installed."""
    if importlib.util.find_spec("lime") is None:
        raise InputError("estimator: lime is not installed; install it by `pip install lime`")


def _outputs(perturber: Perturber, subsets: NDArray[Any], output: Output) -> NDArray[np.float64]:
    shown = subsets > 0.5
    return Perturbed(perturber.labels, shown, perturber.logits(shown)).outputs(output)


def lime(
    perturber: Perturber, output: Output, samples: int, kernel_width: float, seed: int
) -> NDArray[np.float64]:
    """Estimate the superpixels' weights by lime's `LimeImageExplainer`: (M, K) for all K classes.

    lime is given a picture in whose place each superpixel has its own colour, from which it is read
    what lime has hidden. So the radiograph may have any number of channels and any fill.
    """
    from lime.lime_image import LimeImageExplainer

    labels, count = perturber.labels, perturber.count
    numbers = np.repeat(labels[..., None] + 1.0, 3, 2)
    firsts = np.unique(labels, return_index=True)[1]

    def outputs(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
        return _outputs(perturber, pictures[..., 0].reshape(len(pictures), -1)[:, firsts], output)

    classes = range(len(perturber.model.classes))
    with contextlib.redirect_stderr(io.StringIO()):
        explanation = LimeImageExplainer(kernel_width, random_state=seed).explain_instance(
            numbers,
            outputs,
            labels=classes,
            top_labels=None,
            hide_color=0,
            num_features=count,
            num_samples=samples,
            batch_size=perturber.model.tile,
            segmentation_fn=lambda _: labels,
        )
    values = np.zeros((count, len(classes)))
    for index in classes:
        for superpixel, weight in explanation.local_exp[index]:
            values[superpixel, index] = weight
    return values


def shap_regression(
    perturber: Perturber, output: Output, samples: int, seed: int
) -> NDArray[np.float64]:
    """Estimate the superpixels' Shapley values by shap's `KernelExplainer`: (M, K) for all K
    classes.
    """
    import shap

    everything = np.ones((1, perturber.count))
    with global_seed(seed):
        explainer = shap.KernelExplainer(
            lambda subsets: _outputs(perturber, subsets, output), np.zeros_like(everything)
        )
        values = explainer.shap_values(everything, nsamples=samples, l1_reg=False, silent=True)
    return np.asarray(values)[0]


def shap_partition(
    options: FillOptions,
    model: Classifier,
    image: Tensor,
    classes: Tensor,
    output: Output,
    samples: int,
    seed: int,
) -> Tensor:
    """Estimate pixels' Owen values by shap's Partition explainer with its image masker: (C, H, W).

    Each class is explained by itself, since shap splits next the rectangle that matters most to any
    of the outputs that it is given.

    Parameters
    ----------
    options : fill of what is hidden; `mean` is the whole radiograph's.
    image : (K, H, W) float32, normalised.
    classes : (C,) int64.
    samples : largest number of perturbed images for each class.
    """
    import shap

    model = quick(model)
    whole = np.zeros(image.shape[1:], np.intp)
    hidden = filled(options, model, image, whole, seed)
    masker = shap.maskers.Image(_last(hidden))

    def outputs_of(index: int) -> Any:
        def outputs(pictures: NDArray[np.float32]) -> NDArray[np.float64]:
            shown = torch.from_numpy(np.ascontiguousarray(pictures, np.float32)).permute(0, 3, 1, 2)
            logits = model.predict(shown)[:, [index]]
            return (logits if output == "logit" else logits.sigmoid()).double().cpu().numpy()

        return outputs

    maps = []
    for index in classes.tolist():
        with global_seed(seed), contextlib.redirect_stderr(io.StringIO()):
            explainer = shap.PartitionExplainer(outputs_of(index), masker)
            found = explainer(
                _last(image)[None], max_evals=samples, batch_size=model.tile, silent=True
            )
        maps.append(np.asarray(found.values)[0, ..., 0].sum(-1))
    return torch.from_numpy(np.stack(maps)).to(image)


def _last(image: Tensor) -> NDArray[np.float32]:
    """Return an image with its channels last, (H, W, K)."""
    return np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
