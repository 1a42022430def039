"""LIME against lime, Kernel SHAP against shap and against Shapley's definition."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
import shap
import torch
from lime.lime_image import LimeImageExplainer

from shamsul.explain.kernel_shap import KernelShap
from shamsul.explain.perturbation import filled
from shamsul.explain.superpixels import grid, slic
from shamsul.explain.surrogate import Lime
from tests.networks import classifier

SLIC = {"compactness": 0.2, "sigma": 1.0}
SEED = 77
BLACK = -np.array([0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
"""As the model sees it: mean and deviation of ImageNet's channels."""


@pytest.fixture(scope="module")
def model():
    return classifier("densenet_small", size=48)


STUDIED = ("densenet121", "resnet18", "vgg16")


@pytest.fixture(scope="module")
def grey():
    generator = torch.Generator().manual_seed(8)
    coarse = torch.rand(1, 1, 7, 7, generator=generator)
    large = torch.nn.functional.interpolate(coarse, size=48, mode="bicubic")[0]
    return (255 * large.clamp(0, 1)).to(torch.uint8)


def reference(model, grey, segments, output="logit"):
    """Superpixels, and the outputs (n, C) for images (n, H, W, 3) in numpy, as a user has them."""
    labels = slic(grey[0].numpy() / 255, segments, **SLIC)

    def predict(pictures):
        tensor = torch.from_numpy(np.asarray(pictures, np.float32)).permute(0, 3, 1, 2)
        logits = model.predict(tensor)
        return (logits.sigmoid() if output == "probability" else logits).double().numpy()

    return labels, predict


@pytest.mark.parametrize("output", ["logit", "probability"])
@pytest.mark.parametrize("fill", ["mean", "black"])
def test_lime_is_limes(model, grey, fill, output):
    check_lime(model, grey, fill, output)


@pytest.mark.parametrize("network", STUDIED)
def test_lime_is_limes_on_the_studies_networks(network, grey):
    check_lime(classifier(network, size=48), grey, "mean", "logit")


def check_lime(model, grey, fill, output):
    images = model.normalise(grey)
    labels, predict = reference(model, grey, 12, output)
    explainer = Lime(samples=80, segments=12, fill=fill, output=output, **SLIC)
    maps = explainer.explain(model, images, torch.tensor([2, 0]), [SEED])[0]

    explanation = LimeImageExplainer(random_state=SEED).explain_instance(
        images[0].permute(1, 2, 0).double().numpy(),
        predict,
        labels=(2, 0),
        top_labels=None,
        hide_color=None if fill == "mean" else BLACK,
        num_samples=80,
        segmentation_fn=lambda _: labels,
    )
    for position, index in enumerate((2, 0)):
        expected = np.zeros(labels.max() + 1)
        for superpixel, weight in explanation.local_exp[index]:
            expected[superpixel] = weight
        assert np.abs(expected).min() > 0
        np.testing.assert_allclose(maps[position].numpy(), expected[labels], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("samples", [40, 100])
def test_kernel_shap_is_shaps(model, grey, samples):
    check_shap(model, grey, samples)


@pytest.mark.parametrize("network", STUDIED)
def test_kernel_shap_is_shaps_on_the_studies_networks(network, grey):
    check_shap(classifier(network, size=48), grey, 60)


def check_shap(model, grey, samples):
    images = model.normalise(grey)
    labels, predict = reference(model, grey, 14)
    count = labels.max() + 1
    explainer = KernelShap(
        estimator="regression", samples=samples, segments=14, fill="black", **SLIC
    )
    maps = explainer.explain(model, images, torch.tensor([1, 3]), [SEED])[0]

    def of_subsets(subsets):
        shown = subsets[:, labels][..., None].astype(bool)
        return predict(np.where(shown, images[0].permute(1, 2, 0).numpy(), BLACK))

    np.random.seed(SEED)
    values = shap.KernelExplainer(of_subsets, np.zeros((1, count))).shap_values(
        np.ones((1, count)), nsamples=samples, l1_reg=False, silent=True
    )[0]
    for position, index in enumerate((1, 3)):
        np.testing.assert_allclose(maps[position], values[labels, index], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("estimator", ["gaussian_process", "regression"])
@pytest.mark.parametrize("fill", ["mean", "blur", "noise", "black", "constant"])
def test_kernel_shap_is_efficient(model, grey, fill, estimator):
    """Values sum to f(image) - f(everything hidden), at any number of samples."""
    images = model.normalise(grey)
    labels, _ = reference(model, grey, 16)
    explainer = KernelShap(estimator=estimator, samples=40, segments=16, fill=fill, **SLIC)
    maps = explainer.explain(model, images, torch.arange(4), [SEED])[0]
    hidden = filled(explainer, model, images[0], labels, SEED)
    firsts = np.unique(labels, return_index=True)[1]
    difference = model.predict(images)[0] - model.predict(hidden[None])[0]
    torch.testing.assert_close(maps.flatten(1)[:, firsts].sum(1), difference, rtol=0, atol=1e-3)


@pytest.fixture(scope="module")
def enumerated(model, grey):
    """A dozen superpixels; Shapley's definition over all 4096 subsets, of logits: (12, 4)."""
    labels = grid(48, 48, 12)
    count = int(labels.max()) + 1
    assert count == 12
    subsets = (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(bool)
    image = model.normalise(grey)[0].permute(1, 2, 0).numpy()
    _, predict = reference(model, grey, 12)
    f = np.concatenate(
        [
            predict(np.where(part[:, labels][..., None], image, BLACK))
            for part in np.array_split(subsets, 64)
        ]
    )
    exact = np.zeros((count, 4))
    for player in range(count):
        others = [other for other in range(count) if other != player]
        for size in range(count):
            for subset in combinations(others, size):
                without = sum(1 << other for other in subset)
                gain = f[without | 1 << player] - f[without]
                exact[player] += gain / (count * comb(count - 1, size))
    return labels, exact


@pytest.mark.parametrize("estimator", ["gaussian_process", "regression"])
def test_kernel_shap_of_every_subset_is_shapleys_value(model, grey, enumerated, estimator):
    labels, exact = enumerated
    explainer = KernelShap(
        samples=5000, superpixels="grid", segments=12, fill="black", estimator=estimator
    )
    maps = explainer.explain(model, model.normalise(grey), torch.arange(4), [SEED])[0]
    scale = np.abs(exact).max()
    np.testing.assert_allclose(maps.permute(1, 2, 0), exact[labels], rtol=1e-3, atol=1e-3 * scale)


def test_fewer_subsets_come_near_and_nearer_than_shaps_regression(model, grey, enumerated):
    labels, exact = enumerated
    firsts = np.unique(labels, return_index=True)[1]

    def error(estimator, samples):
        explainer = KernelShap(
            samples=samples, superpixels="grid", segments=12, fill="black", estimator=estimator
        )
        maps = explainer.explain(model, model.normalise(grey), torch.arange(4), [SEED])[0]
        return np.linalg.norm(maps.flatten(1)[:, firsts].T.numpy() - exact)

    ours = error("gaussian_process", 128)
    assert ours < error("regression", 256) and ours < 0.25 * np.linalg.norm(exact)
