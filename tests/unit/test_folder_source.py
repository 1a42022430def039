"""A folder of one's own as a source: names, columns, labels and joins, and what is said of them."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shamsul import config
from shamsul.data import joining, manifest
from shamsul.data.adapters.chexpert import ChexpertSource
from shamsul.data.adapters.folder import FolderSource
from shamsul.data.listing import image_ids
from shamsul.data.matching import Names, template
from shamsul.data.rejected import Rejections
from shamsul.data.settings import Data
from shamsul.errors import InputError
from tests.prepared import prepare
from tests.unit.test_data import chexpert_tree

CLASSES = ("Opacity", "Effusion")
FILES = ["Thorax p.a. 1.jpg", "KS_000.png", "x/ä b.png", "x/KS_000.png"]


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(1)
    for name in FILES:
        path = tmp_path / "pics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 30), np.uint8)).save(path)
    return tmp_path


ROWS = [
    ["Thorax p.a. 1.jpg", "p 1", "W", "018M", "AP", "1", "no"],
    ["C:\\data\\pics\\KS_000.png", "p 2", "m", "61", "pa", "0", "yes"],
    ["x/ä b", "p 1", "", "411", "LL", "", "yes"],
    ["x/KS_000.png", "p 3", "F", "33", "", "-1", "no"],
]
HEADER = ["file", "pat", "sex", "age", "pos", "opac", "Effusion"]


def source(root, rows=ROWS, header=HEADER, separator=",", **keys):
    lines = [separator.join(row) for row in [header, *rows]]
    (root / "t.csv").write_text("\n".join(lines) + "\n")
    columns = {"path": "file", "patient": "pat", "sex": "sex", "age": "age", "projection": "pos"}
    given_keys = {
        "adapter": "folder", "name": "me", "images": "pics", "tables": ["t.csv"],
        "columns": columns, "labels": {"opac": "Opacity"}, "split": "test",
    }  # fmt: skip
    return FolderSource.model_validate(given_keys | keys)


def read(made, root, classes=CLASSES, quarantine=False):
    rejected = Rejections("me", quarantine)
    made.check(root, classes)
    return made.read_images(root, classes, rejected), rejected.found


def test_rows_become_images_under_any_names(root):
    table, _ = read(source(root), root)
    # Both files whose names would be KS_000 are told apart; every id is safe in a path.
    assert table["image_id"].tolist() == ["Thorax_p.a._1", "KS_000", "x_ä_b", "x_KS_000"]
    assert table["path"].tolist() == [f"pics/{name}" for name in FILES]
    assert table["patient_id"].tolist() == ["p 1", "p 2", "p 1", "p 3"]
    assert table["view"].tolist() == ["frontal", "frontal", "lateral", "frontal"]
    assert table["projection"].tolist() == ["AP", "PA", None, None]
    assert table["sex"].tolist() == ["F", "M", None, "F"]
    assert table["age"].tolist()[:2] == [1.5, 61] and np.isnan(table["age"][2])
    assert table["Opacity"].fillna(9).tolist() == [1, 0, 9, -1]
    assert table["Effusion"].tolist() == [0, 1, 1, 0]


@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=6),
                min_size=1, max_size=8, unique=True))  # fmt: skip
def test_ids_are_unique_and_safe_whatever_the_names(names):
    paths = [name.replace("/", "_") + ".png" for name in names]
    paths = list(dict.fromkeys(paths))
    found = image_ids(paths)
    assert len(set(found)) == len(found)
    assert not [name for name in found if "/" in name or name in ("", ".", "..")]
    assert all(name[0].isalnum() for name in found)


def test_each_image_is_its_own_patient_where_nobody_says_one_and_that_is_said(root, caplog):
    columns = {"path": "file"}
    table, _ = read(source(root, columns=columns), root)
    assert table["patient_id"].tolist() == table["image_id"].tolist()
    assert "each of 4 images counts as a patient of its own" in caplog.text
    assert "nothing says the view of 4 of 4 images, which count as frontal" in caplog.text


def test_a_template_says_what_no_column_says(root, caplog):
    table, _ = read(
        source(root, columns={"path": "file"}, named="{patient}_*"), root, quarantine=True
    )
    assert table["patient_id"].tolist() == ["KS", "KS"]


def test_folders_may_be_the_labels(tmp_path):
    for split in ("train", "val", "test"):
        for label in ("NORMAL", "Opacity"):
            path = tmp_path / split / label / "p1.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(np.full((20, 20), 9, np.uint8)).save(path)
    made = FolderSource(adapter="folder", name="me", named="{split}/{label}/*")
    table, _ = read(made, tmp_path, ("Opacity",))
    assert table["split"].tolist() == ["test"] * 2 + ["train"] * 2 + ["tune"] * 2
    assert table["Opacity"].tolist() == [0, 1] * 3


def test_columns_that_nobody_maps_and_files_in_no_table_are_told(root, caplog):
    with caplog.at_level(logging.INFO):
        read(source(root, ROWS[:3], columns={"path": "file", "patient": "pat"}), root)
    assert "columns that are not used: sex, age, pos" in caplog.text
    assert "1 image files in" in caplog.text and "such as x/KS_000.png" in caplog.text


def changed(row, column, cell):
    rows = [list(one) for one in ROWS]
    rows[row][HEADER.index(column)] = cell
    return rows


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (changed(1, "file", "KS_00.png"), "no image 'KS_00.png' in .*did you mean 'KS_000.png'"),
        (changed(1, "file", "y/KS_000.png"), "'KS_000.png' has that name in another folder"),
        (changed(1, "file", "../pics/KS_000.png"), "leads out of the folder of images"),
        (changed(1, "file", "a" * 5000), "holds 5,000 characters, which is no path"),
        (changed(1, "file", ""), "is blank, where the image's path should be"),
        (changed(1, "pat", " "), "is blank, where the patient should be"),
        (changed(1, "opac", "7"), "'7' is no label; labels are 1, 0, -1"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_the_others_are_intact(root, rows, said):
    table, found = read(source(root, rows), root, quarantine=True)
    assert table["image_id"].tolist() == ["Thorax_p.a._1", "x_ä_b", "x_KS_000"]
    (one,) = found
    assert (one.row, one.kind) == (3, "row") and pd.Series([str(one)]).str.contains(said).all()
    with pytest.raises(InputError, match=rf"t\.csv: row 3, column '\w+': .*{said}"):
        read(source(root, rows), root)


def test_no_image_of_a_table_on_disk_is_a_wrong_column_or_folder(root):
    columns = {"path": "pat"}
    with pytest.raises(InputError, match=r"row 2, column 'pat': no image 'p 1' in .*all 4 rows"):
        read(source(root, columns=columns), root)


def test_an_image_in_two_rows(root, caplog):
    table, _ = read(source(root, [*ROWS, ROWS[0]]), root)
    assert len(table) == 4 and "1 rows repeat another one" in caplog.text
    contrary = [*ROWS, [*ROWS[0][:5], "0", "no"]]
    table, found = read(source(root, contrary), root, quarantine=True)
    assert "Thorax_p.a._1" not in set(table["image_id"]) and [one.row for one in found] == [2, 6]
    with pytest.raises(InputError, match="in several rows that say different things"):
        read(source(root, contrary), root)


def test_labels_of_several_readers_are_averaged(root):
    rows = [
        [name, reader, label]
        for name in FILES[:2]
        for reader, label in zip("ABC", "110", strict=True)
    ]
    rows[-2][2] = "0"
    columns = {"path": "file", "reader": "who"}
    made = source(root, rows, ["file", "who", "Opacity"], columns=columns, labels={}, threshold=0.5)
    table, _ = read(made, root, ("Opacity",))
    assert table["Opacity"].tolist() == [1, 0]


def test_several_columns_may_be_one_class(root):
    rows = [
        [name, *labels] for name, labels in zip(FILES, ["10", "00", "0u", ["", ""]], strict=True)
    ]
    rows[2][2] = "-1"
    made = source(root, rows, ["file", "Mass", "Nodule"], columns={"path": "file"},
                  labels={"Mass": "Lesion", "Nodule": "Lesion"})  # fmt: skip
    table, _ = read(made, root, ("Lesion",))
    assert table["Lesion"].fillna(9).tolist() == [1, 0, -1, 9]


@pytest.mark.parametrize(
    ("keys", "classes", "said"),
    [
        ({"labels": {"opac": "Opacty"}}, CLASSES, "unknown class 'Opacty'; did you mean 'Opacity'"),
        ({"labels": {}}, CLASSES, "t.csv: has no column for class 'Opacity': .*labels: {COLUMN"),
        ({"columns": {"path": "File"}}, CLASSES, "unknown column 'File'; did you mean 'file'"),
        ({"tables": [], "columns": {}}, CLASSES, "nothing says the label of 'Opacity'"),
        ({"images": "elsewhere"}, CLASSES, "elsewhere does not exist"),
        ({"masks": [{"form": "boxes", "file": "t.csv", "image": "image"}]}, CLASSES,
         "lacks a column: unknown column 'image'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_before_any_job(root, keys, classes, said):
    with pytest.raises(InputError, match=said):
        source(root, **keys).check(root, classes)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"columns": {"patient": "pat"}}, "columns: needs `path`"),
        ({"named": "{patiant}"}, "{patiant} is not known; allowed are patient"),
        ({"split": None}, "split: is required, unless `columns.split`"),
        ({"masks": [{"form": "pgn", "folder": "m"}]}, "unknown form 'pgn'"),
        ({"masks": [{"form": "png", "folder": "m", "files_named": "x"}]}, "lacks {image}"),
        ({"prefer_masks": True}, "needs `split` to be fractions"),
    ],
)
def test_a_wrong_key_is_told_in_the_words_of_the_configuration(keys, said):
    entry = {"adapter": "folder", "name": "me", "tables": ["t.csv"], "columns": {"path": "p"},
             "split": "test"}  # fmt: skip
    raw = {"run": "x", "data": {"sources": [entry | keys]}, "explain": {"methods": []}}
    with pytest.raises(InputError) as error:
        config.load(raw)
    assert said in str(error.value) and "Section" not in str(error.value)


# Names


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("a.png", ["train/a.png", "val/a.png"]), ("train/a", ["train/a.png"]),
        ("CheX/train/a.png", ["train/a.png"]), ("test/a.png", []), ("b 1", ["b 1.png"]),
        ("id7", ["b 1.png"]), ("..\\x\\b 1.png", ["b 1.png"]), ("", []), ("..", []),
    ],
)  # fmt: skip
def test_names_are_found_with_or_without_folders_and_endings(key, found):
    names = Names(["train/a.png", "val/a.png", "b 1.png"], {"id7": "b 1.png"})
    assert names.find(key) == found


def test_a_template_takes_the_shortest_parts():
    found = template("{patient}-*_{view}", ["patient", "view"]).fullmatch("q/p1-2_PA.png")
    assert found.groupdict() == {"patient": "p1", "view": "PA"}


# Joins


def masked(root, names, **keys):
    rows = "".join(f"{name},{label},2,2,9,9\n" for name, label in names)
    (root / "b.csv").write_text(f"image,label,x,y,w,h\n{rows}")
    boxes = {"form": "boxes", "file": "b.csv", "image": "image", "label": "label"}
    return source(root, masks=[boxes], **keys)


def built(root, made, classes=CLASSES):
    other = FolderSource(adapter="folder", name="tune", images="tune", split="tune",
                         unlabelled=classes)  # fmt: skip
    (root / "tune").mkdir(exist_ok=True)
    Image.fromarray(np.full((40, 30), 7, np.uint8)).save(root / "tune" / "t.png")
    found = prepare(Data(sources=[made, other]), classes, {"me": root, "tune": root})
    return found.images, found.masks


def test_boxes_stay_boxes_beside_outlines(root):
    (root / "m" / "Opacity").mkdir(parents=True)
    mask = np.zeros((40, 30), np.uint8)
    mask[5:9, 5:9] = 255
    made = masked(root, [("x/KS_000.png", "Opacity"), ("Thorax p.a. 1", "opac")])
    Image.fromarray(mask).save(root / "m" / "Opacity" / "Thorax p.a. 1.png")
    both = FolderSource.model_validate(
        made.model_dump() | {"masks": [*made.model_dump()["masks"], {"form": "png", "folder": "m"}]}
    )
    _, masks = built(root, both)
    kinds = masks.groupby("image_id")["kind"].apply(sorted).to_dict()
    assert kinds == {"Thorax_p.a._1": ["box", "segmentation"], "x_KS_000": ["box"]}


def test_a_misspelt_class_of_masks_is_refused_and_others_are_told(root, caplog):
    with pytest.raises(InputError, match="1 masks are of 'opacity', which is not among `classes`"):
        built(root, masked(root, [("x/KS_000.png", "opacity"), ("x/ä b", "Effusion")]))
    with pytest.raises(InputError, match="no mask is of any class that is predicted: .*'Tube'"):
        built(root, masked(root, [("x/KS_000.png", "Tube")]))
    _, masks = built(root, masked(root, [("x/KS_000.png", "Tube"), ("Thorax p.a. 1", "opac")]))
    assert masks["class"].tolist() == ["Opacity"] and "left out: Tube (1)" in caplog.text


def test_classes_that_nothing_names_are_told(root, caplog):
    rows = [[*row[:5], "0", row[6]] for row in ROWS]
    built(root, source(root, rows))
    assert "no label is positive for, and no mask marks: Opacity" in caplog.text


def patients(number):
    return pd.DataFrame({"image_id": [f"i{n}" for n in range(number)],
                         "patient_id": [f"p{n // 2}" for n in range(number)]})  # fmt: skip


def test_masked_patients_in_train_are_told_and_may_be_preferred_elsewhere(caplog):
    fractions = {"train": 0.6, "tune": 0.2, "test": 0.2}
    images = patients(400)
    masks = pd.DataFrame({"image_id": [f"i{n}" for n in range(0, 80, 2)], "class": "Edema"})
    made = FolderSource(adapter="folder", name="me", split=fractions)
    plain = pd.Series(joining.divide(made, images, masks, ["Edema"]))
    assert [joining.share_of(made.split, p) for p in images["patient_id"]] == plain.tolist()
    in_train = (plain[:80:2] == "train").sum()
    assert f"of 40 patients with masks {in_train} are in train" in caplog.text
    caplog.clear()
    preferred = made.model_copy(update={"prefer_masks": True})
    moved = pd.Series(joining.divide(preferred, images, masks, ["Edema"]))
    assert not caplog.text and (moved[80:] == plain[80:]).all()
    assert set(moved[:80]) == {"tune", "test"} and 8 <= (moved[:80:2] == "tune").sum() <= 32
    # A patient stays whole, and masks of other classes count for nothing.
    assert moved.groupby(images["patient_id"]).nunique().eq(1).all()
    assert joining.divide(preferred, images, masks, ["Mass"]) == plain.tolist()


def test_ids_that_are_one_number_in_several_forms_are_told(caplog):
    masks = pd.DataFrame({"image_id": [], "class": []})
    made = FolderSource(adapter="folder", name="me", split="test")
    for ids, number in ((["00017", "17", "17.0", "18", "p17"], 3), (["1", "2", "x"], 0)):
        caplog.clear()
        images = pd.DataFrame({"image_id": ids, "patient_id": ids})
        joining.divide(made, images, masks, [])
        assert (f"ids of {number} patients" in caplog.text) == bool(number)


def test_a_column_of_splits_wins_for_the_whole_patient():
    images = patients(6).assign(split=["test", None, None, None, "train", "train"])
    masks = pd.DataFrame({"image_id": [], "class": []})
    made = FolderSource(adapter="folder", name="me", split={"tune": 1.0})
    found = joining.divide(made, images, masks, [])
    assert found == ["test", "test", "tune", "tune", "train", "train"]


def test_masks_of_square_images_that_lie_swapped_are_told(caplog):
    from shamsul.data.masks import encode, from_boxes

    rng = np.random.default_rng(0)
    rows, turned = [], []
    for number in range(20):
        x, y = rng.choice([0.15, 0.6]) * 100, 60 + rng.integers(0, 10)
        mask = from_boxes([(x, y, 20, 15)], 100, 100)
        about = {"image_id": f"i{number}", "class": "Pleural Effusion", "height": 100, "width": 100}
        rows.append(about | {"counts": encode(mask)})
        turned.append(about | {"counts": encode(mask.T)})
    joining._tell_swapped(pd.DataFrame(rows))
    assert not caplog.text
    joining._tell_swapped(pd.DataFrame(turned))
    assert "20 masks of square images lie where" in caplog.text


def test_real_boxes_do_not_look_swapped_until_they_are(real_data, caplog):
    from shamsul.data.adapters.nih import NihSource
    from shamsul.data.masks import decode, encode

    folder = "nih-chestxray14-subset"
    made = NihSource(
        adapter="nih", name="n", split="test", labels=f"{folder}/Data_Entry_2017.csv",
        images=f"{folder}/images", nih_boxes=f"{folder}/BBox_List_2017.csv",
        rsna_boxes=f"{folder}/RSNA_boxes.csv",
    )  # fmt: skip
    images = made.read_images(real_data, ("Pneumonia",), Rejections("n"))
    masks = made.read_masks(real_data, images.assign(height=384, width=384), Rejections("n"))
    caplog.clear()
    joining._tell_swapped(masks)
    assert not caplog.text
    masks["counts"] = [encode(decode(row).T) for row in masks.to_dict("records")]
    joining._tell_swapped(masks)
    assert "if rows and columns were swapped" in caplog.text


# CheXlocalize's files


def test_masks_of_nearly_square_images_whose_sides_are_swapped_are_refused():
    images = pd.DataFrame({"image_id": ["a"], "height": [1000], "width": [1008]})
    mask = {"image_id": "a", "class": "Edema", "height": 1008, "width": 1000}
    masks = pd.DataFrame([mask])
    with pytest.raises(InputError, match="1008 x 1000 pixels, the image 1000 x 1008: .*swapped"):
        manifest.of_their_images(images, masks, Rejections("me"))
    assert manifest.of_their_images(images, masks, Rejections("me", True)).empty


def test_chexlocalize_run_lengths_may_be_uncompressed():
    from shamsul.data.mask_files import read_polygons, read_run_lengths
    from shamsul.data.masks import decode

    (row,) = read_run_lengths({"Edema": {"size": [3, 2], "counts": [1, 2, 3]}}, "f.json: a")
    assert decode(row).tolist() == [[False, False], [True, False], [True, False]]
    with pytest.raises(InputError, match="do not fill 3 x 2"):
        read_run_lengths({"Edema": {"size": [3, 2], "counts": [1, 2]}}, "f.json: a")
    with pytest.raises(InputError, match="a polygon is a list of vertices, each"):
        read_polygons({"img_size": [30, 20], "Edema": [[1, 1, 5, 5, 9, 1]]}, "f.json: a")


def test_chexlocalize_masks_that_fit_nothing_are_told(tmp_path, caplog):
    made = chexpert_tree(tmp_path, "test", (1, 2, 3))
    key = "patient0000{}_study1_view1_frontal"
    square = [[5, 5], [20, 5], [20, 20]]
    content = {key.format(1): {"img_size": [40, 30], "Edema": [square, [[1, 1], [9, 9]]]},
               key.format(2) + ".png": {"img_size": [40, 30], "Edema": [square]}}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(content))
    made = ChexpertSource.model_validate(made.model_dump() | {"annotations": "a.json"})
    images = made.read_images(tmp_path, ("Edema",), Rejections("test"))
    images = images.assign(height=40, width=30)
    assert len(made.read_masks(tmp_path, images, Rejections("test"))) == 1
    assert "1 of its 2 images are not used by source test" in caplog.text
    assert "did you mean 'patient00002_study1_view1_frontal'" in caplog.text
    assert "1 polygons have two vertices and mark a line" in caplog.text
    for polygon, said in (
        ([[0.1, 0.1], [0.3, 0.1], [0.3, 0.3]], "all vertices are from 0 to 1"),
        ([[1000, 1000], [1100, 1000], [1100, 1100]], r"vertex \(1000, 1000\) lies outside"),
        ([[5, 5], [1e300, 5], [9, 9]], "lies outside"),
    ):
        content[key.format(3)] = {"img_size": [40, 30], "Edema": [polygon]}
        (tmp_path / "a.json").write_text(json.dumps(content))
        rejected = Rejections("test", quarantine=True)
        assert len(made.read_masks(tmp_path, images, rejected)) == 1
        assert pd.Series([str(rejected.found[0])]).str.contains(said).all()
        assert "patient00003" in str(rejected.found[0])
