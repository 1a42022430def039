"""The quality that heatmap shards carry, and the table made of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from shamsul.evaluate.quality import COLUMNS, summarise
from shamsul.explain.cam import GradCam
from shamsul.explain.lrp import LrpEpsilon, LrpZ
from shamsul.explain.shard import Shard
from shamsul.storage.heatmaps import Heatmaps, write_heatmaps
from shamsul.storage.images import Images
from tests.networks import classifier


def shard(path, names, quality, method="lrp"):
    maps = np.zeros((len(names), 2, 3, 3), np.float32)
    made = Heatmaps(
        maps, names, np.ones((len(names), 2), bool), ["a", "b"], method, {}, "0", quality
    )
    write_heatmaps(made, path)
    return path


def test_the_table_has_the_spread_of_every_class_and_split(tmp_path):
    errors = np.array([[0.1, 1.0], [0.3, 2.0], [0.2, 3.0]], np.float32)
    shards = [
        shard(tmp_path / "one.h5", ["x", "y"], {"conservation_error": errors[:2]}),
        shard(tmp_path / "two.h5", ["z"], {"conservation_error": errors[2:]}),
        shard(tmp_path / "none.h5", ["x"], {}, "grad_cam"),
    ]
    manifest = pd.DataFrame({"image_id": ["x", "y", "z"], "split": ["test", "test", "tune"]})
    table = summarise(shards, manifest)
    assert list(table) == COLUMNS
    rows = table.set_index(["split", "class"])
    assert set(table["method"]) == {"lrp"} and rows.at[("test", "a"), "n_images"] == 2
    assert rows.at[("test", "a"), "median"] == pytest.approx(0.2)
    assert rows.at[("test", "b"), "q95"] == pytest.approx(1.95)
    assert rows.at[("tune", "b"), "largest"] == pytest.approx(3)


def test_without_any_quality_the_table_is_empty(tmp_path):
    manifest = pd.DataFrame({"image_id": ["x"], "split": ["test"]})
    table = summarise([shard(tmp_path / "none.h5", ["x"], {})], manifest)
    assert table.empty and list(table) == COLUMNS


def test_quality_of_another_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match="heatmaps for 2 images"):
        shard(tmp_path / "one.h5", ["x", "y"], {"conservation_error": np.zeros((2, 3))})


def test_the_error_is_the_sums_distance_from_the_logit_relative_to_it():
    model = classifier("densenet_small")
    grey = np.random.default_rng(3).integers(0, 256, (3, 64, 64), np.uint8)
    images = Images(grey, ["x", "y", "z"], [])
    for method in (LrpZ(), LrpEpsilon(epsilon=0.1)):
        made = method.heatmaps(Shard(lambda: model, images, ("c", "a"), 1))
        maps, quality = made.heatmap, made.quality
        logits = model.predict(model.normalise(grey))[:, [2, 0]].numpy()
        expected = np.abs(maps.sum((2, 3)) - logits) / np.abs(logits)
        np.testing.assert_allclose(quality["conservation_error"], expected, rtol=1e-2, atol=1e-5)
    assert GradCam().heatmaps(Shard(lambda: model, images, ("c",), 1)).quality == {}


def test_without_biases_the_error_is_nearly_none():
    model = classifier("vgg16", size=32, bias_free=True)
    grey = np.random.default_rng(3).integers(0, 256, (2, 32, 32), np.uint8)
    torch.set_num_threads(1)
    made = LrpZ().heatmaps(Shard(lambda: model, Images(grey, ["x", "y"], []), ("a",), 1))
    assert made.quality["conservation_error"].max() < 1e-3
