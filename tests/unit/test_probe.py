"""Faithfulness, sensitivity and randomisation against cases worked by hand."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional

from shamsul.data.masks import encode
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.base import Explainer
from shamsul.explain.cam import GradCam
from shamsul.explain.control import Random
from shamsul.explain.lrp import LrpZ
from shamsul.explain.shard import Shard, image_seed
from shamsul.explain.surrogate import Lime, SuperpixelOcclusion
from shamsul.geometry import Frame
from shamsul.job.fingerprint import PROJECT
from shamsul.metrics import PROBED, of_group
from shamsul.model import checkpoint
from shamsul.probe import faithfulness, randomisation, reexplain, road, robustness
from shamsul.probe.faithfulness import (
    SQUARES,
    Radiograph,
    area,
    at_model,
    infidelity,
    measure,
)
from shamsul.probe.randomisation import RANDOMISATION
from shamsul.probe.road import Imputer
from shamsul.probe.robustness import ROBUSTNESS
from shamsul.probe.settings import Probe
from shamsul.probe.similarity import (
    CLASS_SPECIFICITY,
    SHAPE,
    complexity,
    effective_complexity,
    sparseness,
    spearman,
)
from shamsul.probe.table import COLUMNS, chosen, most_probable
from shamsul.storage.heatmaps import Heatmaps, RunLengths, write_heatmaps
from shamsul.storage.images import Images, write_images
from shamsul.storage.tables import read_table, write_table
from tests.frames import probe
from tests.networks import Textures, classifier

SIZE = 32
FRAME = Frame.fit(SIZE, SIZE, SIZE, "stretch")
FEW = Probe(images=9, reexplained_images=9, steps=4, squares=12, noisy=2, stages=2)


class Linear(Textures):
    """Classifier-like: each logit is a weighted sum of the pixels."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, 4)).eval()
        generator = torch.Generator().manual_seed(3)
        self.network[1].weight.data = torch.randn(4, 3 * SIZE**2, generator=generator) / SIZE
        self.network[1].bias.data = torch.tensor([0.5, -1.0, 2.0, 0.0])


def grey(seed=0, count=None):
    shape = (SIZE, SIZE) if count is None else (count, SIZE, SIZE)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def images(pictures):
    names = [f"image{number}" for number in range(len(pictures))]
    return Images(np.array(pictures), names, [FRAME] * len(pictures))


def heatmaps(method, model, shard, classes=None, name="method"):
    classes = classes or model.classes
    maps = method.heatmaps(Shard(lambda: model, shard, tuple(classes), 1)).heatmap
    explained = np.ones(maps.shape[:2], bool)
    return Heatmaps(maps, shard.image_id, explained, list(classes), name, {}, "0")


def given_maps(maps, shard, classes="abcd", **more):
    maps = np.asarray(maps, np.float32)
    explained = np.ones(maps.shape[:2], bool)
    return Heatmaps(maps, shard.image_id, explained, list(classes), "given", {}, "0", **more)


def values(table, metric, stage=0):
    own = table[(table["metric"] == metric) & (table["stage"] == stage)]
    return own.set_index(["image_id", "class", "fill"])["value"]


# Order and area


def test_pixels_are_ordered_by_positive_relevance_and_ties_by_the_permutation():
    heatmap = np.array([[-5.0, 2.0], [0.0, 3.0]])
    assert faithfulness.order(heatmap, np.array([0, 1, 2, 3])).tolist() == [3, 1, 0, 2]
    assert faithfulness.order(heatmap, np.array([3, 1, 2, 0])).tolist() == [3, 1, 2, 0]


def test_steps_are_equal_in_area():
    first = faithfulness.steps(np.array([4, 2, 0, 1, 5, 3]), 3)
    assert first.tolist() == [
        [False, False, True, False, True, False],
        [True] * 3 + [False, True, False],
    ]


def test_area_of_a_curve_by_hand():
    # Shares 1, 0.5, 0 at 0, 1/2, 1: two trapezoids of 0.75 and 0.25, each half a unit wide.
    assert area(np.array([3.0]), 5.0, 1.0, rising=False) == pytest.approx(0.5)
    assert area(np.array([4.0, 2.0]), 5.0, 1.0, rising=False) == pytest.approx(
        (0.875 + 0.5 + 0.125) / 3
    )
    assert area(np.array([2.0, 4.0]), 5.0, 1.0, rising=True) == pytest.approx(0.5)
    assert area(np.array([9.0]), 5.0, 1.0, rising=True) == pytest.approx(0.75)  # Cut at 1.
    assert area(np.array([-9.0]), 5.0, 1.0, rising=True) == pytest.approx(0.25)  # And at 0.
    assert np.isnan(area(np.array([3.0]), 1.0, 1.0, rising=True))
    assert np.isnan(area(np.array([3.0]), 1.0, 5.0, rising=True))  # Nothing to take away.


@pytest.mark.parametrize("fill", ["mean", "blur", "noise"])
def test_contributions_to_a_linear_logit_are_its_curve_and_wholly_faithful(fill):
    model = Linear()
    radiograph = Radiograph.of(model, grey(), (fill,), 5)
    difference = radiograph.image - radiograph.fills[fill]
    # Every pixel is evidence, so that none is cut off.
    model.network[1].weight.data[3] *= 0
    model.network[1].weight.data[3] += model.network[1].weight[1].abs() * difference.sign().ravel()
    own = (model.network[1].weight[3].view(3, SIZE, SIZE) * difference).sum(0).detach().numpy()
    radiograph = Radiograph.of(model, grey(), (fill,), 5)
    settings = Probe(metrics=("deletion", "insertion", "infidelity"), steps=8, squares=20)
    measured = measure(radiograph, [own.astype(float)], [3], Imputer(SIZE), settings)
    found = {metric: value for _, metric, _, value in measured}
    share = np.cumsum(np.sort(own.ravel())[::-1])[SIZE**2 // 8 - 1 :: SIZE**2 // 8] / own.sum()
    assert found["insertion"] == pytest.approx(np.trapezoid([0, *share]) / 8, abs=1e-4)
    assert found["deletion"] == pytest.approx(1 - np.trapezoid([0, *share]) / 8, abs=1e-4)
    assert found["infidelity"] == pytest.approx(0, abs=1e-6)


def test_deletion_of_a_linear_model_by_hand():
    model = Linear()
    # Left half white, right half black; its mean is grey, and weights make both halves evidence.
    picture = np.zeros((SIZE, SIZE), np.uint8)
    picture[:, : SIZE // 2] = 255
    weight = torch.zeros(4, 3, SIZE, SIZE)
    weight[2, :, :, : SIZE // 2], weight[2, :, :, SIZE // 2 :] = 3.0, -1.0
    model.network[1].weight.data = weight.flatten(1)
    radiograph = Radiograph.of(model, picture, ("mean",), 1)
    heatmap = np.where(picture > 0, 3.0, 1.0)
    settings = Probe(metrics=("deletion", "insertion"), fills=("mean",), steps=4)
    found = {m: v for _, m, _, v in measure(radiograph, [heatmap], [2], Imputer(SIZE), settings)}
    # The left half holds three quarters of the evidence and goes first.
    left = [1, 1 - 3 / 8, 1 - 3 / 4, 1 - 7 / 8, 0]
    assert found["deletion"] == pytest.approx(np.trapezoid(left) / 4, abs=1e-6)
    assert found["insertion"] == pytest.approx(1 - np.trapezoid(left) / 4, abs=1e-6)
    backwards = np.where(picture > 0, 1.0, 3.0)
    found = {m: v for _, m, _, v in measure(radiograph, [backwards], [2], Imputer(SIZE), settings)}
    right = [1, 7 / 8, 3 / 4, 3 / 8, 0]
    assert found["deletion"] == pytest.approx(np.trapezoid(right) / 4, abs=1e-6)


def test_a_constant_map_scores_as_chance_wherever_the_evidence_is():
    model = Linear()
    picture = np.zeros((SIZE, SIZE), np.uint8)
    picture[: SIZE // 2] = 255  # All evidence is at the top, where a raster would begin.
    weight = torch.zeros(4, 3, SIZE, SIZE)
    weight[0, :, : SIZE // 2] = 1
    model.network[1].weight.data = weight.flatten(1)
    settings = Probe(metrics=("deletion", "insertion"), fills=("mean",), steps=8)
    found = {"deletion": [], "insertion": []}
    for seed in range(10):
        radiograph = Radiograph.of(model, picture, ("mean",), seed)
        constant = [np.full((SIZE, SIZE), 0.3)]
        for _, metric, _, value in measure(radiograph, constant, [0], Imputer(SIZE), settings):
            found[metric].append(value)
    for of_seeds in found.values():
        assert np.allclose(of_seeds, 0.5, atol=0.04) and len(set(of_seeds)) > 1


# Infidelity


def test_infidelity_by_hand():
    hidden = np.array([[[True, False]], [[False, True]]])
    falls = np.array([2.0, 1.0])
    # a = (1, 1), d = (2, 1): 1 - E[ad]^2 / E[a^2] E[d^2] = 1 - 1.5^2 / 2.5.
    assert infidelity(np.array([[1.0, 1.0]]), hidden, falls) == pytest.approx(0.1)
    assert infidelity(np.array([[4.0, 2.0]]), hidden, falls) == 0
    assert infidelity(np.array([[-2.0, -1.0]]), hidden, falls) == 1  # The wrong sign.
    assert infidelity(np.array([[0.0, 0.0]]), hidden, falls) == 1
    assert np.isnan(infidelity(np.array([[1.0, 1.0]]), hidden, np.zeros(2)))


@settings(max_examples=50, deadline=None)
@given(st.integers(8, 60), st.integers(0, 30), st.booleans(), st.integers(0, 1000))
def test_squares_are_squares_within_the_image(side, more, lying, seed):
    size = (side, side + more) if lying else (side + more, side)
    for square in faithfulness.squares(5, size, np.random.default_rng(seed)):
        assert square.shape == size
        rows, columns = np.flatnonzero(square.any(1)), np.flatnonzero(square.any(0))
        assert len(rows) == len(columns) and square.sum() == len(rows) ** 2
        assert side / 8 - 0.5 <= len(rows) <= side / 2 + 0.5


# ROAD


def test_a_missing_pixel_is_the_weighted_mean_of_its_neighbours():
    image = np.array([[1.0, 2, 3, 0], [4, 0, 6, 0], [7, 8, 9, 0], [0, 0, 0, 0]])
    hidden = np.zeros((4, 4), bool)
    hidden[1, 1] = True
    expected = (2 + 4 + 6 + 8) / 6 + (1 + 3 + 7 + 9) / 12
    assert Imputer(4)(image, hidden)[1, 1] == pytest.approx(expected)
    corner = np.zeros((4, 4), bool)
    corner[0, 0] = True
    # In the corner two neighbours beside it and one diagonal one: weights 2, 2 and 1.
    assert Imputer(4)(image, corner)[0, 0] == pytest.approx((2 * 2 + 2 * 4 + 0) / 5)
    assert (Imputer(4)(image, hidden)[~hidden] == image[~hidden]).all()


def test_a_slope_is_imputed_as_it_was():
    slope = np.add.outer(3.0 * np.arange(12), 2.0 * np.arange(12))
    hidden = np.zeros((12, 12), bool)
    hidden[2:9, 3:10] = True
    np.testing.assert_allclose(Imputer(12)(slope, hidden), slope, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10_000), st.floats(0, 0.98))
def test_missing_pixels_solve_the_equations_of_the_paper(height, width, seed, share):
    generator, size = np.random.default_rng(seed), (height, width)
    image, hidden = generator.random(size), generator.random(size) < share
    if hidden.all():
        return
    # One equation for each pixel, written out: itself, or the weighted mean of its neighbours.
    places = list(np.ndindex(size))
    system, right = np.eye(height * width), image.ravel().copy()
    for row, (y, x) in enumerate(places):
        if not hidden[y, x]:
            continue
        right[row] = 0
        weights = {
            column: 1 / 6 if 0 in (v - y, u - x) else 1 / 12
            for column, (v, u) in enumerate(places)
            if max(abs(v - y), abs(u - x)) == 1
        }
        for column, weight in weights.items():
            system[row, column] = -weight / sum(weights.values())
    expected = np.linalg.solve(system, right).reshape(size)
    np.testing.assert_allclose(Imputer(size)(image, hidden), expected, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 0.98))
def test_what_is_imputed_lies_between_what_is_known(seed, share):
    generator = np.random.default_rng(seed)
    image, hidden = generator.random((9, 9)), generator.random((9, 9)) < share
    if hidden.all():
        return
    found = Imputer(9)(image, hidden)
    low, high = image[~hidden].min(), image[~hidden].max()
    assert low - 1e-9 <= found.min() and found.max() <= high + 1e-9


def test_noise_is_of_the_imputed_pixels_alone_and_of_its_size(monkeypatch):
    order = np.arange(SIZE**2)
    noisy = road.imputed(Imputer(SIZE), grey(), order, 1)
    monkeypatch.setattr(road, "NOISE", 0)
    plain = road.imputed(Imputer(SIZE), grey(), order, 1)
    difference = (noisy - plain)[0, 2].ravel()
    assert not difference[SIZE**2 // 2 :].any()
    assert difference[: SIZE**2 // 2].std() == pytest.approx(2.55, rel=0.2)
    assert (plain[1, 0].ravel()[: SIZE**2 // 2] == grey().ravel()[: SIZE**2 // 2]).all()


# A network that looks for textures.

PLACED = [(0, 0, 1, 2), (3, 1, 2, 3)]
"""The texture of each quadrant of two images."""
PRESENT = [("image0", "a"), ("image0", "b"), ("image0", "c")]
PRESENT += [("image1", "b"), ("image1", "c"), ("image1", "d")]


@pytest.fixture(scope="module")
def textured():
    return images([Textures.image(placed).numpy() for placed in PLACED])


def quadrant_maps(order=(0, 1, 2, 3)):
    """Of each class the quadrants that have its texture."""
    maps = [[np.equal(placed, index).reshape(2, 2) for index in order] for placed in PLACED]
    return np.array(maps, np.float32)


PLAIN = Probe(
    images=2, classes=4, metrics=("deletion", "insertion", "road", "infidelity", "random_logit")
)


def test_maps_of_the_right_quadrants_are_faithful_and_others_are_not(textured):
    right, wrong = (
        probe(Textures(), textured, given_maps(maps, textured), Random(), PLAIN, 1)
        for maps in (quadrant_maps(), 1 - quadrant_maps())
    )
    # A texture raises its logit by three times as much as any other lowers it: in one quadrant it
    # makes no evidence that could be taken away, in two it does.
    evident = [("image0", "a"), ("image1", "d")]
    for metric, sign, pairs in (
        ("insertion", 1, evident),
        ("deletion", -1, evident),
        ("infidelity", -1, PRESENT),
        ("road", 1, PRESENT),
    ):
        margin = sign * (values(right, metric) - values(wrong, metric))
        for image_id, name in pairs:
            assert (margin[image_id, name] > 0.02).all(), (metric, image_id, name)
    assert values(right, "deletion").isna().sum() == 6 * 3


@pytest.mark.parametrize("order", [(2, 0, 3, 1), (3, 2, 1, 0)])
def test_a_class_is_probed_by_its_own_logit_whatever_its_place(textured, order):
    plain = probe(Textures(), textured, given_maps(quadrant_maps(), textured), Random(), PLAIN, 1)
    named = "".join("abcd"[index] for index in order)
    moved = given_maps(quadrant_maps(order), textured, named)
    for model in (Textures(), Textures(order)):
        found = probe(model, textured, moved, Random(), PLAIN, 1)
        pd.testing.assert_frame_equal(found, plain, rtol=1e-5, atol=1e-5)


def test_a_map_that_says_nothing_scores_as_chance_does(textured):
    few = Probe(images=2, classes=4, metrics=("insertion", "deletion", "infidelity"))
    constant = given_maps(np.full((2, 4, 7, 7), 0.3), textured)
    negative = given_maps(-quadrant_maps(), textured)
    tables = [probe(Textures(), textured, own, Random(), few, 1) for own in (constant, negative)]
    for metric in ("insertion", "deletion"):
        # No positive relevance in either: the same order, the image's own permutation.
        pd.testing.assert_series_equal(*(values(table, metric) for table in tables))


def test_random_logit_is_the_mean_correlation_with_the_other_classes(textured):
    maps = np.random.default_rng(0).random((2, 4, SIZE, SIZE)).astype(np.float32)
    table = probe(Textures(), textured, given_maps(maps, textured), Random(), PLAIN, 1)
    for (name, own, _), value in values(table, "random_logit").items():
        row, index = int(name[-1]), "abcd".index(own)
        others = [
            spearmanr(maps[row, index].ravel(), maps[row, o].ravel())[0]
            for o in range(4)
            if o != index
        ]
        assert value == pytest.approx(np.mean(others), abs=1e-4)


# Similarity


def test_spearman_is_scipys_and_defined_for_constants():
    generator = np.random.default_rng(1)
    a, b = generator.integers(0, 9, (2, 12, 12)).astype(float)
    assert spearman(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel())[0])
    assert spearman(a, np.zeros((12, 12))) == 0 == spearman(np.ones((12, 12)), a)
    assert spearman(np.zeros((3, 3)), np.ones((3, 3))) == 1
    assert np.isnan(spearman(a, np.full((12, 12), np.nan)))


def test_complexity_is_the_entropy_of_the_values():
    assert complexity(np.zeros((4, 4))) == 0
    assert complexity(np.repeat([-1.0, 7.0], 8)) == pytest.approx(np.log(2))
    assert complexity(np.arange(1000.0)) == pytest.approx(np.log(100), abs=1e-3)
    assert complexity(np.array([0, 0, 0, 1.0])) == pytest.approx(np.log(4) - 0.75 * np.log(3))
    assert np.isnan(complexity(np.array([0, np.inf])))


def test_efficient_mprt_is_the_relative_rise_of_complexity():
    halves, quarters = np.repeat([0.0, 1], 8), np.repeat([0.0, 1, 2, 3], 4)
    assert randomisation.efficient_mprt(halves, [quarters]) == pytest.approx(1)
    assert randomisation.efficient_mprt(quarters, [halves]) == pytest.approx(-0.5)
    assert randomisation.efficient_mprt(np.zeros(16), [quarters]) == 0


def test_max_sensitivity_by_hand():
    heatmap = np.array([[3.0, 4.0]])
    others = np.array([[[3.0, 4.0]], [[3.0, 6.0]], [[4.0, 4.0]]])
    assert robustness.max_sensitivity(heatmap, others) == pytest.approx(2 / 5)
    assert robustness.max_sensitivity(np.zeros((1, 2)), others) == pytest.approx(np.sqrt(45))


# Randomisation


def test_blocks_run_from_the_input_to_the_output():
    dense = ["conv0", "norm0", "denseblock1", "transition1", "denseblock2", "transition2"]
    expected = [*(f"features.{name}" for name in [*dense, "denseblock3", "norm5"]), "classifier"]
    assert randomisation.blocks(classifier("densenet_small").network) == expected
    resnet = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"]
    assert randomisation.blocks(classifier("resnet18").network) == resnet
    efficient = [*(f"features.{number}" for number in range(9)), "classifier"]
    assert randomisation.blocks(classifier("efficientnet_b0").network) == efficient


@pytest.mark.parametrize("name", ["densenet_small", "resnet18", "efficientnet_b0"])
def test_the_network_is_randomised_from_the_output_down_and_left_as_it_was(name):
    model = classifier(name)
    before = {key: tensor.clone() for key, tensor in model.network.state_dict().items()}
    names = randomisation.blocks(model.network)

    def changed(network):
        after = network.network.state_dict()
        return {
            block
            for block in names
            for key in before
            if key.startswith(f"{block}.") and not torch.equal(after[key], before[key])
        }

    stages = [changed(network) for network in randomisation.randomised(model, 3, 1)]
    thirds = [part.tolist() for part in np.array_split(names[::-1], 3)]
    assert stages[0] == set(thirds[0]) and stages[1] == {*thirds[0], *thirds[1]}
    assert stages[2] == set(names)
    assert all(torch.equal(model.network.state_dict()[key], before[key]) for key in before)
    one, two = (next(randomisation.randomised(model, 1, seed)).digest() for seed in (1, 2))
    assert one != two and one == next(randomisation.randomised(model, 1, 1)).digest()


def test_a_randomised_network_that_sees_no_image_tells_nothing(monkeypatch):
    model, shard = classifier("densenet_small", SIZE), images(grey(count=2))
    monkeypatch.setattr("shamsul.probe.table.randomised", lambda *_: iter([None, model]))
    few = Probe(images=2, reexplained_images=2, metrics=("mprt", "efficient_mprt"), stages=2)
    found = probe(model, shard, heatmaps(LrpZ(), model, shard), LrpZ(), few, 1)
    # The other stage is the network itself, and its maps are the same.
    assert values(found, "mprt", 1).isna().all() and (values(found, "mprt", 2) == 1).all()
    assert values(found, "mprt").isna().all() and (values(found, "efficient_mprt") == 0).all()


def test_a_method_that_does_not_look_at_the_weights_fails_and_one_that_does_passes():
    class Blind(Explainer):
        method, title, citation, cost, signed = "blind", "Blind", "", "forward", False

        def explain(self, model, images, classes, seeds):
            return images.mean(1)[:, None].expand(-1, len(classes), -1, -1)

    model, shard = classifier("densenet_small", SIZE), images(grey(count=3))
    few = Probe(images=3, reexplained_images=3, metrics=("mprt", "efficient_mprt"), stages=3)
    blind = probe(model, shard, heatmaps(Blind(), model, shard), Blind(), few, 1)
    assert all((values(blind, "mprt", stage) > 0.999).all() for stage in range(4))
    assert (values(blind, "efficient_mprt").abs() < 1e-6).all()
    seeing = probe(model, shard, heatmaps(LrpZ(), model, shard), LrpZ(), few, 1)
    assert (values(seeing, "mprt", 3).abs() < 0.3).all()
    mean = np.mean([values(seeing, "mprt", stage) for stage in (1, 2, 3)], axis=0)
    np.testing.assert_allclose(values(seeing, "mprt"), mean)


def test_sensitivity_to_noise_is_that_of_the_method():
    class Copy(Explainer):
        method, title, citation, cost, signed = "copy", "Copy", "", "forward", False

        def explain(self, model, images, classes, seeds):
            red = (images[:, :1] * model.std[0, 0] + model.mean[0, 0]) * 255
            return red.expand(-1, len(classes), -1, -1)

    model, shard = classifier("densenet_small", SIZE), images(grey(count=2))
    few = Probe(images=2, reexplained_images=2, metrics=("max_sensitivity",), radius=0.1, noisy=5)
    found = values(
        probe(model, shard, heatmaps(Copy(), model, shard), Copy(), few, 1), "max_sensitivity"
    )
    for (name, *_), value in found.items():
        # Uniform noise of up to r has the deviation r / sqrt 3.
        norm = np.linalg.norm(shard.image[int(name[-1])].astype(float))
        assert value == pytest.approx(255 * 0.1 / np.sqrt(3) * SIZE / norm, rel=0.1)


def test_a_draw_of_the_methods_own_is_no_sensitivity():
    class Drawn(Explainer):
        method, title, citation, cost, signed = "drawn", "Drawn", "", "forward", False

        def explain(self, model, images, classes, seeds):
            draws = [np.random.default_rng(seed).random((1, 4, 4)) for seed in seeds]
            return torch.from_numpy(np.array(draws)).expand(-1, len(classes), -1, -1)

    model, shard = classifier("densenet_small", SIZE), images(grey(count=3))
    few = Probe(images=3, reexplained_images=3, metrics=("max_sensitivity",), noisy=2)
    table = probe(model, shard, heatmaps(Drawn(), model, shard), Drawn(), few, 1)
    assert len(table) == 6 and (table["value"] == 0).all()


def test_each_image_is_explained_for_its_own_classes():
    model, pictures = classifier("densenet_small", SIZE), grey(count=3)
    classes = np.array([[3, 1], [0, 2], [2, 3]])
    found = reexplain.explained(
        LrpZ(), model, torch.from_numpy(pictures.astype(np.float32)), classes, [0, 0, 0]
    )
    expected = heatmaps(LrpZ(), model, images(pictures)).heatmap
    for own, maps, wanted in zip(found, expected, classes, strict=True):
        np.testing.assert_array_equal(own, maps[wanted])


# What a value depends on

EXPLAINERS = {
    "grad_cam": GradCam(),
    "lrp_z": LrpZ(),
    "lime": Lime(samples=40, segments=8),
    "untrained": GradCam(network="untrained"),
}


@pytest.mark.parametrize("name", EXPLAINERS)
def test_a_value_depends_on_its_own_image_alone(name):
    method = EXPLAINERS[name]
    model, shard = classifier("densenet_small", SIZE), images(grey(count=5))
    table = probe(model, shard, heatmaps(method, model, shard), method, FEW, 1)
    assert set(table["metric"]) == set(FEW.metrics) and set(table["image_id"]) == set(
        shard.image_id
    )
    assert (table.groupby("image_id")["class"].nunique() == 2).all()
    rows = [3, 1]
    part = Images(shard.image[rows], [shard.image_id[row] for row in rows], [FRAME] * 2)
    model.batch_size = 3
    alone = probe(model, part, heatmaps(method, model, part), method, FEW, 1)
    same = table[table["image_id"].isin(part.image_id)].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, same, check_exact=True)


def test_images_are_chosen_by_their_names():
    names = [f"p{number}" for number in range(40)]
    before = {names[row] for row in chosen(names, 10, 1)}
    more = [*names[:20], "new", *names[20:]]
    after = {more[row] for row in chosen(more, 10, 1)}
    assert len(before) == 10 and len(before - after) <= 1
    assert after == {more[::-1][row] for row in chosen(more[::-1], 10, 1)}
    assert before != {names[row] for row in chosen(names, 10, 2)}


def test_the_most_probable_classes_are_probed():
    model, shard = Textures(), images([Textures.image((0, 0, 0, 2)).numpy()])
    maps = given_maps(np.ones((1, 3, 4, 4)), shard, "dca")
    one = Probe(images=1, classes=1, metrics=("road",))
    assert probe(model, shard, maps, Random(), one, 1)["class"].tolist() == ["a"]
    two = one.model_copy(update={"classes": 2})
    assert probe(model, shard, maps, Random(), two, 1)["class"].tolist() == ["a", "c"]


def test_a_map_that_is_not_there_is_one_of_zeros(textured):
    maps, blank = (given_maps(quadrant_maps(), textured) for _ in range(2))
    maps.explained[0, 1], blank.heatmap[0, 1] = False, 0
    table, zeros = (probe(Textures(), textured, own, Random(), PLAIN, 1) for own in (maps, blank))
    missing = (table["image_id"] == "image0") & (table["class"] == "b")
    assert (table["explained"] == ~missing).all()
    for metric in ("deletion", "insertion", "road", "infidelity"):
        pd.testing.assert_series_equal(values(table, metric), values(zeros, metric))
    # Nothing is compared with what is not there.
    assert ("image0", "b", "") not in values(table, "random_logit").index
    assert len(values(table, "random_logit")) == 7


class Recording(Explainer):
    """Notes which weights it is asked about, and with what seeds."""

    method, title, citation, cost, signed = "recording", "Recording", "", "forward", True

    def explain(self, model, images, classes, seeds):
        calls.append((model.digest(), [model.classes[index] for index in classes], seeds))
        return images[:, :1].expand(-1, len(classes), -1, -1) * (1 + classes[:, None, None])


calls = []
"""Of `Recording`."""


def test_another_checkpoint_and_another_seed_are_those_that_are_asked_again(tmp_path):
    model, shard = classifier("densenet_small", SIZE), images(grey(count=2))
    other = classifier("resnet18", SIZE)
    other.spec = other.spec.model_copy(update={"classes": tuple("dcba")})
    checkpoint.save(other, tmp_path / "c.pt", {})
    few = Probe(images=2, reexplained_images=2, classes=1, metrics=("max_sensitivity",), noisy=1)
    most = most_probable(model, shard.image, list("abcd"), 1)
    seeds = {seed: [image_seed(seed, name) for name in shard.image_id] for seed in (5, 7)}
    for options, digest, seed in (
        ({}, model.digest(), 7),
        ({"seed": 5}, model.digest(), 5),
        ({"checkpoint": str(tmp_path / "c.pt")}, other.digest(), 7),
    ):
        calls.clear()
        method = Recording(**options)
        table = probe(model, shard, given_maps(np.ones((2, 4, 7, 7)), shard), method, few, 7)
        assert {of for of, _, _ in calls} == {digest}
        assert {name for _, names, _ in calls for name in names} == {"abcd"[i] for i in most.flat}
        assert {own for _, _, drawn in calls for own in drawn} == set(seeds[seed])
        assert table["class"].tolist() == ["abcd"[index] for index in most[:, 0]]


def test_faithfulness_asks_the_network_that_the_map_explains(tmp_path, monkeypatch):
    run, other = Linear(), classifier("densenet_small", SIZE)
    other.spec = other.spec.model_copy(update={"classes": tuple("dcba")})
    checkpoint.save(other, tmp_path / "c.pt", {})
    shard = images(grey(count=2))
    maps = np.random.default_rng(2).random((2, 4, SIZE, SIZE))
    few = Probe(
        images=2, reexplained_images=0, classes=4, metrics=("road", "infidelity", "random_logit")
    )
    given, moved = given_maps(maps, shard), given_maps(maps[:, ::-1], shard, "dcba")
    asked = GradCam(checkpoint=str(tmp_path / "c.pt"))
    found = probe(run, shard, given, asked, few, 1)
    # As where the other network is the run's.
    pd.testing.assert_frame_equal(found, probe(other, shard, moved, GradCam(), few, 1))
    plain = probe(run, shard, given, Random(), few, 1)
    assert (values(found, "road") != values(plain, "road")).all()
    # A control of random weights is held to the network that was trained.
    untrained = asked.model_copy(update={"network": "untrained"})
    pd.testing.assert_frame_equal(found, probe(run, shard, given, untrained, few, 1))


@pytest.mark.parametrize("geometry", ["stretch", "pad", "crop"])
def test_of_a_finer_map_each_pixel_is_the_mean(geometry):
    frame = Frame.fit(8 * SIZE, 4 * SIZE, SIZE, geometry)
    fine = np.random.default_rng(1).random((8 * SIZE, 4 * SIZE)).astype(np.float32)
    if geometry == "stretch":
        expected = cv2.resize(fine, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    elif geometry == "pad":
        expected = np.zeros((SIZE, SIZE))
        inner = cv2.resize(fine, (SIZE // 2, SIZE), interpolation=cv2.INTER_AREA)
        expected[:, SIZE // 4 : -SIZE // 4] = inner
    else:
        cut = fine[2 * SIZE : 6 * SIZE]
        expected = cv2.resize(cut, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(at_model(fine, frame, "radiograph"), expected, atol=1e-5)


def test_no_small_outline_is_lost_wherever_it_is():
    frame = Frame.fit(350, 290, SIZE, "stretch")
    sums = []
    for at in range(60, 100):
        drawn = np.zeros((350, 290), np.float32)
        drawn[at : at + 3, at : at + 3] = 1
        sums.append(at_model(drawn, frame, "radiograph").sum())
    # Of nine pixels as many as they are of the frame.
    np.testing.assert_allclose(sums, 9 * SIZE**2 / (350 * 290), rtol=0.25)


def test_coarser_maps_are_interpolated_as_torch_does():
    coarse = np.random.default_rng(1).random((7, SIZE)).astype(np.float32)
    expected = functional.interpolate(
        torch.from_numpy(coarse)[None, None], (SIZE, SIZE), mode="bilinear", align_corners=False
    )
    found = at_model(coarse, FRAME, "frame")
    np.testing.assert_allclose(found, expected[0, 0].numpy(), atol=1e-5)


def test_segmentations_are_probed_too(textured):
    masks = np.kron(quadrant_maps(), np.ones((60, 40))) > 0
    counts = np.array([[encode(mask) for mask in row] for row in masks], object)
    lengths = RunLengths(counts, np.broadcast_to([120, 80], (2, 4, 2)))
    explained = np.ones((2, 4), bool)
    maps = Heatmaps(
        lengths, textured.image_id, explained, list("abcd"), "seg", {}, "0", covers="radiograph"
    )
    table = probe(Textures(), textured, maps, Random(), PLAIN, 1)
    nearest = given_maps(np.kron(quadrant_maps(), np.ones((16, 16))), textured)
    expected = probe(Textures(), textured, nearest, Random(), PLAIN, 1)
    for metric in ("deletion", "insertion", "infidelity"):
        np.testing.assert_allclose(values(table, metric), values(expected, metric), atol=0.02)


@pytest.mark.parametrize("geometry", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", [(SIZE, SIZE), (48, SIZE), (SIZE, 48)])
def test_maps_of_the_radiograph_are_brought_to_the_frame(geometry, size):
    frame = Frame.fit(90, 60, size, geometry)
    at = (np.arange(48) + 0.5) / 48
    slope = np.add.outer(2 * at, at)  # A function of the place in the radiograph, 0 to 1.
    found = at_model(slope, frame, "radiograph")
    y = ((np.arange(size[0]) + 0.5) - frame.offset_y) / (frame.scale_y * 90)
    x = ((np.arange(size[1]) + 0.5) - frame.offset_x) / (frame.scale_x * 60)
    expected = np.add.outer(2 * y, x)
    inside = np.logical_and.outer((y > 0.05) & (y < 0.95), (x > 0.05) & (x < 0.95))
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-4)
    assert not found[:, (x < 0) | (x > 1)].any()
    assert np.ptp(at_model(np.full((7, 7), 0.3), frame, "frame")) == 0


def test_methods_that_do_not_ask_the_model_are_not_asked_again(textured):
    table = probe(Textures(), textured, given_maps(quadrant_maps(), textured), Random(), FEW, 1)
    own_metrics = {"sparseness", "effective_complexity", "random_logit"}
    assert set(table["metric"]) == {"deletion", "insertion", "road", "infidelity", *own_metrics}


def test_shared_predictions_become_the_methods_own():
    perturbations = {
        "samples": 44, "segments": 9, "fill": "blur", "value": 0.0, "superpixels": "grid",
        "compactness": 0.1, "sigma": 1.0, "scale": "model",
    }  # fmt: skip
    own = reexplain.alone(Lime(shared=True, kernel_width=0.5), perturbations)
    assert own == Lime(kernel_width=0.5, samples=44, segments=9, fill="blur", superpixels="grid")
    own = reexplain.alone(SuperpixelOcclusion(shared=True), perturbations)
    assert own == SuperpixelOcclusion(segments=9, fill="blur", superpixels="grid")
    assert reexplain.alone(Lime(), None) == Lime()


def test_what_does_not_belong_together_is_refused(textured):
    maps = given_maps(quadrant_maps(), textured)
    other = Images(textured.image, ["x", "y"], textured.frames)
    with pytest.raises(InputError, match="given: heatmaps are of other images"):
        probe(Textures(), other, maps, Random(), PLAIN, 1)
    small = Images(textured.image[:, :16, :16], textured.image_id, textured.frames)
    with pytest.raises(InputError, match=r"images are of 16 x 16 pixels"):
        probe(Textures(), small, maps, Random(), PLAIN, 1)


@pytest.mark.parametrize("settings", [FEW, FEW.model_copy(update={"images": 0})])
def test_of_no_images_there_is_an_empty_table(tmp_path, settings):
    model, shard = classifier("densenet_small", SIZE), images(grey(count=2))
    if settings.images:
        shard = Images(shard.image[:0], [], [])
    table = probe(model, shard, heatmaps(GradCam(), model, shard), GradCam(), settings, 1)
    write_table(table, tmp_path / "p.parquet")
    table = read_table(tmp_path / "p.parquet")
    assert table.empty and list(table) == list(COLUMNS)
    assert table["value"].dtype == float and table["stage"].dtype == int


def test_the_script_writes_what_was_measured(tmp_path):
    model, shard = classifier("densenet_small", SIZE), images(grey(count=2))
    checkpoint.save(model, tmp_path / "c.pt", {})
    write_images(shard, tmp_path / "i.h5")
    made = dataclasses.replace(heatmaps(GradCam(), model, shard), checkpoint=model.digest())
    write_heatmaps(made, tmp_path / "h.h5")
    given = {
        "seed": 1, "classes": list("abcd"), "probe": FEW.model_dump(),
        "entry": registry.entry(GradCam()), "module": "shamsul.explain.cam", "perturbations": None,
    }  # fmt: skip
    done = subprocess.run(
        [
            *(sys.executable, PROJECT / "scripts" / "probe.py", "--settings", json.dumps(given)),
            *("--checkpoint", tmp_path / "c.pt", "--images", tmp_path / "i.h5"),
            *("--heatmaps", tmp_path / "h.h5", "--probes", tmp_path / "p.parquet"),
            *("--device", "cpu"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    table = read_table(tmp_path / "p.parquet")
    assert list(table) == list(COLUMNS) and table["value"].dtype == float
    model = checkpoint.load(tmp_path / "c.pt")
    pd.testing.assert_frame_equal(
        table, probe(model, shard, heatmaps(GradCam(), model, shard), GradCam(), FEW, 1)
    )


def test_sparseness_is_the_mean_difference_of_two_cells_over_twice_the_mean(rng):
    """Gini's own definition, over all pairs; Quantus sums ranks of the same values."""
    heatmap = rng.standard_normal((5, 7))
    values = np.abs(heatmap).ravel()
    pairs = np.abs(values[:, None] - values).mean()
    assert sparseness(heatmap) == pytest.approx(pairs / (2 * values.mean()), rel=1e-12)
    ordered, ranks = np.sort(values + 1e-7), np.arange(1, 36)
    of_quantus = ((2 * ranks - 36) * ordered).sum() / (35 * ordered.sum())
    assert sparseness(heatmap) == pytest.approx(of_quantus, abs=1e-6)
    assert sparseness(3 * heatmap) == pytest.approx(sparseness(heatmap))


def test_sparseness_and_effective_complexity_of_plain_maps():
    alone = np.zeros((4, 5))
    alone[1, 2] = -3
    assert sparseness(alone) == pytest.approx(1 - 1 / 20) and effective_complexity(alone) == 1 / 20
    for level in (0.0, 2.0):
        same = np.full((4, 5), level)
        assert sparseness(same) == pytest.approx(0) and effective_complexity(same) == (level > 0)
    alone[0, :2] = 1e-5 * 3, 1.1e-5 * 3  # The first is negligible, as Quantus has it for max 1.
    assert effective_complexity(alone) == 2 / 20
    alone[0, 0] = np.nan
    assert np.isnan(sparseness(alone)) and np.isnan(effective_complexity(alone))


def test_every_metric_that_is_declared_as_asking_the_model_again_is_measured():
    shared = {**ROBUSTNESS, **RANDOMISATION, **CLASS_SPECIFICITY, **SHAPE, **SQUARES}
    assert {*shared, "deletion", "insertion", "road"} == set(of_group(*PROBED))
