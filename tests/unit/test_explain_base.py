"""How an `Explainer` goes through a shard: in groups, halved where memory is short."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.cam import GradCam
from shamsul.explain.gradient import InputXGradient
from shamsul.explain.shard import Shard
from shamsul.explain.surrogate import Lime
from shamsul.model import checkpoint
from shamsul.model.batching import in_groups
from shamsul.model.classifier import Classifier
from shamsul.model.structure import Structure
from shamsul.storage.images import Images
from tests.networks import Textures, classifier, network


@pytest.mark.parametrize(("count", "step"), [(1, 4), (4, 4), (7, 3), (9, 16)])
def test_every_row_once_in_groups_of_one_size(count, step):
    sizes = []

    def double(rows):
        sizes.append(len(rows))
        return torch.from_numpy(2 * rows), torch.from_numpy(rows)

    parts = list(in_groups(double, count, step))
    assert torch.cat([maps for maps, _ in parts]).tolist() == [2 * row for row in range(count)]
    assert torch.cat([errors for _, errors in parts]).tolist() == list(range(count))
    assert set(sizes) == {step}


def test_groups_are_halved_where_memory_is_short_and_the_log_says_so(caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)

    def greedy(rows):
        if len(rows) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return torch.from_numpy(rows), None

    with caplog.at_level(logging.WARNING):
        parts = list(in_groups(greedy, 9, 8))
    assert torch.cat([maps for maps, _ in parts]).tolist() == list(range(9))
    assert [record.getMessage() for record in caplog.records] == [
        f"GPU out of memory: going on with {count} images at once" for count in (4, 2)
    ]


def test_a_single_image_that_does_not_fit_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)

    def impossible(rows):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(in_groups(impossible, 3, 4))


def test_a_shard_is_explained_the_same_where_memory_is_short(monkeypatch):
    model, explain = classifier("densenet_small"), GradCam.explain
    images = Images(
        np.random.default_rng(2).integers(0, 256, (5, 64, 64), np.uint8), list("vwxyz"), []
    )
    shard = Shard(lambda: model, images, ("a", "d"), 1)
    expected = GradCam().heatmaps(shard).heatmap

    def greedy(self, model, images, classes, seeds):
        if len(images) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return explain(self, model, images, classes, seeds)

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(GradCam, "explain", greedy)
    np.testing.assert_allclose(GradCam().heatmaps(shard).heatmap, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("size", "images", "tile"), [(64, 4, 16), (224, 4, 16), (448, 1, 4), (2000, 1, 1)]
)
def test_larger_images_are_explained_fewer_at_a_time(size, images, tile, monkeypatch):
    """So that memory has a ceiling whatever their size."""
    assert (
        Classifier.of(network("densenet_small", 4), tuple("abcd"), "densenet_small", size).tile
        == tile
    )
    seen = []

    def remember(self, model, batch, classes, seeds):
        seen.append(len(batch))
        return batch.new_zeros(len(batch), len(classes), 1, 1)

    model = Textures()
    model.spec = model.spec.model_copy(update={"size": (size, size)})
    monkeypatch.setattr(Classifier, "structure", Structure())
    monkeypatch.setattr(InputXGradient, "explain", remember)
    pictures = Images(np.zeros((6, 32, 32), np.uint8), list("uvwxyz"), [])
    maps = InputXGradient().heatmaps(Shard(lambda: model, pictures, ("a",), 1)).heatmap
    assert set(seen) == {images} and maps.shape == (6, 1, 1, 1)


def shard_of(model, seed=1):
    grey = np.random.default_rng(0).integers(0, 256, (2, 64, 64), np.uint8)
    return Shard(lambda: model, Images(grey, ["x", "y"], []), ("c", "a"), seed)


def test_another_checkpoint_is_explained_class_by_name(tmp_path):
    run, other = classifier("densenet_small"), network("resnet18", 4, seed=3)
    # The other run lists its classes in another order.
    saved = Classifier.of(other, ("a", "b", "c", "d")[::-1], "resnet18", 64)
    checkpoint.save(saved, tmp_path / "checkpoint.pt", {})
    found = GradCam(checkpoint=str(tmp_path / "checkpoint.pt")).heatmaps(shard_of(run)).heatmap
    expected = GradCam().heatmaps(shard_of(saved)).heatmap
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(found[:, 0], expected[:, 1])


@pytest.mark.parametrize(
    ("classes", "size", "told"), [("abd", 64, "does not predict c"), ("abcd", 32, "32 x 32")]
)
def test_a_checkpoint_of_other_classes_or_size_is_refused(tmp_path, classes, size, told):
    other = Classifier.of(network("resnet18", len(classes)), tuple(classes), "resnet18", size)
    checkpoint.save(other, tmp_path / "other.pt", {})
    method = GradCam(checkpoint=str(tmp_path / "other.pt"))
    method.check_files()
    with pytest.raises(InputError, match=told):
        method.heatmaps(shard_of(classifier("densenet_small")))
    with pytest.raises(InputError, match="none.pt does not exist"):
        GradCam(checkpoint="none.pt").check_files()


def test_a_methods_own_seed_takes_the_place_of_the_configurations():
    model, few = classifier("densenet_small"), {"samples": 30, "segments": 8, "compactness": 10}
    own = Lime(**few, seed=7).heatmaps(shard_of(model, 1)).heatmap
    assert np.array_equal(own, Lime(**few).heatmaps(shard_of(model, 7)).heatmap)
    assert not np.array_equal(own, Lime(**few).heatmaps(shard_of(model, 1)).heatmap)


@pytest.mark.parametrize("option", [{"seed": 1}, {"checkpoint": "x.pt"}])
def test_shared_predictions_are_of_the_runs_own_weights_and_seed(option):
    with pytest.raises(InputError, match="the shared predictions are of the run's own"):
        registry.one({"method": "lime", "shared": True, **option})
