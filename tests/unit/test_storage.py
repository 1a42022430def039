"""Shards and tables: what is written is read back, and what is damaged is told in one line."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
from pycocotools import mask as coco

from shamsul.errors import InputError
from shamsul.geometry import Frame
from shamsul.storage import heatmaps as storage
from shamsul.storage import shards
from shamsul.storage.heatmaps import Heatmaps, RunLengths
from shamsul.storage.images import Images, image_ids, read_frames, read_images, write_images
from shamsul.storage.perturbed import PerturbedPredictions, read_perturbed, write_perturbed
from shamsul.storage.tables import read_table, write_table


def altered(path, alter):
    """Alter a shard as whoever knows how it is sealed."""
    with h5py.File(path, "r+") as file:
        alter(file)
    with path.open("r+b") as content:
        shards.seal(content, shards.SEAL, shards.SEAL)


def through(tmp_path, heatmaps):
    storage.write_heatmaps(heatmaps, tmp_path / "shard.h5")
    return storage.read_heatmaps(tmp_path / "shard.h5")


def shard(heatmap, **more):
    explained = np.array([[True, False], [True, True]])
    return Heatmaps(heatmap, ["x", "y"], explained, ["a", "b"], "mine", {"p": 1}, "0", **more)


def test_a_dense_shard_comes_back(tmp_path, rng):
    maps = rng.normal(size=(2, 2, 3, 4)).astype(np.float32)
    probability = np.array([[0.25, np.nan], [0.5, 1]], np.float32)
    made = through(tmp_path, shard(maps, covers="radiograph", probability=probability))
    assert np.array_equal(made.heatmap, maps) and made.covers == "radiograph"
    np.testing.assert_array_equal(made.probability, probability)
    assert made.points == {} and not made.explained[0, 1] and made.parameters == {"p": 1}
    plain = through(tmp_path, shard(maps))
    assert plain.covers == "frame" and plain.probability is None and plain.regions is None


def test_superpixels_come_back_and_are_of_the_maps_cells(tmp_path):
    maps, regions = np.zeros((2, 2, 3, 4), np.float32), np.arange(24, dtype=np.uint16)
    made = through(tmp_path, shard(maps, regions=regions.reshape(2, 3, 4)))
    assert made.regions.dtype == np.uint16
    assert np.array_equal(made.regions, regions.reshape(2, 3, 4))
    with pytest.raises(ValueError, match="heatmaps for 2 images"):
        through(tmp_path, shard(maps, regions=regions.reshape(2, 4, 3)))


def test_run_lengths_of_different_sizes_come_back_as_pycocotools_reads_them(tmp_path, rng):
    counts, size = np.full((2, 2), "", object), np.ones((2, 2, 2), int)
    masks = {(0, 0): rng.random((5, 7)) > 0.5, (1, 1): rng.random((40, 3)) > 0.9}
    for at, mask in masks.items():
        made = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        counts[at], size[at] = made["counts"].decode(), made["size"]
    size[1, 0] = 2, 6
    made = through(tmp_path, shard(RunLengths(counts, size))).heatmap
    assert made.shape == (2, 2)
    for at, mask in masks.items():
        assert made[at].dtype == np.float32 and np.array_equal(made[at], mask)
    assert np.array_equal(made[1, 0], np.zeros((2, 6))) and np.array_equal(made[0, 1], [[0]])


def test_points_tell_none_named_from_nobody_asked(tmp_path):
    points = {
        ("x", "b"): np.array([[3.5, 4], [1, 2]]),
        ("y", "a"): np.zeros((0, 2)),
        ("y", "b"): np.array([[9.0, 8]]),
    }
    made = through(tmp_path, shard(np.zeros((2, 2, 1, 1), np.float32), points=points)).points
    assert made.keys() == points.keys()
    for key, expected in points.items():
        assert made[key].shape == expected.shape and np.array_equal(made[key], expected)


def test_an_empty_shard_of_run_lengths_comes_back(tmp_path):
    empty = RunLengths(np.zeros((0, 2), object), np.zeros((0, 2, 2), int))
    heatmaps = Heatmaps(empty, [], np.zeros((0, 2), bool), ["a", "b"], "mine", {}, "0")
    assert through(tmp_path, heatmaps).heatmap.shape == (0, 2)


def test_the_same_heatmaps_are_the_same_bytes(tmp_path):
    counts = np.array([["04", ""], ["", "04"]], object)
    segmentations = RunLengths(counts, np.full((2, 2, 2), 2))
    points = {("x", "a"): np.array([[1.0, 2]])}
    for name in ("one.h5", "two.h5"):
        storage.write_heatmaps(shard(segmentations, points=points), tmp_path / name)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_a_probability_of_another_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match="heatmaps for 2 images"):
        through(tmp_path, shard(np.zeros((2, 2, 1, 1)), probability=np.zeros((2, 3))))


def test_frames_come_back_and_are_one_for_each_image(tmp_path):
    frames = [Frame.fit(50, 40, 32, "pad"), Frame.fit(70, 33, 32, "crop")]
    assert through(tmp_path, shard(np.zeros((2, 2, 1, 1)), frames=frames)).frames == frames
    assert through(tmp_path, shard(np.zeros((2, 2, 1, 1)))).frames == []
    with pytest.raises(ValueError, match="heatmaps for 2 images"):
        through(tmp_path, shard(np.zeros((2, 2, 1, 1)), frames=frames[:1]))


def replaced(name, **created):
    def damage(file):
        del file[name]
        file.create_dataset(name, **created)

    return damage


def refused(path, damage, said, *readers):
    """Each reader names a damaged file and what is wrong with it, in one line."""
    altered(path, damage)
    for read in readers:
        with pytest.raises(InputError, match=rf"{path.name}: not a readable shard.*{said}") as told:
            read(path)
        assert "\n" not in str(told.value)


def linked(link):
    def damage(file):
        del file["explained"]
        file["explained"] = link

    return damage


DAMAGED = {
    "exact is of shape": replaced(
        "exact", shape=(4, 10**6, 10**6), chunks=(1, 1000, 1000), dtype="f4"
    ),
    "its maps are of 1000000 x": lambda file: file.attrs.modify("cells", (10**6, 10**6)),
    "exact is not in the file itself": lambda file: (
        file.pop("exact"),
        file.attrs.modify("cells", (10**4, 10**4)),
        file.create_dataset("exact", (4, 10**4, 10**4), chunks=(1, 1000, 1000), dtype="f4"),
    ),
    "exact is not in the file": replaced(
        "exact", shape=(4, 1, 1), dtype="f4", external=[("other.bin", 0, 16)]
    ),
    "exact is not in": lambda file: (
        file.pop("exact"),
        file.create_virtual_dataset("exact", h5py.VirtualLayout((4, 1, 1), "f4")),
    ),
    "exact is of": replaced("exact", data=np.zeros((5, 1, 1), np.float32)),
    "relevance is not finite, in row 1": lambda file: file["exact"].write_direct(
        np.array([0, 0, np.inf, 0], np.float32).reshape(4, 1, 1)
    ),
    "codes is not in": lambda file: file["fine"].write_direct(np.ones((2, 2), np.float32)),
    "knots are not sizes": lambda file: file["knots"].write_direct(
        np.linspace(1, 0, file["knots"].size, dtype=np.float32).reshape(file["knots"].shape)
    ),
    "fine is not of the type": replaced("fine", data=np.zeros((2, 2), int)),
    "fine is not a factor": replaced("fine", data=np.full((2, 2), 1e9, np.float32)),
    "error is of shape": replaced("error", data=np.zeros((2, 3), np.float32)),
    "frame has values that are not finite": lambda file: file.create_dataset(
        "frame", data=np.full((2, 8), np.nan)
    ),
    "exact is not of the type": replaced("exact", data=np.zeros((4, 1, 1), complex)),
    "explained is of shape": replaced("explained", data=np.ones((3, 2), bool)),
    "explained is not of the type": replaced("explained", data=np.ones((2, 2))),
    "explained is not in the file": linked(h5py.ExternalLink("other.h5", "/explained")),
    "image_id is not of the type": replaced("image_id", data=np.array([b"x", b"y"])),
    "utf-8": replaced("image_id", data=[b"\xff\xfe", b"y"], dtype=h5py.string_dtype()),
    "image_id is of shape": replaced("image_id", data=[["x", "y"]], dtype=h5py.string_dtype()),
    "probability is of shape": lambda file: file.create_dataset("probability", data=np.ones(2)),
    "n_points is of shape": replaced("n_points", data=np.zeros((1, 2), int)),
    "points is of shape": replaced("points", data=np.zeros((5, 2))),
    "regions is of shape": lambda file: file.create_dataset(
        "regions", data=np.zeros((2, 2, 1), np.uint16)
    ),
    "regions is not of the type": lambda file: file.create_dataset(
        "regions", data=np.full((2, 1, 1), -1)
    ),
    "frame is of shape": lambda file: file.create_dataset("frame", data=np.ones((2, 6))),
    "cover neither frame nor": lambda file: file.attrs.modify("covers", "all"),
    "Expecting property name": lambda file: file.attrs.modify("parameters", "{{"),
    "method": lambda file: file.attrs.pop("method"),
    "schema_version": lambda file: file.attrs.pop("schema_version"),
    "not iterable": lambda file: file.attrs.create("classes", 3),
}


@pytest.mark.parametrize("said", DAMAGED)
def test_a_damaged_or_hostile_shard_is_named_in_one_line(tmp_path, said):
    path = tmp_path / "bad.h5"
    (tmp_path / "other.bin").write_bytes(bytes(16))
    storage.write_heatmaps(shard(np.zeros((2, 2, 1, 1), np.float32)), path)
    storage.read_heatmaps(path)
    refused(path, DAMAGED[said], said, storage.read_heatmaps)


def test_a_shard_of_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "VERSION", 2)
    storage.write_heatmaps(shard(np.zeros((2, 2, 1, 1), np.float32)), tmp_path / "old.h5")
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"old\.h5: .*another version"):
        storage.read_heatmaps(tmp_path / "old.h5")


def test_a_shard_of_another_checkpoint_is_refused_and_any_is_read_where_none_is_asked_for(tmp_path):
    maps, predictions = tmp_path / "maps.h5", tmp_path / "perturbed.h5"
    storage.write_heatmaps(shard(np.zeros((2, 2, 1, 1), np.float32)), maps)
    some_predictions(predictions)
    for path, read in (
        (maps, storage.read_heatmaps),
        (maps, storage.read_quality),
        (predictions, read_perturbed),
    ):
        read(path)
        read(path, "0")
        with pytest.raises(InputError, match="is of another checkpoint, weights 0, than") as error:
            read(path, "f" * 64)
        assert str(error.value).startswith(f"{path}: is of") and "delete it" in str(error.value)


def some_images(path):
    frames = [Frame.fit(50, 40, 8, "pad"), Frame.fit(70, 33, 8, "crop")]
    images = Images(np.arange(128, dtype=np.uint8).reshape(2, 8, 8), ["x", "y"], frames)
    write_images(images, path)
    return images


def test_images_come_back_whole_and_in_parts(tmp_path):
    made, path = some_images(tmp_path / "i.h5"), tmp_path / "i.h5"
    found = read_images(path)
    assert np.array_equal(found.image, made.image) and found.frames == made.frames
    assert read_frames(path) == dict(zip(["x", "y"], made.frames, strict=True))
    assert image_ids(path) == (["x", "y"], (8, 8))


DAMAGED_IMAGES = {
    "image is of shape": replaced("image", data=np.zeros((3, 8, 8), np.uint8)),
    "image is not of the type": replaced("image", data=np.zeros((2, 8, 8))),
    "frame is of shape": replaced("frame", data=np.ones((1, 7))),
    "frame has values that are not finite": replaced("frame", data=np.full((2, 8), np.inf)),
    "image_id is not in the file": lambda file: file.pop("image_id"),
}


@pytest.mark.parametrize("said", DAMAGED_IMAGES)
def test_a_damaged_image_shard_is_named_in_one_line(tmp_path, said):
    path = tmp_path / "bad.h5"
    some_images(path)
    part = read_frames if said.startswith("frame") else image_ids
    refused(path, DAMAGED_IMAGES[said], said, read_images, part)


def some_predictions(path):
    labels = np.arange(12).reshape(3, 4) // 6
    subsets = np.array([[False, False], [True, True], [True, False]])
    logits = np.arange(9.0).reshape(3, 3)
    made = PerturbedPredictions(["x"], [labels], [subsets], [logits], list("abc"), "0")
    write_perturbed(made, path)
    return made


def test_perturbed_predictions_come_back(tmp_path):
    made = some_predictions(tmp_path / "p.h5")
    found = read_perturbed(tmp_path / "p.h5")
    assert found.image_id == ["x"] and found.classes == list("abc") and found.checkpoint == "0"
    for name in ("labels", "subsets", "logits"):
        assert np.array_equal(getattr(found, name), getattr(made, name))


DAMAGED_PREDICTIONS = {
    "logits has values that are not finite": replaced(
        "0/logits", data=np.full((3, 3), np.nan, np.float32)
    ),
    "logits is of shape": replaced("0/logits", data=np.zeros((3, 2), np.float32)),
    "subsets is of shape": replaced("0/subsets", data=np.zeros((3, 3), bool)),
    "labels is not of the type": replaced("0/labels", data=np.zeros((3, 4))),
    "0 is not in the file": lambda file: file.pop("0"),
}


@pytest.mark.parametrize("said", DAMAGED_PREDICTIONS)
def test_damaged_predictions_are_named_in_one_line(tmp_path, said):
    path = tmp_path / "bad.h5"
    some_predictions(path)
    refused(path, DAMAGED_PREDICTIONS[said], said, read_perturbed)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
@pytest.mark.parametrize(
    ("write", "read"),
    [
        (some_images, read_images),
        (some_predictions, read_perturbed),
        (lambda p: write_table(pd.DataFrame({"a": range(99)}), p), read_table),
        (lambda p: storage.write_heatmaps(shard(np.zeros((2, 2, 9, 9))), p), storage.read_heatmaps),
    ],
)
def test_a_truncated_file_is_told_in_one_line(tmp_path, write, read, share):
    path = tmp_path / "cut"
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut: not a readable .+ \(.+\); delete it and") as told:
        read(path)
    assert "\n" not in str(told.value)
