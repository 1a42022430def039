"""Faithfulness and sensitivity against captum and pytorch-grad-cam."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from captum.metrics import sensitivity_max
from pytorch_grad_cam.metrics.road import NoisyLinearImputer, ROADCombined

from shamsul.explain.cam import GradCam
from shamsul.explain.gradient import InputXGradient
from shamsul.explain.perturbation import quick
from shamsul.probe import faithfulness, reexplain, road, robustness
from shamsul.probe.faithfulness import Radiograph, infidelity, measure
from shamsul.probe.road import Imputer
from shamsul.probe.settings import Probe
from tests.networks import classifier

SIZE = 64


@pytest.fixture(scope="module")
def model():
    return classifier("densenet_small", SIZE)


@pytest.fixture
def grey(rng):
    return rng.integers(0, 256, (SIZE, SIZE), np.uint8)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.8, 0.99])
@pytest.mark.parametrize("blocks", [1, 8])
def test_imputation_is_that_of_pytorch_grad_cam(rng, share, blocks):
    image = rng.random((24, 24))
    hidden = np.kron(rng.random((24 // blocks, 24 // blocks)), np.ones((blocks, blocks))) < share
    hidden[5, 6], hidden[20, 20] = True, False
    known = torch.from_numpy((~hidden).astype(np.float64))
    theirs = NoisyLinearImputer(noise=0)(torch.from_numpy(image)[None].float(), known)[0]
    np.testing.assert_allclose(Imputer(24)(image, hidden), theirs, atol=2e-5)


def test_road_is_twice_the_combined_score_of_pytorch_grad_cam(model, grey, monkeypatch):
    # Pixels that they remove at the percentiles 90, 70, 50, 30 and 10.
    percentiles = [10, 30, 50, 70, 90]
    levels = np.arange(SIZE**2, dtype=np.float32)
    counts = sorted(int((levels >= np.percentile(levels, p)).sum()) for p in percentiles)
    monkeypatch.setattr(road, "SHARES", tuple(count / SIZE**2 for count in counts))
    monkeypatch.setattr(road, "NOISE", 0)
    monkeypatch.setattr(NoisyLinearImputer.__init__, "__defaults__", (0, None))
    heatmap = np.random.default_rng(5).permutation(SIZE**2).reshape(SIZE, SIZE) / SIZE**2
    theirs = ROADCombined(percentiles)(
        model.normalise(grey[None]), heatmap[None], [lambda logits: logits[2]], model
    )
    radiograph = Radiograph.of(model, grey, ("mean",), 1)
    settings = Probe(metrics=("road",))
    ((_, _, _, own),) = measure(radiograph, [heatmap], [2], Imputer(SIZE), settings)
    assert abs(own) > 0.01
    assert own == pytest.approx(2 * float(theirs[0]), abs=2e-4)


@pytest.mark.parametrize("fill", ["mean", "noise"])
def test_infidelity_is_captums_in_units_of_an_empty_maps(model, grey, fill):
    index, count = 1, 40
    radiograph = Radiograph.of(model, grey, (fill,), 3)
    hidden = faithfulness.squares(count, SIZE, np.random.default_rng(radiograph.seed))
    # Of the sign that goes with the falls; of the other they differ on purpose.
    versions = [radiograph.image[None], radiograph.without(hidden, fill)]
    whole, asked = radiograph.logits(versions)
    falls = whole[0, index] - asked[:, index]
    contributions = InputXGradient().explain(
        model, radiograph.image[None], torch.tensor([index]), [0]
    )
    heatmap = contributions[0, 0].double().numpy()
    sums = (hidden * heatmap).sum((1, 2))
    heatmap *= np.sign((sums * falls).mean())

    masks = torch.from_numpy(hidden)[:, None].expand(-1, 3, -1, -1)

    def perturbed(images):
        assert len(images) == count
        return masks.float(), torch.where(masks, radiograph.fills[fill], images)

    spread = torch.from_numpy(heatmap / 3).float().expand(1, 3, -1, -1)
    theirs = captum_infidelity(
        quick(model), perturbed, radiograph.image[None], spread,
        target=index, n_perturb_samples=count, normalize=True,
    )  # fmt: skip
    expected = float(theirs) / (falls**2).mean()
    assert 0.05 < expected < 0.999
    assert infidelity(heatmap, hidden, falls) == pytest.approx(expected, rel=1e-3)
    settings = Probe(metrics=("infidelity",), squares=count)
    ((_, _, _, measured),) = measure(radiograph, [heatmap], [index], Imputer(SIZE), settings)
    assert measured == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("method", [GradCam(), InputXGradient()])
def test_sensitivity_is_captums(model, grey, method):
    index, count = 2, 5
    versions = torch.from_numpy(robustness.noisy(grey, count, 0.02, 7))

    def explanation(images):
        images = images[0] if isinstance(images, tuple) else images
        # A tuple: of a bare tensor captum would take the first axis for the parts of the input.
        return (method.explain(model, images, torch.tensor([index]), [0] * len(images)),)

    theirs = sensitivity_max(
        explanation,
        model.normalise(grey[None]),
        perturb_func=lambda images, radius: model.normalise(versions),
        n_perturb_samples=count,
    )
    greys = torch.cat([torch.from_numpy(grey.astype(np.float32))[None], versions])
    classes = np.full((count + 1, 1), index)
    maps = np.array(reexplain.explained(method, model, greys, classes, [0] * (count + 1)))[:, 0]
    own = robustness.max_sensitivity(maps[0], maps[1:])
    assert own > 0.01 and own == pytest.approx(float(theirs), rel=1e-3)
