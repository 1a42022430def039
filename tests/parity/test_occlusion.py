"""Occlusion against captum's, RISE against its formula written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import Occlusion as CaptumOcclusion

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.occlusion import Occlusion, Rise
from tests.networks import classifier

CLASSES = torch.tensor([2, 0])


@pytest.fixture(scope="module")
def model():
    return classifier("densenet_small", size=48)


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("window", "stride"), [(20, 12), (16, 16), (48, 48), (64, 10), (7, 5)])
def test_occlusion_is_captums(model, images, window, stride):
    explainer = Occlusion(window=window, stride=stride, fill="constant", value=0.3)
    maps = explainer.explain(model, images, CLASSES, [0, 0])
    if window > 48:  # captum refuses windows larger than the image
        window, stride = 48, 48
    for position, index in enumerate(CLASSES.tolist()):
        expected = CaptumOcclusion(model).attribute(
            images, (3, window, window), strides=(3, stride, stride), baselines=0.3, target=index
        )
        torch.testing.assert_close(maps[:, position], expected[:, 0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("network", ["densenet121", "resnet18", "vgg16"])
def test_occlusion_is_captums_on_the_studies_networks(network, images):
    model = classifier(network, size=48)
    maps = Occlusion(window=24, stride=24, fill="constant").explain(model, images, CLASSES, [0, 0])
    for position, index in enumerate(CLASSES.tolist()):
        expected = CaptumOcclusion(model).attribute(
            images, (3, 24, 24), strides=(3, 24, 24), baselines=0.0, target=index
        )
        torch.testing.assert_close(maps[:, position], expected[:, 0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("output", ["logit", "probability"])
def test_rise_is_the_mean_of_masks_weighted_by_outputs(model, images, output):
    explainer = Rise(samples=40, cells=5, shown=0.4, fill="blur", output=output)
    maps = explainer.explain(model, images[:1], CLASSES, [9])[0]
    masks = torch.cat(list(explainer.masks(images[0], 16, 9))).double()
    assert masks.shape == (40, 48, 48) and masks.min() >= 0 and masks.max() <= 1 + 1e-6

    from scipy.ndimage import gaussian_filter

    blurred = torch.from_numpy(gaussian_filter(images[0].numpy(), (0, 4.8, 4.8)))
    values = []
    for mask in masks.float():
        logits = model.predict((mask * images[0] + (1 - mask) * blurred)[None])[0, CLASSES]
        values.append((logits if output == "logit" else logits.sigmoid()).double())
    values = torch.stack(values)
    paper = torch.einsum("nc,nhw->chw", values - values.mean(0), masks) / masks.sum(0)
    torch.testing.assert_close(maps.double(), paper, rtol=1e-3, atol=1e-6)


def test_rises_masks_show_the_share_asked_for_everywhere():
    image = torch.zeros(3, 40, 56)
    masks = torch.cat(list(Rise(samples=3000, cells=4, shown=0.3).masks(image, 500, 1)))
    assert masks.shape == (3000, 40, 56)
    np.testing.assert_allclose(masks.mean(0), 0.3, atol=0.04)


def test_the_draw_does_not_depend_on_how_many_masks_are_made_at_a_time(model, images):
    rise = Rise(samples=50, cells=5)
    whole = torch.cat(list(rise.masks(images[0], 50, 4)))
    for step in (1, 16, 32):
        assert torch.equal(torch.cat(list(rise.masks(images[0], step, 4))), whole)


def test_pixels_between_windows_are_refused():
    with pytest.raises(InputError, match=r"stride: must be at most the window .8."):
        registry.build([{"method": "occlusion", "window": 8, "stride": 9}])
