"""Shared perturbed predictions: what is drawn, how it is weighted, and how it is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from shamsul import config
from shamsul.errors import InputError
from shamsul.explain import registry, shared_perturbations
from shamsul.explain.kernel_shap import KernelShap
from shamsul.explain.perturbation import Perturbed
from shamsul.explain.settings import Perturbations
from shamsul.explain.shard import Shard
from shamsul.explain.surrogate import Lime, SuperpixelOcclusion, SuperpixelRise
from shamsul.storage.images import Images
from shamsul.storage.perturbed import write_perturbed
from tests.networks import Textures, classifier

METHODS = (Lime, KernelShap, SuperpixelRise, SuperpixelOcclusion)


@pytest.mark.parametrize(("superpixels", "samples"), [(2, 8), (3, 20), (4, 16), (9, 60), (50, 301)])
def test_every_subset_has_its_complement_and_the_fixed_ones_are_there(superpixels, samples):
    subsets = shared_perturbations.design(superpixels, samples, 3)
    assert samples - 1 <= len(subsets) <= samples
    assert not subsets[0].any() and subsets[1].all()
    assert np.array_equal(subsets[::2], ~subsets[1::2])
    sizes = subsets.sum(1)
    assert (sizes == 1).sum() >= superpixels and (sizes == superpixels - 1).sum() >= superpixels


@pytest.mark.parametrize("superpixels", [3, 6])
def test_weighted_by_their_chance_all_subsets_are_equally_likely(superpixels):
    total = np.zeros(2**superpixels)
    bits = 1 << np.arange(superpixels)
    for seed in range(3000):
        subsets = shared_perturbations.design(superpixels, 40, seed)
        np.add.at(total, subsets @ bits, shared_perturbations.chance(subsets))
    share = total / total.sum() * 2**superpixels
    np.testing.assert_allclose(share, 1, atol=0.06)


def test_chance_is_finite_for_a_thousand_superpixels():
    weights = shared_perturbations.chance(shared_perturbations.design(1500, 6500, 0))
    assert np.isfinite(weights).all() and weights.mean() == pytest.approx(1)


@pytest.fixture
def stored(tmp_path):
    model = classifier("densenet_small", size=48)
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(3, 1, 8, 8, generator=generator)
    grey = torch.nn.functional.interpolate(coarse, size=48, mode="bilinear")[:, 0]
    pictures = (255 * grey).to(torch.uint8).numpy()
    images = Images(pictures, ["x", "y", "z"], [])
    settings = Perturbations(samples=600, segments=12, fill="blur")
    write_perturbed(shared_perturbations.ask(settings, model, images, 7), tmp_path / "p.h5")
    return model, images, str(tmp_path / "p.h5")


def test_shared_predictions_are_kept_whole(stored):
    model, images, path = stored
    classes, found = shared_perturbations.read(path, images.image_id)
    assert len(found) == 3
    everything = found[1].subsets.all(1).argmax()
    expected = model.predict(model.normalise(images.image[1:2]))[0]
    np.testing.assert_allclose(found[1].logits[everything], expected, atol=1e-5)
    with pytest.raises(InputError, match="is of other images; delete it"):
        shared_perturbations.read(path, ["x", "y"])


@pytest.mark.parametrize("method", METHODS)
def test_from_shared_predictions_the_maps_are_the_same_but_for_sampling(stored, method):
    """They differ from a separate run of as many samples about as much as two of these do."""
    model, images, path = stored
    cut = {"segments": 12, "fill": "blur"} | (
        {} if method is SuperpixelOcclusion else {"samples": 600}
    )
    shard = Shard(lambda: model, images, ("c", "a"), 7, perturbed=path)
    together = method(shared=True).heatmaps(shard).heatmap
    alone = method(**cut).heatmaps(shard).heatmap
    other = method(**cut).heatmaps(Shard(lambda: model, images, ("c", "a"), 8)).heatmap
    assert together.shape == alone.shape == (3, 2, 48, 48)

    def error(a, b):
        return np.linalg.norm(a - b) / np.linalg.norm(b)

    assert error(together, alone) <= 1.5 * error(other, alone) + 0.01


def test_sharing_changes_with_neither_shard_nor_order(stored):
    model, images, _ = stored
    settings = Perturbations(samples=60, segments=12)
    everything = shared_perturbations.ask(settings, model, images, 7)
    some = Images(images.image[[2, 0]], ["z", "x"], [])
    again = shared_perturbations.ask(settings, model, some, 7)
    assert np.array_equal(again.logits[0], everything.logits[2])
    assert np.array_equal(again.subsets[1], everything.subsets[0])


def test_too_few_samples_are_refused_by_name(stored):
    model, images, _ = stored
    with pytest.raises(
        InputError,
        match=r"explain.perturbations.samples: 30 are too few for the 9 superpixels of image y; at",
    ):
        shared_perturbations.ask(
            Perturbations.model_construct(samples=30, segments=12), model, images, 7
        )
    raw = {"run": "r", "data": {"sources": [{"adapter": "phantom"}]}}
    raw["explain"] = {"methods": [], "perturbations": {"samples": 30, "segments": 12}}
    with pytest.raises(InputError, match=r"samples: must be at least four times the segments .48"):
        config.load(raw)


def test_outputs_are_probabilities_where_asked():
    logits = np.array([[0.0], [2.0]])
    perturbed = Perturbed(np.zeros((1, 1), int), np.array([[False], [True]]), logits)
    np.testing.assert_allclose(perturbed.outputs("probability")[:, 0], [0.5, 1 / (1 + np.exp(-2))])
    assert perturbed.outputs("logit") is logits


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"method": "lime", "shared": True, "segments": 9}, "shared: set segments under"),
        ({"method": "lime", "shared": True, "samples": 99}, "shared: set samples under"),
        ({"method": "lime", "shared": True, "network": "untrained"}, "is of the trained network"),
        ({"method": "kernel_shap", "shared": True, "estimator": "regression"}, "draws its own"),
    ],
)
def test_what_cannot_be_shared_is_refused(entry, message):
    with pytest.raises(InputError, match=message):
        registry.build([entry])


def test_sharing_needs_a_section_of_the_configuration():
    raw = {
        "run": "r",
        "data": {"sources": [{"adapter": "phantom"}]},
        "explain": {"methods": [{"method": "lime", "shared": True}, {"method": "random"}]},
    }
    methods = registry.build(raw["explain"]["methods"])
    with pytest.raises(InputError, match="explain.perturbations: is required, because lime"):
        config.check(config.load(raw), methods)
    raw["explain"]["perturbations"] = {}
    config.check(config.load(raw), methods)


def test_without_the_file_shared_methods_say_what_to_do():
    shard = Shard(Textures, Images(np.zeros((1, 32, 32), np.uint8), ["x"], []), ("a",), 1)
    with pytest.raises(InputError, match="set explain.perturbations"):
        Lime(shared=True).heatmaps(shard)
