"""Heatmap shards: what is written is read back, dense maps and run lengths alike."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from pycocotools import mask as coco

from shamsul.data.geometry import Frame
from shamsul.errors import InputError
from shamsul.storage import heatmaps as storage
from shamsul.storage.heatmaps import Heatmaps, RunLengths


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
    assert plain.covers == "frame" and plain.probability is None


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


def linked(link):
    def damage(file):
        del file["explained"]
        file["explained"] = link

    return damage


DAMAGED = {
    "heatmap is not in the file itself, or compressed": replaced(
        "heatmap", shape=(2, 2, 10**6, 10**6), chunks=(1, 1, 1000, 1000), dtype="f4"
    ),
    "heatmap is not in the file itself": replaced(
        "heatmap", shape=(2, 2, 1, 1), dtype="f4", external=[("other.bin", 0, 16)]
    ),
    "heatmap is not in the file": lambda file: (
        file.pop("heatmap"),
        file.create_virtual_dataset("heatmap", h5py.VirtualLayout((2, 2, 1, 1), "f4")),
    ),
    "heatmap is of shape": replaced("heatmap", data=np.zeros((2, 3, 1, 1), np.float32)),
    "heatmap is not of the type": replaced("heatmap", data=np.zeros((2, 2, 1, 1), complex)),
    "explained is of shape": replaced("explained", data=np.ones((3, 2), bool)),
    "explained is not of the type": replaced("explained", data=np.ones((2, 2))),
    "explained is not in the file": linked(h5py.ExternalLink("other.h5", "/explained")),
    "image_id is not of the type": replaced("image_id", data=np.array([b"x", b"y"])),
    "utf-8": replaced("image_id", data=[b"\xff\xfe", b"y"], dtype=h5py.string_dtype()),
    "image_id is of shape": replaced("image_id", data=[["x", "y"]], dtype=h5py.string_dtype()),
    "probability is of shape": lambda file: file.create_dataset("probability", data=np.ones(2)),
    "n_points is of shape": replaced("n_points", data=np.zeros((1, 2), int)),
    "points is of shape": replaced("points", data=np.zeros((5, 2))),
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
    with h5py.File(path, "r+") as file:
        DAMAGED[said](file)
    with pytest.raises(InputError, match=rf"bad\.h5: not a readable shard.*{said}") as caught:
        storage.read_heatmaps(path)
    assert "\n" not in str(caught.value)


def test_a_shard_of_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "VERSION", 2)
    storage.write_heatmaps(shard(np.zeros((2, 2, 1, 1), np.float32)), tmp_path / "old.h5")
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"old\.h5: .*another version"):
        storage.read_heatmaps(tmp_path / "old.h5")
