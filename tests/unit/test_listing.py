"""The list of images, and what is left out of it or of the manifest."""

import logging

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shamsul.data.adapters.chexpert import ChexpertSource
from shamsul.data.depth import depths
from shamsul.data.image_list import list_images
from shamsul.data.images import shard
from shamsul.data.masks import encode
from shamsul.data.rejected import REJECTED_COLUMNS
from shamsul.data.settings import Data
from shamsul.errors import InputError
from tests.prepared import prepare

CLASSES = ("Edema",)


def write(root, split, patients, highest=255, kind=np.uint8):
    """One radiograph for each patient, and their table; the source."""
    lines = ["Path,Edema"]
    for patient in patients:
        place = f"patient{patient:05d}/study1/view1_frontal.png"
        (root / place).parent.mkdir(parents=True)
        grey = np.random.default_rng(patient).integers(0, highest + 1, (40, 50)).astype(kind)
        grey[0, 0] = highest
        Image.fromarray(grey).save(root / place)
        lines.append(f"{place},1.0")
    (root / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return ChexpertSource(
        adapter="chexpert", name=split, split=split, labels=f"{split}.csv", images="."
    )


@pytest.fixture
def two(tmp_path):
    """A folder with a source of tune and one of test."""
    return tmp_path, (write(tmp_path, "tune", range(3)), write(tmp_path, "test", range(10, 16)))


def file_of(root, patient):
    return root / f"patient{patient:05d}/study1/view1_frontal.png"


def made(root, sources, **settings):
    data = Data(sources=sources, **settings)
    return prepare(data, CLASSES, {source.name: root for source in sources})


def test_nothing_is_left_out_of_sound_data(two):
    found = made(*two)
    assert len(found.images) == 9 and set(found.images["depth"]) == {8}
    assert list(found.rejected) == REJECTED_COLUMNS and len(found.rejected) == 0
    counts = found.sources.set_index("source")
    assert counts["listed"].to_dict() == {"tune": 3, "test": 6}
    assert counts[["tune", "test", "train"]].sum().to_dict() == {"tune": 3, "test": 6, "train": 0}


def spoil(root):
    """Three kinds of bad files; the number of them."""
    file = file_of(root, 10)
    file.write_bytes(file.read_bytes()[:-900])
    file_of(root, 11).write_bytes(b"")
    file_of(root, 12).unlink()
    return 3


def test_bad_images_stop_a_small_run_once_and_all_are_told(two):
    root, sources = two
    spoil(root)
    with pytest.raises(InputError) as error:
        made(root, sources)
    told = str(error.value)
    for patient, said in ((10, "truncated"), (11, "is empty"), (12, "does not exist")):
        assert f"{file_of(root, patient)}: " in told and said in told
    assert "3 of 6 images of data source test cannot be used" in told
    assert "data.exclude" in told and "on_bad_image: quarantine" in told


def test_in_quarantine_bad_images_are_listed_counted_and_nothing_else_changes(two, caplog):
    root, sources = two
    whole = made(root, sources)
    spoil(root)
    found = made(root, sources, on_bad_image="quarantine")
    bad = [f"patient{patient:05d}_study1_view1_frontal" for patient in (10, 11, 12)]
    assert found.rejected["image_id"].tolist() == bad
    assert set(found.rejected["kind"]) == {"image"} and set(found.rejected["source"]) == {"test"}
    assert found.rejected["file"].tolist() == [str(file_of(root, n)) for n in (10, 11, 12)]
    kept = whole.images[~whole.images["image_id"].isin(bad)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.images, kept)
    test = found.sources.set_index("source").loc["test"]
    assert (test["listed"], test["rejected_images"], test["test"]) == (6, 3, 3)
    assert "data source test: 3 of 6 images cannot be used and are left out" in caplog.text


def test_quarantine_is_the_rule_for_sources_of_more_than_100_images(tmp_path):
    sources = (write(tmp_path, "tune", range(3)), write(tmp_path, "test", range(10, 111)))
    file_of(tmp_path, 50).write_bytes(b"")
    found = made(tmp_path, sources)
    assert len(found.rejected) == 1 and len(found.images) == 103
    with pytest.raises(InputError, match="is empty.*1 of 101 images"):
        made(tmp_path, sources, on_bad_image="fail")
    file_of(tmp_path, 1).write_bytes(b"")  # Of the small source.
    with pytest.raises(InputError, match="1 of 3 images of data source tune"):
        made(tmp_path, sources)


def test_a_split_that_nothing_is_left_of_is_an_error(two):
    root, sources = two
    for patient in range(3):
        file_of(root, patient).write_bytes(b"")
    with pytest.raises(InputError, match="no image is in the tune split"):
        made(root, sources, on_bad_image="quarantine")


def test_images_are_excluded_by_name_and_by_path(two):
    root, sources = two
    names = ["patient00010_study1_view1_frontal", "patient00011/study1/view1_frontal.png"]
    found = made(root, sources, exclude=[*names, str(file_of(root, 12))])
    assert found.sources.set_index("source").loc["test", ["excluded", "test"]].tolist() == [3, 3]
    assert not found.images["image_id"].str.contains("patient0001[012]").any()
    # What a message names can be excluded as it names it.
    spoil(root)
    with pytest.raises(InputError) as error:
        made(root, sources, exclude=names)
    path = str(error.value).split(": ")[0]
    assert len(made(root, sources, exclude=[*names, path]).images) == 6


@pytest.mark.parametrize(
    "name", ["patient00010_study1_view1_frontl", "patient00010/study1/view1_frontal.jpg", ""]
)
def test_an_unknown_name_to_exclude_is_an_error_with_the_nearest(two, name):
    with pytest.raises(InputError, match="data.exclude: unknown image") as error:
        made(*two, exclude=[name])
    if name.endswith("frontl"):
        assert "did you mean 'patient00010_study1_view1_frontal'?" in str(error.value)


def test_an_image_that_is_listed_twice(two):
    root, sources = two
    with (root / "test.csv").open("a") as file:
        file.write("patient00010/study1/view1_frontal.png,0.0\n")
    with pytest.raises(InputError, match=r"test\.csv: image patient00010\S* is listed 2 times"):
        made(root, sources)
    found = made(root, sources, on_bad_image="quarantine")
    assert found.rejected["kind"].tolist() == ["row"] and len(found.images) == 9
    assert found.images.set_index("image_id")["Edema"].eq(1).all()  # The first row counts.
    counts = found.sources.set_index("source").loc["test"]
    assert (counts["listed"], counts["rejected_rows"], counts["test"]) == (7, 1, 6)


def test_a_mask_of_another_shape_is_left_out_in_quarantine(two, caplog):
    root, sources = two
    mask = np.zeros((50, 40), bool)
    mask[3:9, 3:9] = True
    right, wrong = "patient00010_study1_view1_frontal", "patient00011_study1_view1_frontal"
    drawn = {
        name: {"Edema": {"size": list(shape.shape), "counts": encode(shape)}}
        for name, shape in ((right, mask.T), (wrong, mask))
    }
    (root / "gt.json").write_text(pd.Series(drawn).to_json())
    sources = (sources[0], sources[1].model_copy(update={"segmentations": "gt.json"}))
    with pytest.raises(InputError, match=rf"image {wrong} is 50 x 40 pixels, the image 40 x 50"):
        made(root, sources)
    found = made(root, sources, on_bad_image="quarantine")
    assert found.masks["image_id"].tolist() == [right]
    assert found.rejected[["kind", "image_id"]].to_numpy().tolist() == [["mask", wrong]]
    assert found.sources.set_index("source").loc["test", "rejected_masks"] == 1
    assert "1 masks are not of their images' shape" in caplog.text


def test_12_bit_values_in_16_bit_files_fill_the_range_of_the_source(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    tune, test = (
        write(tmp_path, "tune", range(3), 4095, np.uint16),
        write(tmp_path, "test", range(10, 13), 2000, np.uint16),
    )
    Image.fromarray(np.full((40, 50), 7, np.uint8)).save(file_of(tmp_path, 12))
    found = made(tmp_path, (tune, test))
    by_image = found.images.set_index("image_id")["depth"]
    # Each source by its own largest value, and 8-bit files as they are.
    assert by_image.to_list() == [12, 12, 12, 11, 11, 8]
    assert "data source tune: the largest grey value of 3 files of more than 8 bits is 4095" in (
        caplog.text
    )
    rows = found.images.to_dict("records")
    roots = {"tune": tmp_path, "test": tmp_path}
    full = shard(rows, roots, (40, 50), "stretch").image
    with Image.open(file_of(tmp_path, 0)) as image:
        expected = np.floor(np.asarray(image) / 4095 * 255 + 0.5)
    np.testing.assert_array_equal(full[0], expected)
    # An image that does not reach the range stays as dark as it is beside the others.
    with Image.open(file_of(tmp_path, 10)) as image:
        dark = np.floor(np.asarray(image) / 2047 * 255 + 0.5)
    np.testing.assert_array_equal(full[3], dark)


def facts(highest, own_range=False):
    return pd.DataFrame(
        {"path": [f"{n}.png" for n in range(len(highest))], "bits": 16, "own_range": own_range,
         "highest": highest}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("highest", "depth", "expected", "said"),
    [
        ([4095, 3000], None, 12, "all are taken as of 12 bits"),
        ([4096, 3000], None, 13, "all are taken as of 13 bits"),
        ([255, 3], None, 8, "1 of 2 files of more than 8 bits do not reach an eighth"),
        ([1, 0], None, 8, "2 of 2 files"),
        ([1023, 1000], 12, 12, ""),
        ([5000, 4095, 4096], 12, 12, "in 2 files values above it become white"),
        ([60000, 4000, 4000], None, 16, "2 of 3 files of more than 8 bits do not reach an eighth"),
    ],
)
def test_the_depth_of_a_source(caplog, highest, depth, expected, said):
    caplog.set_level(logging.INFO)
    assert set(depths(facts(highest), "s", depth)) == {expected}
    assert said in caplog.text


def test_the_depth_of_files_that_say_their_range_is_their_own(caplog):
    assert set(depths(facts([0, 0], own_range=True), "s", 12)) == {16} and caplog.text == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.unlink(), "does not exist, and could be read when the manifest was"),
        (lambda file: file.write_bytes(b""), "was replaced after the manifest was made"),
        (
            lambda file: Image.fromarray(np.ones((40, 50), np.uint8)).save(file),
            "was replaced after the manifest was made",
        ),
    ],
)
def test_a_file_that_changes_after_the_manifest_is_told_in_one_line(two, change, said):
    root, sources = two
    rows = made(root, sources).images.to_dict("records")
    change(file_of(root, 10))
    with pytest.raises(InputError, match=said) as error:
        shard(rows, {"tune": root, "test": root}, 32, "stretch")
    assert str(file_of(root, 10)) in str(error.value) and "run again" in str(error.value)


def test_a_list_needs_no_image_file(two):
    root, sources = two
    data, roots = Data(sources=sources), {"tune": root, "test": root}
    before = list_images(data, CLASSES, roots).images
    for file in root.rglob("*.png"):
        file.write_bytes(b"no image")
    pd.testing.assert_frame_equal(list_images(data, CLASSES, roots).images, before)
