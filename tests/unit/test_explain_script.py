"""`scripts/explain.py`: from a shard of images to a shard of heatmaps."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from scripts import explain as script
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.cam import GradCam
from shamsul.explain.shard import Shard, image_seed
from shamsul.geometry import Frame
from shamsul.job import program
from shamsul.job.fingerprint import PROJECT
from shamsul.model import checkpoint
from shamsul.model.description import Description
from shamsul.storage.heatmaps import Heatmaps, read_heatmaps, write_heatmaps
from shamsul.storage.images import Images, write_images
from tests.checkpoints import write_description
from tests.methods import ALONE, QUICK, quick
from tests.networks import Textures, classifier

PLACED = ((0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 0, 1), (1, 0, 3, 2), (1, 2, 3, 0))


@pytest.fixture
def images():
    stack = np.stack([Textures.image(placed).numpy() for placed in PLACED])
    frame = Frame.fit(40, 30, 32, "stretch")
    return Images(stack, [f"image{n}" for n in range(len(stack))], [frame] * len(stack))


def run(
    tmp_path,
    monkeypatch,
    images,
    entry,
    explained=("d", "a"),
    classes="abcd",
    batch_size=2,
    train=None,
):
    model = Textures()
    monkeypatch.setattr(checkpoint, "load", lambda path, device, size: model)
    said = Description(model.spec, model.structure, model.digest())
    monkeypatch.setattr(script, "describe", lambda path: said)
    write_images(images, tmp_path / "images.h5")
    settings = {
        "seed": 5,
        "classes": list(classes),
        "explained": list(explained),
        "name": "mine",
        "entry": entry,
        "module": registry.methods()[entry["method"]].__module__,
    }
    arguments = [
        "explain.py", "--settings", json.dumps(settings), "--checkpoint", "model.pt",
        "--images", str(tmp_path / "images.h5"), "--device", "cpu", "--batch-size", str(batch_size),
        "--heatmaps", str(tmp_path / "out.h5"),
    ]  # fmt: skip
    if train is not None:
        write_images(train, tmp_path / "train.h5")
        arguments += ["--train-images", str(tmp_path / "train.h5")]
    monkeypatch.setattr(sys, "argv", arguments)
    program.call(script.main)
    return read_heatmaps(tmp_path / "out.h5")


def test_heatmaps_are_of_the_asked_classes_and_images(tmp_path, monkeypatch, images):
    entry = {"method": "lrp_epsilon", "name": "mine", "epsilon": 0.5}
    shard = run(tmp_path, monkeypatch, images, entry)
    assert shard.heatmap.shape == (5, 2, 32, 32) and shard.heatmap.dtype == np.float32
    assert shard.image_id == images.image_id and shard.classes == ["d", "a"]
    assert shard.explained.all() and shard.checkpoint == "abc123" and shard.method == "mine"
    assert shard.parameters == {
        "method": "lrp_epsilon",
        "epsilon": 0.5,
        "seed_with": "logit",
        "network": "trained",
        "checkpoint": None,
        "seed": None,
    }
    quadrants = shard.heatmap.clip(0).reshape(5, 2, 2, 16, 2, 16).sum((3, 5)).reshape(5, 2, 4)
    for n, placed in enumerate(PLACED):
        assert quadrants[n, 0].argmax() == placed.index(3)
        assert quadrants[n, 1].argmax() == placed.index(0)


@pytest.mark.parametrize("method", ALONE)
def test_results_do_not_depend_on_the_batch_size(tmp_path, monkeypatch, images, method):
    entry = {"method": method, **QUICK.get(method, {})}
    shards = [
        run(tmp_path, monkeypatch, images, entry, batch_size=size).heatmap for size in (1, 2, 4, 32)
    ]
    for shard in shards[1:]:
        assert np.array_equal(shard, shards[0])


def test_the_program_explains_a_saved_checkpoint(tmp_path, images):
    model = classifier("densenet_small", size=32)
    checkpoint.save(model, tmp_path / "model.pt", {})
    write_images(images, tmp_path / "images.h5")
    settings = {"seed": 5, "classes": list("abcd"), "explained": ["c"], "name": "cam"}
    settings |= {"entry": {"method": "grad_cam"}, "module": "shamsul.explain.cam"}
    arguments = [
        "scripts/explain.py", "--settings", json.dumps(settings), "--checkpoint",
        str(tmp_path / "model.pt"), "--images", str(tmp_path / "images.h5"), "--device", "cpu",
        "--heatmaps", str(tmp_path / "out.h5"),
    ]  # fmt: skip
    done = subprocess.run([sys.executable, *arguments], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shard = read_heatmaps(tmp_path / "out.h5")
    assert shard.checkpoint == model.digest()
    expected = GradCam().explain(model, model.normalise(images.image), torch.tensor([2]), [0] * 5)
    np.testing.assert_allclose(shard.heatmap, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("learns", [False, True])
def test_members_of_another_checkpoint_are_refused(tmp_path, images, learns):
    """A consensus of this network's maps and another's would be of neither."""
    write_images(images, tmp_path / "images.h5")
    digest = "1" * 64
    write_description(tmp_path / "model.pt", digest, "ab")
    for name, of in (("one", digest), ("other", "2" * 64)):
        maps = np.zeros((5, 2, 3, 3), np.float32)
        every = np.ones((5, 2), bool)
        made = Heatmaps(maps, images.image_id, every, list("ab"), name, {}, of)
        write_heatmaps(made, tmp_path / f"{name}.h5")
    entry = {"method": "consensus", "of": ["one", "other"]}
    settings = {"seed": 5, "classes": ["a", "b"], "explained": ["a", "b"], "name": "both"}
    settings |= {"entry": entry, "module": "shamsul.explain.consensus"}
    members = [tmp_path / "one.h5", tmp_path / "other.h5"]
    options = {"members": members}
    if learns:
        entry["weights"] = "fitted"
        options = {"members": members[:1], "tune_members": members}
    with pytest.raises(InputError, match=r"other\.h5: is of another checkpoint"):
        script.main(
            settings, tmp_path / "model.pt", tmp_path / "images.h5",
            heatmaps=tmp_path / "out.h5", device="cpu", **options,
        )  # fmt: skip
    assert not (tmp_path / "out.h5").exists()


def test_each_image_has_its_own_seed(tmp_path, monkeypatch, images):
    shard = run(tmp_path, monkeypatch, images, {"method": "random"})
    expected = np.random.default_rng(image_seed(image_seed(5, "image3"), "a"))
    assert np.array_equal(shard.heatmap[3, 1], expected.random((7, 7), np.float32))


def test_expected_gradients_are_those_over_radiographs_of_train(tmp_path, monkeypatch, images):
    # On a linear model the map is the weight times the difference from the mean reference.
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4)).double()
    monkeypatch.setattr(Textures, "forward", lambda self, given: model(given.double()))
    train = Images(images.image[2:] // 2, ["t0", "t1", "t2"], images.frames[2:])
    entry = {"method": "expected_gradients", "samples": 6}
    shard = run(tmp_path, monkeypatch, images, entry, train=train)
    scale = Textures()
    weight = model[1].weight.detach().numpy()[[3, 0]].reshape(1, 2, 3, 32, 32)
    mean = scale.normalise(train.image).double().numpy().mean(0)
    apart = scale.normalise(images.image).double().numpy() - mean
    expected = (weight * apart[:, None]).sum(2)
    np.testing.assert_allclose(shard.heatmap, expected, rtol=1e-3, atol=1e-5)
    part = Images(images.image[3:], images.image_id[3:], images.frames[3:])
    alone = run(tmp_path, monkeypatch, part, entry, batch_size=1, train=train)
    assert np.array_equal(alone.heatmap, shard.heatmap[3:])
    with pytest.raises(InputError, match="no radiograph of the train split"):
        run(tmp_path, monkeypatch, images, entry)


@pytest.mark.parametrize("method", ["lime", "kernel_shap", "superpixel_occlusion"])
def test_a_shard_of_a_superpixel_method_holds_the_superpixels_of_its_maps(
    tmp_path, monkeypatch, images, method
):
    entry = {"method": method, **QUICK[method]}
    shard = run(tmp_path, monkeypatch, images, entry)
    assert shard.regions.shape == (5, 32, 32) and shard.regions.dtype == np.uint16
    for maps, regions in zip(shard.heatmap, shard.regions, strict=True):
        assert regions.max() > 3
        for number in np.unique(regions):
            assert np.ptp(maps[:, regions == number], axis=1).max() == 0
    assert run(tmp_path, monkeypatch, images, {"method": "random"}).regions is None


@pytest.mark.parametrize("method", ALONE)
def test_an_empty_shard_has_no_heatmaps(tmp_path, monkeypatch, images, method):
    empty = Images(images.image[:0], [], [])
    required = {k: v for k, v in QUICK.get(method, {}).items() if k == "attribution"}
    shard = run(tmp_path, monkeypatch, empty, {"method": method, **required})
    assert shard.heatmap.shape[:2] == (0, 2) and shard.explained.shape == (0, 2)


def test_a_map_that_is_not_finite_names_method_image_and_class(tmp_path, monkeypatch, images):
    cls = registry.methods()["lrp_z"]
    explain = cls.explain

    def broken(self, model, pictures, classes, seeds):
        maps = explain(self, model, pictures, classes, seeds)
        maps[0, 1, 3, 3] = np.nan
        return maps

    monkeypatch.setattr(cls, "explain", broken)
    with pytest.raises(ValueError, match="mine: .* not finite for image image0, class a"):
        run(tmp_path, monkeypatch, images, {"method": "lrp_z"})


def test_a_checkpoint_of_other_classes_is_refused(tmp_path, monkeypatch, images):
    with pytest.raises(InputError, match=r"was trained for the classes a, b, c, d, and"):
        run(tmp_path, monkeypatch, images, {"method": "grad_cam"}, classes="abdc")


@pytest.mark.parametrize("method", ALONE)
def test_results_do_not_depend_on_shard_or_order(images, method, rng):
    grey = rng.integers(0, 256, (5, 4, 4), np.uint8).repeat(12, 1).repeat(12, 2)
    model = classifier("densenet_small", size=48)
    explainer = quick(method)

    def explained(rows):
        shard = Images(grey[rows], [f"image{row}" for row in rows], [])
        return explainer.heatmaps(Shard(lambda: model, shard, ("c", "a"), 5)).heatmap

    everything = explained([0, 1, 2, 3, 4])
    assert np.array_equal(explained([3, 1]), everything[[3, 1]])
    assert np.array_equal(explained([4, 3, 2, 1, 0]), everything[::-1])
