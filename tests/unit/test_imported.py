"""Heatmaps, segmentations and readers from files, through the method and through the program."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.external.folder import listing
from shamsul.explain.external.methods import Imported, Radiologist, Segmentations
from shamsul.explain.shard import Shard
from shamsul.geometry import Frame
from shamsul.storage.heatmaps import Heatmaps, RunLengths, read_heatmaps, write_heatmaps
from shamsul.storage.images import Images
from tests.networks import Textures
from tests.unit.test_explain_script import run

NAMES = ("p1_study1_view1_frontal", "p2_study1_view1_frontal")
CLASSES = ("Lung Opacity", "Edema")
FRAME = Frame.fit(50, 40, 32, "stretch")


def shard(names=NAMES, classes=CLASSES, size=32, geometry="stretch"):
    grey = np.zeros((len(names), size, size), np.uint8)
    frames = [Frame.fit(50, 40, size, geometry)] * len(names)
    return Shard(Textures, Images(grey, list(names), frames), tuple(classes), 1)


def heatmaps(rng, height=5, width=4):
    """Maps of three of the four images and classes, under CheXlocalize's names."""
    kept = [(NAMES[0], "Airspace Opacity"), (NAMES[0], "Edema"), (NAMES[1], "Edema")]
    return {key: rng.normal(size=(height, width)).astype(np.float32) for key in kept}


def write_pickles(folder, maps, prob=0.25):
    folder.mkdir(exist_ok=True)
    for (image_id, task), values in maps.items():
        content = {
            "map": torch.from_numpy(values)[None, None], "prob": prob, "task": task, "gt": 1,
            "cxr_img": torch.zeros(3, 4, 4), "cxr_dims": (40, 50),
        }  # fmt: skip
        (folder / f"{image_id}_{task}_map.pkl").write_bytes(pickle.dumps(content))


def write_npy(folder, maps):
    folder.mkdir()
    for (image_id, task), values in maps.items():
        np.save(folder / f"{image_id}_{task}.npy", values[None, None])


def write_npz(folder, maps):
    folder.mkdir()
    for image_id in NAMES:
        own = {task: values for (name, task), values in maps.items() if name == image_id}
        np.savez(folder / f"{image_id}.npz", **own)


def write_shards(folder, maps, frame=FRAME, covers="frame"):
    folder.mkdir()
    for number, image_id in enumerate(NAMES):
        values = np.zeros((1, 2, *next(iter(maps.values())).shape), np.float32)
        explained = np.zeros((1, 2), bool)
        for column, task in enumerate(("Edema", "Airspace Opacity")):
            if (image_id, task) in maps:
                values[0, column], explained[0, column] = maps[image_id, task], True
        made = Heatmaps(
            values, [image_id], explained, ["Edema", "Lung Opacity"], "theirs", {}, "0",
            covers=covers, frames=[frame] if frame else [],
        )  # fmt: skip
        write_heatmaps(made, folder / f"test-{number:04d}.h5")


def check(made, maps):
    assert np.array_equal(made.explained, [[True, True], [False, True]])
    assert np.array_equal(made.heatmap[0, 0], maps[NAMES[0], "Airspace Opacity"])
    assert np.array_equal(made.heatmap[0, 1], maps[NAMES[0], "Edema"])
    assert np.array_equal(made.heatmap[1, 1], maps[NAMES[1], "Edema"])
    assert not made.heatmap[1, 0].any()


@pytest.mark.parametrize(
    ("write", "covers"),
    [
        (write_pickles, "radiograph"),
        (write_npy, "radiograph"),
        (write_npz, "radiograph"),
        (write_shards, "frame"),
    ],
)
def test_every_format_gives_the_maps_that_there_are(tmp_path, rng, write, covers):
    maps = heatmaps(rng)
    write(tmp_path / "maps", maps)
    method = Imported(path=str(tmp_path / "maps"))
    made = method.heatmaps(shard())
    check(made, maps)
    assert made.covers == covers
    swapped = method.heatmaps(shard(NAMES[::-1], CLASSES[::-1]))
    assert np.array_equal(swapped.heatmap, made.heatmap[::-1, ::-1])
    assert np.array_equal(swapped.explained, made.explained[::-1, ::-1])


@pytest.mark.parametrize("bits", [8, 16])
def test_png_is_as_bright_as_relevance_is_high(tmp_path, rng, bits):
    grey = rng.integers(0, 2**bits, (5, 4), f"uint{bits}")
    Image.fromarray(grey).save(tmp_path / f"{NAMES[0]}_Airspace Opacity.png")
    made = Imported(path=str(tmp_path)).heatmaps(shard())
    assert np.array_equal(made.heatmap[0, 0], grey.astype(np.float32)) and grey.max() > 200
    assert made.explained.sum() == 1 and made.probability is None


def test_probability_is_the_files_own(tmp_path, rng):
    maps = heatmaps(rng)
    write_pickles(tmp_path / "maps", maps, 0.25)
    made = Imported(path=str(tmp_path / "maps")).heatmaps(shard())
    np.testing.assert_array_equal(made.probability, np.float32([[0.25, 0.25], [np.nan, 0.25]]))


def test_of_fourteen_probabilities_it_is_the_task_s(tmp_path, rng):
    # CheXlocalize's order has Lung Lesion third, Airspace Opacity fourth and Edema fifth.
    write_pickles(tmp_path / "maps", heatmaps(rng), torch.arange(14) / 100)
    made = Imported(path=str(tmp_path / "maps")).heatmaps(shard())
    np.testing.assert_allclose(made.probability, [[0.04, 0.05], [np.nan, 0.05]])


def test_folders_below_are_searched_and_files_of_other_images_left_alone(tmp_path, rng):
    write_pickles(tmp_path / "maps", {}, 0.25)
    maps = heatmaps(rng)
    write_pickles(tmp_path / "maps" / "val", {(NAMES[0], "Edema"): maps[NAMES[0], "Edema"]})
    (tmp_path / "maps" / "val" / "other_Edema_map.pkl").write_bytes(b"nonsense")
    (tmp_path / "maps" / "README.txt").write_text("what lies beside is not read")
    method = Imported(path=str(tmp_path / "maps"))
    assert method.heatmaps(shard()).explained.sum() == 1
    expected = [tmp_path / "maps" / "val" / f"{NAMES[0]}_Edema_map.pkl"]
    assert method.files(NAMES) == expected and method.files(NAMES[1:]) == []


def test_without_any_map_all_are_missing_and_the_log_says_so(tmp_path, rng, caplog):
    write_npy(tmp_path / "maps", heatmaps(rng))
    made = Imported(path=str(tmp_path / "maps")).heatmaps(shard(["q1", "q2"]))
    assert not made.explained.any() and made.heatmap.shape == (2, 2, 1, 1)
    assert "has no map of this shard's 2 images, such as q1" in caplog.text
    empty = Imported(path=str(tmp_path / "maps")).heatmaps(shard([]))
    assert empty.heatmap.shape[:2] == (0, 2) == empty.explained.shape


def save(folder, name, content):
    folder.mkdir(exist_ok=True)
    path = folder / name
    if isinstance(content, np.ndarray):
        np.save(path, content)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_bytes(pickle.dumps(content))


def npy(text, version=1):
    length = struct.pack("<H" if version == 1 else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + b"\n"


def header(shape):
    return repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()


def picture(kind, side=8):
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, kind)
    return file.getvalue()


EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n\n"
    b'%ImageData: 10 10 8 1 0 1 2 "beginimage"\nshowpage\n%%EOF\n'
)
"""What Pillow gives to Ghostscript, a program."""
DOUBLED = [0.5]
"""Lists of lists, 26 deep: 2**26 numbers in a hundred bytes of a pickle."""
for _ in range(26):
    DOUBLED = [DOUBLED, DOUBLED]
FULL = {"map": torch.zeros(1, 1, 2, 2), "prob": 0.5, "task": "Edema"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("_map.pkl", FULL | {"map": torch.full((1, 1, 2, 2), torch.nan)}, "not finite"),
        ("_map.pkl", FULL | {"map": torch.full((1, 1, 2, 2), torch.inf)}, "not finite"),
        ("_map.pkl", FULL | {"map": torch.zeros(1, 2, 2, 2)}, r"of shape \(1, 2, 2, 2\)"),
        ("_map.pkl", FULL | {"map": torch.zeros(4)}, r"of shape \(4,\)"),
        ("_map.pkl", FULL | {"map": torch.zeros(1, 1, 0, 2)}, r"of shape \(1, 1, 0, 2\)"),
        ("_map.pkl", FULL | {"map": [[1, 2], [3, 4]]}, "not an array of numbers"),
        ("_map.pkl", FULL | {"map": torch.zeros(1, 1, 2, 2).to(torch.complex64)}, "numbers"),
        ("_map.pkl", [1, 2], "has no 'map'"),
        ("_map.pkl", {"prob": 0.5}, "has no 'map'"),
        ("_map.pkl", FULL | {"prob": "high"}, "'prob' is neither"),
        ("_map.pkl", FULL | {"prob": torch.zeros(3)}, "'prob' is neither"),
        ("_map.pkl", FULL | {"prob": torch.zeros(14), "task": "Oedema"}, "'prob' is neither"),
        ("_map.pkl", FULL | {"prob": torch.zeros(14), "task": ["Edema"]}, "'prob' is neither"),
        ("_map.pkl", FULL | {"prob": [[0.5]]}, "'prob' is neither"),
        ("_map.pkl", FULL | {"prob": None}, "'prob' is neither"),
        ("_map.pkl", FULL | {"prob": DOUBLED}, "'prob' is neither"),
        ("_map.pkl", FULL | {"prob": [0.5] * 14, "task": DOUBLED}, "'prob' is neither"),
        ("_map.pkl", FULL | {"prob": 1.5}, "between 0 and 1"),
        ("_map.pkl", FULL | {"prob": 10**400}, "between 0 and 1"),
        ("_map.pkl", b"\x80\x03cposix\nsystem\nX\x01\x00\x00\x00x\x85R.", r"posix\.system"),
        (".npy", np.full((2, 2), np.nan), "not finite"),
        (".npy", np.array(["a"]), "not an array of numbers"),
        (".npy", np.array([{}], object), "not a readable heatmap"),
        (".npy", b"\x93NUMPY", "not a readable heatmap"),
        (".npy", npy(b"((((("), "not a readable heatmap"),
        (".npy", npy(b"-" * 9000 + b"1"), "not a readable heatmap"),
        (".npy", npy(header((10**9, 10**9))) + b"0" * 100, "10.* is larger than any heatmap"),
        (".npy", npy(header((8, 8))) + b"0" * 100, "not a readable heatmap"),
        (".npy", npy(header((8, 8)), version=3) + b"0" * 256, "of version 3.0"),
        (".png", b"\x89PNG", "not a readable heatmap"),
        (".png", EPS, "not a readable heatmap"),
        (".png", picture("TIFF"), "not a readable heatmap"),
        (".png", picture("PNG", 8193), "8193 x 8193 is larger than any heatmap"),
    ],
)
def test_what_is_wrong_with_a_map_is_one_line_with_its_file(tmp_path, name, content, said):
    save(tmp_path / "maps", f"{NAMES[0]}_Edema{name}", content)
    with pytest.raises(InputError, match=said) as caught:
        Imported(path=str(tmp_path / "maps")).heatmaps(shard())
    assert f"{NAMES[0]}_Edema{name}" in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_archive_and_a_coloured_picture_are_named(tmp_path):
    save(tmp_path / "npz", f"{NAMES[0]}.npz", b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match=r"\.npz: not a readable heatmap"):
        Imported(path=str(tmp_path / "npz")).heatmaps(shard())
    (tmp_path / "png").mkdir()
    Image.new("RGB", (3, 3)).save(tmp_path / "png" / f"{NAMES[0]}_Edema.png")
    with pytest.raises(InputError, match=r"\.png: a PNG of mode RGB"):
        Imported(path=str(tmp_path / "png")).heatmaps(shard())


@pytest.mark.parametrize("damage", ["bits", "size", "twice"])
def test_archives_that_are_damaged_or_too_large_are_named(tmp_path, damage):
    (tmp_path / "maps").mkdir()
    path = tmp_path / "maps" / f"{NAMES[0]}.npz"
    if damage == "bits":
        np.savez_compressed(path, Edema=np.random.default_rng(1).random((64, 64)))
        content = bytearray(path.read_bytes())
        content[200:260] = bytes(255 - byte for byte in content[200:260])
        path.write_bytes(content)
    elif damage == "size":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("Edema.npy", npy(header((16384, 32768))) + bytes(2**22))
    else:
        np.savez(path, **{"Lung Opacity": np.eye(3), "Airspace Opacity": np.eye(3)})
    said = {"bits": "not a read", "size": "16384 x 32768 is larger", "twice": "two maps of class"}
    with pytest.raises(InputError, match=rf"{NAMES[0]}\.npz: .*{said[damage]}") as caught:
        Imported(path=str(tmp_path / "maps")).heatmaps(shard())
    assert "\n" not in str(caught.value)


def test_classes_and_images_with_underscores_find_their_files(tmp_path, caplog):
    """Images of ChestX-ray14 and its findings have them, and one image may begin as another."""
    caplog.set_level("INFO")
    names = ["p1", "p1_x", "p2"]
    classes = ("Pleural_Thickening", "Edema", "Lung Opacity")
    (tmp_path / "maps").mkdir()
    for number, (image_id, name) in enumerate(
        [("p1", "Edema"), ("p1", "Pleural_Thickening"), ("p1_x", "Edema"),
         ("p1_x", "Airspace Opacity"), ("p1", "Effusion"), ("p10", "Edema")]
    ):  # fmt: skip
        np.save(tmp_path / "maps" / f"{image_id}_{name}.npy", np.full((1, 1), number))
    method = Imported(path=str(tmp_path / "maps"))
    made = method.heatmaps(shard(names, classes))
    expected = [[1, 0, -1], [-1, 2, 3], [-1, -1, -1]]
    assert np.array_equal(np.where(made.explained, made.heatmap[..., 0, 0], -1), expected)
    assert "1 files of this shard's images are of no class" in caplog.text
    assert "such as p1_Effusion.npy" in caplog.text
    # Whether p1_x_Edema is of image p1 is not known without classes: a job may depend on it.
    files = {image_id: [file.name for file in method.files([image_id])] for image_id in names}
    assert files["p1_x"] == ["p1_x_Airspace Opacity.npy", "p1_x_Edema.npy"] and not files["p2"]
    assert set(files["p1"]) == {file.name for file in (tmp_path / "maps").glob("p1_*")}
    for row, image_id in enumerate(names):
        alone = method.heatmaps(shard([image_id], classes))
        assert np.array_equal(alone.explained[0], made.explained[row])


@pytest.mark.parametrize("write", [write_npy, write_shards])
def test_maps_larger_than_models_are_are_averaged_over_areas(tmp_path, rng, caplog, write):
    caplog.set_level("INFO")
    maps = {(NAMES[0], "Edema"): rng.normal(size=(1536, 600)).astype(np.float32)}
    write(tmp_path / "maps", maps)
    made = Imported(path=str(tmp_path / "maps")).heatmaps(shard()).heatmap[0, 1]
    # Shards have maps of this size by codes.
    ((*_, stored),) = listing(str(tmp_path / "maps")).read(NAMES[:1], ["Edema"])
    blocks = stored.heatmap.reshape(512, 3, 600).mean(axis=1)
    weights = np.clip(
        np.minimum(np.arange(1, 513)[:, None] * 600 / 512, np.arange(1, 601))
        - np.maximum(np.arange(512)[:, None] * 600 / 512, np.arange(600)), 0, None
    ) / (600 / 512)  # fmt: skip
    assert made.shape == (512, 512) and caplog.text.count("are reduced to 512 x 512") == 1
    np.testing.assert_allclose(made, blocks @ weights.T, atol=1e-5)
    # A model that has more pixels keeps them.
    made = Imported(path=str(tmp_path / "maps")).heatmaps(shard(size=1536)).heatmap[0, 1]
    assert np.array_equal(made, stored.heatmap)
    assert np.array_equal(made, maps[NAMES[0], "Edema"]) == (write is write_npy)


def test_shards_of_a_model_that_sees_something_else_are_refused(tmp_path, rng):
    maps = heatmaps(rng)
    for name, geometry, size in (("stretch", "stretch", 32), ("pad", "pad", 32)):
        write_shards(tmp_path / name, maps, Frame.fit(50, 40, size, geometry))
    stretch, pad = (Imported(path=str(tmp_path / name)) for name in ("stretch", "pad"))
    check(pad.heatmaps(shard(geometry="pad")), maps)
    # Under `stretch` a model of any size sees the same.
    check(stretch.heatmaps(shard(size=64)), maps)
    for method, geometry in ((stretch, "pad"), (pad, "stretch"), (pad, "crop")):
        with pytest.raises(InputError, match=rf"image {NAMES[0]} are of another part.*geometry"):
            method.heatmaps(shard(geometry=geometry))
    write_shards(tmp_path / "unknown", maps, None)
    with pytest.raises(InputError, match="of another part"):
        Imported(path=str(tmp_path / "unknown")).heatmaps(shard())
    write_shards(tmp_path / "whole", maps, None, "radiograph")
    check(Imported(path=str(tmp_path / "whole")).heatmaps(shard(geometry="pad")), maps)


def test_maps_of_another_resolution_are_named(tmp_path, rng):
    maps = heatmaps(rng)
    maps[NAMES[1], "Edema"] = maps[NAMES[1], "Edema"][:3]
    write_npy(tmp_path / "maps", maps)
    with pytest.raises(InputError, match=rf"image {NAMES[1]}, class Edema .*\(3, 4\).*\(5, 4\)"):
        Imported(path=str(tmp_path / "maps")).heatmaps(shard())


def test_shards_of_two_checkpoints_are_refused(tmp_path, rng):
    folder = tmp_path / "maps"
    write_shards(folder, {(n, c): rng.random((7, 7)) for n in NAMES for c in CLASSES})
    paths = sorted(folder.glob("*.h5"))
    assert len(paths) > 1
    Imported(path=str(folder)).check_files()
    other = replace(read_heatmaps(paths[-1]), checkpoint="another network")
    write_heatmaps(other, paths[-1])
    listing.cache_clear()
    with pytest.raises(InputError, match="shards of different checkpoints") as error:
        Imported(path=str(folder)).check_files()
    assert str(paths[0]) in str(error.value) and str(paths[-1]) in str(error.value)


def test_a_shard_of_segmentations_is_refused(tmp_path):
    lengths = RunLengths(np.full((1, 1), "04", object), np.full((1, 1, 2), 2))
    made = Heatmaps(lengths, [NAMES[0]], np.ones((1, 1), bool), ["Edema"], "m", {}, "0")
    write_heatmaps(made, tmp_path / "test-0000.h5")
    with pytest.raises(InputError, match="holds segmentations"):
        Imported(path=str(tmp_path)).heatmaps(shard())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "holds no heatmaps"),
        (["readme.txt", "model.pkl"], "holds no heatmaps"),
        (["a_Edema.npy", "a_Edema.png"], "several formats, npy, png"),
        (["val/a_Edema.npy", "test/a_Edema.npy"], "of one image and class"),
        (["a_Lung Opacity.npy", "a_Airspace Opacity.npy"], "of one image and class"),
    ],
)
def test_a_folder_is_checked_before_any_job(tmp_path, names, said):
    for name in names:
        (tmp_path / "maps" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "maps" / name).touch()
    (tmp_path / "maps").mkdir(exist_ok=True)
    entry = {"method": "imported", "name": "theirs", "path": str(tmp_path / "maps")}
    built = registry.build([{"method": "random"}, entry])
    with pytest.raises(InputError, match=rf"explain\.methods\.1 \(theirs\): path: .*{said}"):
        registry.check_files(built)


def test_a_folder_or_file_that_is_not_there_is_named(tmp_path):
    for entry, said in (
        ({"method": "imported", "path": str(tmp_path / "none")}, "none is not a folder"),
        ({"method": "segmentations", "path": "none.json"}, r"none\.json does not exist"),
        (
            {"method": "radiologist", "segmentations": __file__, "points": "none.json"},
            r"none\.json does not exist",
        ),
    ):
        built = registry.build([entry])
        with pytest.raises(InputError, match=rf"explain\.methods\.0 .*{said}"):
            registry.check_files(built)
    registry.check_files(built, {Path("none.json")})


def encoded(mask):
    made = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": made["size"], "counts": made["counts"].decode()}


@pytest.fixture
def outlines(tmp_path, rng):
    """Masks of another size for each image, and the file that has them."""
    masks = {
        (NAMES[0], "Airspace Opacity"): rng.random((50, 40)) > 0.6,
        (NAMES[0], "Edema"): np.zeros((50, 40), bool),
        (NAMES[1], "Edema"): rng.random((30, 60)) > 0.6,
    }
    content = {}
    for (image_id, task), mask in masks.items():
        content.setdefault(image_id, {})[task] = encoded(mask)
    (tmp_path / "masks.json").write_text(json.dumps(content))
    return tmp_path / "masks.json", masks


def test_segmentations_are_those_of_the_file(outlines):
    file, masks = outlines
    method = Segmentations(path=str(file))
    made = method.heatmaps(shard())
    assert made.covers == "radiograph" and made.points == {} and made.probability is None
    assert np.array_equal(made.explained, [[True, True], [False, True]])
    assert np.array_equal(made.heatmap[0, 0], masks[NAMES[0], "Airspace Opacity"])
    assert np.array_equal(made.heatmap[0, 1], masks[NAMES[0], "Edema"])
    assert np.array_equal(made.heatmap[1, 1], masks[NAMES[1], "Edema"])
    assert not made.heatmap[1, 0].any() and method.files(NAMES) == [file]
    assert not Segmentations.human and Radiologist.human


def test_several_files_are_one_unless_they_share_an_image(tmp_path, outlines):
    file, _ = outlines
    content = json.loads(file.read_text())
    parts = [tmp_path / "one.json", tmp_path / "two.json"]
    for part, image_id in zip(parts, content, strict=True):
        part.write_text(json.dumps({image_id: content[image_id]}))
    whole = Segmentations(path=str(file)).heatmaps(shard())
    made = Segmentations(path=[str(part) for part in parts]).heatmaps(shard())
    assert np.array_equal(made.heatmap.counts, whole.heatmap.counts)
    with pytest.raises(InputError, match=rf"two\.json: {NAMES[1]} is in another file"):
        Segmentations(path=(str(file), str(parts[1]))).heatmaps(shard())


def test_a_reader_s_points_tell_a_miss_from_no_file(tmp_path, outlines):
    file, _ = outlines
    assert Radiologist(segmentations=str(file)).heatmaps(shard()).points == {}
    named = {NAMES[0]: {"Airspace Opacity": [[3.5, 4], [10, 2]], "Fracture": [[1, 1]], "Edema": []}}
    (tmp_path / "points.json").write_text(json.dumps(named))
    method = Radiologist(segmentations=str(file), points=str(tmp_path / "points.json"))
    points = method.heatmaps(shard()).points
    assert set(points) == {(image_id, name) for image_id in NAMES for name in CLASSES}
    assert np.array_equal(points[NAMES[0], "Lung Opacity"], [[3.5, 4], [10, 2]])
    assert all(len(xy) == 0 for key, xy in points.items() if key != (NAMES[0], "Lung Opacity"))
    assert method.files(NAMES) == [file, tmp_path / "points.json"]


@pytest.mark.parametrize(
    "points", [{"Edema": [1, 2]}, {"Edema": [[1, 2, 3]]}, {"Edema": [["a", "b"]]},
               {"Edema": [[float("nan"), 1]]}, {"Edema": 3}, [1]],
)  # fmt: skip
def test_points_that_are_none_are_named(tmp_path, outlines, points):
    (tmp_path / "points.json").write_text(json.dumps({NAMES[0]: points}))
    method = Radiologist(segmentations=str(outlines[0]), points=str(tmp_path / "points.json"))
    with pytest.raises(InputError, match=rf"points\.json: {NAMES[0]}: not a list of points"):
        method.heatmaps(shard())


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ({"size": [2, 2], "counts": "05"}, "do not fill 2 x 2"),
        ({"size": [2, 2], "counts": "\u00e9"}, "not a compressed COCO"),
        ({"size": [0, 2], "counts": "0"}, "not a COCO run-length mask"),
        ({"counts": "04"}, "not a COCO run-length mask"),
    ],
)
def test_malformed_run_lengths_name_file_and_image(tmp_path, mask, said):
    (tmp_path / "masks.json").write_text(json.dumps({NAMES[0]: {"Edema": mask}}))
    with pytest.raises(InputError, match=rf"masks\.json: {NAMES[0]}: .*{said}"):
        Segmentations(path=str(tmp_path / "masks.json")).heatmaps(shard())


def test_the_program_stores_what_is_missing_and_says_how_many(
    tmp_path, monkeypatch, rng, caplog, outlines
):
    grey = np.zeros((2, 32, 32), np.uint8)
    frame = Frame.fit(50, 40, 32, "stretch")
    images = Images(grey, list(NAMES), [frame, frame])
    maps = heatmaps(rng)
    maps = {(name, {"Airspace Opacity": "d", "Edema": "a"}[c]): m for (name, c), m in maps.items()}
    write_pickles(tmp_path / "maps", maps)
    made = run(
        tmp_path, monkeypatch, images, {"method": "imported", "path": str(tmp_path / "maps")}
    )
    assert np.array_equal(made.explained, [[True, True], [False, True]])
    assert made.covers == "radiograph" and made.probability[0, 0] == 0.25
    assert "no heatmap for 1 of 4 images and classes" in caplog.text
    assert np.array_equal(made.heatmap[1, 1], maps[NAMES[1], "a"])
    content = {NAMES[0]: {"a": encoded(np.eye(50, 40) > 0)}}
    (tmp_path / "m.json").write_text(json.dumps(content))
    entry = {"method": "radiologist", "segmentations": str(tmp_path / "m.json")}
    made = run(tmp_path, monkeypatch, images, entry)
    assert np.array_equal(made.heatmap[0, 1], np.eye(50, 40)) and made.explained.sum() == 1
    assert registry.entry(registry.one(made.parameters)) == registry.entry(registry.one(entry))


def test_the_published_sample_is_read_as_pickle_reads_it():
    """Sample of the CheXlocalize repository; it cannot be distributed with this project."""
    clone = os.environ.get("SHAMSUL_CHEXLOCALIZE")
    if clone is None:
        pytest.skip("set SHAMSUL_CHEXLOCALIZE to a clone of rajpurkarlab/cheXlocalize")
    folder = Path(clone) / "sample" / "gradcam_maps_val"
    names = ["patient64541_study1_view1_frontal", "patient64542_study1_view1_frontal"]
    classes = ("Lung Opacity", "Cardiomegaly", "Support Devices")
    made = Imported(path=str(folder)).heatmaps(shard(names, classes))
    assert made.explained.all() and made.heatmap.shape == (2, 3, 320, 320)
    for row, image_id in enumerate(names):
        for column, task in enumerate(("Airspace Opacity", *classes[1:])):
            with (folder / f"{image_id}_{task}_map.pkl").open("rb") as file:
                theirs = pickle.load(file)
            assert np.array_equal(made.heatmap[row, column], theirs["map"][0, 0].detach())
            assert made.probability[row, column] == np.float32(theirs["prob"])
    assert len(folder.listing(str(folder)).of(names)) == 20
