"""Sobol and HSIC attribution: known indices, plain forms of the equations, and other estimators."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.perturbation import Perturber
from shamsul.explain.sensitivity import Hsic, Sobol, asked, hsic
from tests.networks import Textures

A, B = 7.0, 0.1


def ishigami(points):
    """A function with known indices of inputs in [0, 1], the third of which only interacts."""
    x, y, z = (2 * np.pi * points - np.pi).T
    return np.sin(x) + A * np.sin(y) ** 2 + B * z**4 * np.sin(x)


def of_ishigami():
    """Its total indices, by hand (Sobol and Levitan, 1999)."""
    first = (1 + B * np.pi**4 / 5) ** 2 / 2
    second = A**2 / 8
    both = B**2 * np.pi**8 * 8 / 225
    return np.array([first + both, second, both]) / (first + second + both)


def test_total_indices_of_a_function_whose_indices_are_known():
    method = Sobol(designs=4096)
    shown = method.draw(3, 1)
    assert shown.shape == (4096 * 5, 3) and shown.min() >= 0 and shown.max() < 1
    outputs = np.stack([ishigami(shown), 2 * shown[:, 0] + shown[:, 1], 0 * shown[:, 0] + 3], 1)
    found = method.values(shown, outputs)
    np.testing.assert_allclose(found[:, 0], of_ishigami(), atol=0.02)
    np.testing.assert_allclose(found[:, 1], [0.8, 0.2, 0], atol=0.01)  # Variances 4 to 1.
    assert (found[:, 2] == 0).all()  # A constant depends on nothing.


def test_total_indices_are_those_of_the_variance_that_is_left():
    """1 - Var(E[y | all but i]) / Var(y), on a full grid of two inputs and a product."""
    grid = (np.arange(64) + 0.5) / 64
    x, y = np.meshgrid(grid, grid, indexing="ij")
    values = x * y + y
    expected = [1 - values.mean(axis).var() / values.var() for axis in (0, 1)]
    method = Sobol(designs=2048)
    shown = method.draw(2, 5)
    outputs = (shown[:, 0] * shown[:, 1] + shown[:, 1])[:, None]
    np.testing.assert_allclose(method.values(shown, outputs)[:, 0], expected, atol=0.02)


def test_each_region_has_its_column_of_the_second_half():
    shown = Sobol(designs=4).draw(3, 2)
    first, second, mixed = shown[:4], shown[4:8], shown[8:].reshape(3, 4, 3)
    for region in range(3):
        np.testing.assert_array_equal(mixed[region][:, region], second[:, region])
        others = np.arange(3) != region
        np.testing.assert_array_equal(mixed[region][:, others], first[:, others])


def plain_hsic(column, outputs):
    """Gretton's estimate from whole matrices."""
    count = len(outputs)
    distance = np.abs(outputs[:, None] - outputs)
    width = np.median([distance[i, j] for i in range(count) for j in range(i)])
    of_outputs = np.exp(-(distance**2) / (2 * width**2))
    alike = (column[:, None] == column).astype(float)
    centre = np.eye(count) - 1 / count
    return np.trace(alike @ centre @ of_outputs @ centre) / (count - 1) ** 2


def test_hsic_is_the_trace_of_centred_kernels(rng):
    shown = Hsic(samples=60).draw(5, 3)
    assert (shown.sum(0) == 30).all() and set(np.unique(shown)) == {0, 1}
    outputs = shown[:, 0] + 0.3 * shown[:, 1] * shown[:, 2] + 0.05 * rng.standard_normal(60)
    expected = [plain_hsic(column, outputs) for column in shown.T]
    np.testing.assert_allclose(hsic(shown, outputs), expected, rtol=1e-9)
    assert np.argmax(expected) == 0
    assert (hsic(shown, np.ones(60)) == 0).all()


def test_hsic_of_what_matters_stands_out_of_permutations(rng):
    shown = Hsic(samples=400).draw(4, 1)
    outputs = shown[:, 0] * shown[:, 1] + 0.1 * rng.standard_normal(400)  # An interaction alone.
    chance = np.array([hsic(shown, rng.permutation(outputs)) for _ in range(40)])
    found = hsic(shown, outputs)
    assert (found[:2] > chance[:, :2].max(0)).all() and (found[2:] < chance[:, 2:].max(0)).all()


def test_the_network_sees_each_region_blended_with_its_fill():
    model = Textures()
    image = model.normalise(model.image((0, 1, 2, 3))[None])[0]
    perturber = Perturber(Sobol(segments=4, fill="constant", value=0.5), model, image, 0)
    shown = np.array([[1.0, 1, 1, 1], [0.25, 0, 1, 0.5]])
    blended = image.clone()
    for region, share in enumerate(shown[1]):
        where = torch.from_numpy(perturber.labels == region)
        blended[:, where] = share * image[:, where] + (1 - share) * 0.5
    expected = model.predict(torch.stack([image, blended])).double().numpy()
    np.testing.assert_allclose(asked(perturber, shown), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"method": "sobol", "designs": 20}, "designs: .*power of two, such as 32 or 64, not 20"),
        ({"method": "hsic", "samples": 31}, "samples: .*multiple of 2"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(entry, message):
    with pytest.raises(InputError, match=message):
        registry.build([entry])
