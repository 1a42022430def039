"""What every explanation method must do, whatever its mathematics."""

from __future__ import annotations

import ast
import inspect
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.base import Method
from shamsul.explain.perturbation import FillOptions, to_grey
from shamsul.explain.perturbation import filled as fill_of
from shamsul.explain.superpixels import grid, quickshift, slic
from shamsul.model.inspection import known
from tests.methods import EXPLAINERS, quick
from tests.networks import Textures, classifier

SEEDED = (
    "lime", "kernel_shap", "superpixel_rise", "rise", "smooth_grad", "random_field_gradients",
    "sobol", "hsic",
)  # fmt: skip


LEAST_SHARE = {
    "score_cam": 0.5,  # Its softmax over only four channels leaves much to the others.
    "gradient": 0.45,  # Its size is three times as large in the right quadrant as elsewhere.
    "smooth_grad": 0.45,
    "captum": 0.45,  # Its Saliency.
    # These have no sign, and what tells against a class counts too.
    "full_grad": 0.7,
    "hsic": 0.6,
    "sobol": 0.7,
}
"""Of a class's map that lies where its texture is; 0.8 for the others."""


@pytest.fixture(params=EXPLAINERS)
def explainer(request):
    return quick(request.param)


@pytest.fixture(scope="module")
def model():
    return classifier("densenet_small")


@pytest.fixture(scope="module")
def images(model):
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(3, 1, 8, 8, generator=generator)
    grey = torch.nn.functional.interpolate(coarse, size=64, mode="bilinear")[:, 0]
    return model.normalise((255 * grey).to(torch.uint8))


def test_the_methods_of_the_studies_are_there():
    assert set(registry.methods()) >= {
        "grad_cam", "lime", "kernel_shap", "lrp_z", "lrp_epsilon", "lrp_alpha2beta1",
        "deep_taylor", "random",
    }  # fmt: skip


def test_shape_dtype_and_range(explainer, model, images):
    maps = explainer.explain(model, images, torch.tensor([0, 2]), [1, 2, 3])
    assert maps.shape[:2] == (3, 2) and maps.dim() == 4
    assert maps.dtype == torch.float32 and not maps.requires_grad
    assert maps.isfinite().all()
    assert maps.abs().amax((2, 3)).min() > 0
    if not explainer.signed:
        assert maps.min() >= 0


def test_classes_are_explained_each_by_itself_in_the_order_asked(explainer, model, images):
    everything = explainer.explain(model, images, torch.arange(4), [1, 2, 3])
    asked = torch.tensor([3, 0, 2])
    torch.testing.assert_close(
        explainer.explain(model, images, asked, [1, 2, 3]), everything[:, asked], rtol=0, atol=0
    )


def test_renumbering_the_models_classes_renumbers_the_maps(explainer):
    order = (2, 0, 3, 1)
    plain, renumbered = Textures(), Textures(order)
    images = plain.normalise(plain.image((3, 1, 0, 2))[None])
    torch.testing.assert_close(
        explainer.explain(renumbered, images, torch.arange(4), [9]),
        explainer.explain(plain, images, torch.tensor(order), [9]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_model_of_one_class_is_explained(explainer):
    model = Textures()
    conv, relu, pool, flat, linear = model.network
    linear.weight.data, linear.bias.data = linear.weight.data[2:3], linear.bias.data[2:3]
    model.spec = model.spec.model_copy(update={"classes": ("c",)})
    images = model.normalise(model.image((3, 1, 0, 2))[None])
    maps = explainer.explain(model, images, torch.tensor([0]), [9])
    expected = explainer.explain(Textures(), images, torch.tensor([2]), [9])
    torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-4)


def test_maps_do_not_depend_on_the_other_images(explainer, model, images):
    """Up to rounding, which depends on how many there are; bit for bit where that is the same."""
    classes = torch.arange(4)
    together = explainer.explain(model, images, classes, [1, 2, 3])
    flipped = explainer.explain(model, images.flip(0), classes, [3, 2, 1]).flip(0)
    pair = explainer.explain(model, images[1:], classes, [2, 3])
    alone = explainer.explain(model, images[:1], classes, [1])
    assert torch.equal(flipped, together)
    torch.testing.assert_close(pair, together[1:], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(alone, together[:1], rtol=1e-3, atol=1e-5)


def test_maps_do_not_depend_on_the_predictors_batch_size(explainer, model, images, monkeypatch):
    expected = explainer.explain(model, images[:2], torch.arange(4), [1, 2])
    monkeypatch.setattr(model, "batch_size", 7)
    actual = explainer.explain(model, images[:2], torch.arange(4), [1, 2])
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("placed", [(0, 1, 2, 3), (2, 3, 1, 0)])
def test_each_class_is_found_where_its_texture_is(explainer, placed):
    if explainer.method == "eigen_cam":
        pytest.skip("knows no classes")
    model = Textures()
    images = model.normalise(model.image(placed)[None])
    maps = explainer.explain(model, images, torch.arange(4), [4]).clamp(min=0)
    maps = torch.nn.functional.interpolate(maps, size=(32, 32))[0]
    quadrants = maps.reshape(4, 2, 16, 2, 16).sum((2, 4)).reshape(4, 4)
    share = quadrants / quadrants.sum(1, keepdim=True)
    for quadrant, index in enumerate(placed):
        assert share[index, quadrant] > LEAST_SHARE.get(explainer.method, 0.8)


def test_randomness_comes_from_the_seed_and_leaves_no_trace(explainer, model, images):
    np.random.seed(1)
    torch.manual_seed(1)
    state = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = explainer.explain(model, images[:1], torch.tensor([1]), [11])
    again = explainer.explain(model, images[:1], torch.tensor([1]), [11])
    other = explainer.explain(model, images[:1], torch.tensor([1]), [12])
    assert np.array_equal(np.random.get_state()[1], state[0])
    assert torch.equal(torch.get_rng_state(), state[1])
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (explainer.method not in SEEDED)


def test_explaining_works_without_gradients_enabled_and_says_nothing(
    explainer, model, images, capfd
):
    expected = explainer.explain(model, images[:2], torch.tensor([1]), [1, 2])
    with torch.no_grad():
        actual = explainer.explain(model, images[:2], torch.tensor([1]), [1, 2])
    assert torch.equal(actual, expected)
    assert capfd.readouterr() == ("", "")


LRP = [name for name in EXPLAINERS if name.startswith("lrp_") or name == "deep_taylor"]


@pytest.mark.parametrize("name", LRP)
@pytest.mark.parametrize("backbone", ["convnext_tiny", "vit_b_16"])
def test_lrp_is_refused_for_networks_without_rules(name, backbone):
    built = registry.build([{"method": name}])
    with pytest.raises(InputError, match=rf"{name} cannot explain {backbone}: .*no rule for"):
        registry.check_suited(built, backbone, known()[backbone])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"method": "lime", "samples": 10}, "samples: must be at least twice the segments .100."),
        ({"method": "lime", "segmnts": 10}, "did you mean 'segments'"),
        ({"method": "lime", "fill": "grey"}, "fill: .*'mean', 'blur', 'noise'"),
        ({"method": "lrp_epsilon", "epsilon": 0}, "epsilon: .*greater than 0"),
        ({"method": "lrp_z", "seed_with": "odds"}, "seed_with: .*'logit' or 'probability'"),
        ({"method": "random", "cells": 0}, "cells: .*greater than 0"),
        ({"method": "lime", "preset": 2023}, "unknown preset '2023'; .*shamsul-2023"),
        ({"method": "lime", "preset": ["a"]}, "unknown preset"),
        ({"method": "lime", "scale": "unit", "fill": "black"}, "fill: black is of scale"),
    ],
)
def test_wrong_parameters_are_named(entry, message):
    with pytest.raises(InputError, match=message):
        registry.build([entry])


def test_methods_and_their_parameters_are_documented():
    for cls in registry.methods().values():
        assert cls.title and cls.citation and cls.cost and isinstance(cls.signed, bool)
        documented = set()
        for parent in cls.__mro__[: cls.__mro__.index(Method)]:
            assert parent.__doc__
            body = ast.parse(inspect.getsource(parent)).body[0].body
            for statement, following in itertools.pairwise(body):
                if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
                    documented.add(statement.target.id)
        assert set(cls.model_fields) <= documented


@pytest.mark.parametrize("fill", ["mean", "blur", "noise", "black", "constant"])
def test_fill_is_what_the_name_says(fill, model, images):
    labels = np.arange(64 * 64).reshape(64, 64) // 1024
    filled = fill_of(FillOptions(fill=fill, value=1.5), model, images[0], labels, 3)
    assert filled.shape == images[0].shape and filled.dtype == torch.float32
    if fill == "black":
        assert torch.equal(filled, model.normalise(torch.zeros(1, 64, 64, dtype=torch.uint8))[0])
    if fill == "mean":
        strips = images[0].reshape(3, 4, 16, 64)
        expected = strips.mean((2, 3), keepdim=True).expand_as(strips).reshape(3, 64, 64)
        torch.testing.assert_close(filled, expected, rtol=1e-5, atol=1e-6)
    if fill == "constant":
        assert (filled == 1.5).all()
    if fill == "noise":
        other = fill_of(FillOptions(fill=fill), model, images[0], labels, 4)
        assert not torch.equal(filled, other)
        for made, given in zip(filled, images[0], strict=True):
            assert abs(made.mean() - given.mean()) < 0.1 * given.std()
            assert abs(made.std() / given.std() - 1) < 0.1
        grey = to_grey(model, filled)
        back = (grey - model.mean[0]) / model.std[0]
        torch.testing.assert_close(back, filled, rtol=0, atol=0.2)  # the same noise in each channel
    if fill == "blur":
        assert filled.std() < images[0].std() / 2
        torch.testing.assert_close(filled.mean(), images[0].mean(), rtol=0.05, atol=0.05)


def test_seed_with_probability_scales_relevance_by_probability_over_logit(model, images):
    for name in LRP:
        logit, probability = (
            registry.methods()[name](seed_with=seed).explain(
                model, images, torch.arange(4), [0] * 3
            )
            for seed in ("logit", "probability")
        )
        logits = model.predict(images)[..., None, None]
        torch.testing.assert_close(
            probability, logit * logits.sigmoid() / logits, rtol=1e-3, atol=1e-6
        )


def test_superpixels_of_blank_and_small_images_are_numbered_without_gaps(rng):
    for image in (np.zeros((40, 40)), np.ones((40, 40)), rng.random((40, 40)), rng.random((4, 4))):
        labels = slic(image, 30, 0.1, 1.0)
        assert labels.shape == image.shape
        assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))


@pytest.mark.parametrize(("height", "width", "segments"), [(32, 32, 16), (30, 50, 7), (3, 3, 90)])
def test_a_grid_is_of_equal_rectangles(height, width, segments):
    labels = grid(height, width, segments)
    counts = np.bincount(labels.ravel())
    assert labels.shape == (height, width) and counts.min() > 0
    assert abs(len(counts) - min(segments, height * width)) <= segments**0.5
    for label in range(len(counts)):
        rows, columns = np.nonzero(labels == label)
        assert counts[label] == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def test_quickshift_follows_the_grey_and_its_seed(rng):
    image = np.kron(rng.random((4, 4)), np.ones((16, 16)))
    labels = quickshift(image, 3)
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1)) and labels.max() > 3
    within = sum(
        image[labels == label].var() * (labels == label).mean() for label in set(labels.flat)
    )
    assert within < 0.8 * image.var()
    assert np.array_equal(labels, quickshift(image, 3))
    quickshift(image, 2**32 - 1)


@pytest.mark.parametrize("name", ["lime", "kernel_shap"])
def test_a_blank_image_has_maps(name, model):
    explainer = quick(name)
    blank = model.normalise(torch.zeros(1, 64, 64, dtype=torch.uint8))
    maps = explainer.explain(model, blank, torch.arange(4), [1])
    assert maps.isfinite().all()
    assert maps.abs().max() < 1e-4  # A superpixel's mean hides nothing here.


def test_listing_the_methods_loads_no_heavy_library():
    program = (
        "import sys; from shamsul.explain import registry; registry.methods();"
        "[cls() for cls in registry.methods().values()"
        " if not any(declared.is_required() for declared in cls.model_fields.values())];"
        "heavy = {'torch', 'torchvision', 'lime', 'shap', 'skimage', 'zennit', 'sklearn', 'scipy'};"
        "print(sorted(heavy & set(sys.modules)));"
        # What comes later may be imported as ever.
        "import torch, torchvision; torchvision.models.densenet121; print(torch.zeros(1).item())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["[]", "0.0"], done.stderr
