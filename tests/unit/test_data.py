"""Adapters and manifest, on small trees made here and on the real radiographs where they are."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shamsul.data import image_list, images, manifest, masks
from shamsul.data.adapters.chexpert import ChexpertSource
from shamsul.data.adapters.nih import NihSource
from shamsul.data.rejected import Rejections
from shamsul.data.settings import Data
from shamsul.errors import InputError
from tests.prepared import prepare

CLASSES = ("No Finding", "Lung Opacity", "Edema")


def picture(path, height=40, width=30, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def chexpert_tree(root, split="train", patients=(1, 2, 3), prefix="CheXpert-v1.0-small", rows=()):
    """A CSV and images as CheXpert has them, under `root/images`."""
    table = []
    for patient in patients:
        place = f"{split}/patient{patient:05d}/study1/view1_frontal.jpg"
        picture(root / "images" / place, seed=patient)
        table.append([f"{prefix}/{place}", "Female", "61", "Frontal", "AP", "", "1.0", "-1.0"])
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CLASSES]
    pd.DataFrame([*table, *rows], columns=header).to_csv(root / f"{split}.csv", index=False)
    return ChexpertSource(
        adapter="chexpert", name=split, split=split, labels=f"{split}.csv", images="images"
    )


@pytest.fixture
def tree(tmp_path):
    sources = (
        chexpert_tree(tmp_path, "train", (1, 2, 3)),
        chexpert_tree(tmp_path, "tune", (4, 5), prefix="CheXpert-v1.0"),
        chexpert_tree(tmp_path, "test", (6, 7), prefix="."),
    )
    return tmp_path, sources


def build(root, sources, **data):
    roots = {source.name: root for source in sources}
    made = prepare(Data(sources=sources, **data), CLASSES, roots)
    return made.images, made.masks


def test_chexpert_rows_become_manifest_rows(tree):
    table, _ = build(*tree)
    assert list(table["split"]) == ["train"] * 3 + ["tune"] * 2 + ["test"] * 2
    row = table.iloc[0]
    assert row["image_id"] == "patient00001_study1_view1_frontal"
    assert row["patient_id"] == "patient00001" and row["study_id"] == "patient00001_study1"
    assert (row["sex"], row["age"], row["view"], row["projection"]) == ("F", 61, "frontal", "AP")
    assert (row["height"], row["width"]) == (40, 30)
    assert row["Lung Opacity"] == 1 and row["Edema"] == -1 and np.isnan(row["No Finding"])
    assert row["path"] == "images/train/patient00001/study1/view1_frontal.jpg"


@pytest.mark.parametrize(("listed", "folder"), [("valid", "val"), ("val", "valid")])
def test_valid_and_val_are_the_same_folder(tmp_path, listed, folder):
    source = chexpert_tree(tmp_path, "tune", (9,), prefix="CheXpert-v1.0")
    file = tmp_path / "tune.csv"
    file.write_text(file.read_text().replace("/tune/", f"/{listed}/"))
    (tmp_path / "images" / "tune").rename(tmp_path / "images" / folder)
    table = source.read_images(tmp_path, CLASSES, Rejections("test"))
    assert table["path"][0] == f"images/{folder}/patient00009/study1/view1_frontal.jpg"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (["x/patient1.jpg", "", "", "", "", "", "", ""], "row 5, column 'Path'"),
        (["train/patient00009/study1/view1_frontal.jpg", *[""] * 7], "row 5: no file for"),
        (["train/patient00001/study1/view1_frontal.jpg", *[""] * 6, "yes"], "'yes' is not a num"),
        (["train/patient00001/study1/view1_frontal.jpg", *[""] * 6, "2"], "'2'; allowed are 1, 0"),
        (["train/patient00001/study1/view1_frontal.jpg", "", "old", *[""] * 5], "column 'Age'"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path, row, said):
    source = chexpert_tree(tmp_path, rows=[row])
    with pytest.raises(InputError) as error:
        source.read_images(tmp_path, CLASSES, Rejections("test"))
    assert "train.csv" in str(error.value) and said in str(error.value)


def test_a_missing_column_or_file_is_named_before_anything_is_read(tmp_path):
    source = chexpert_tree(tmp_path)
    with pytest.raises(InputError, match="unknown label column 'Pneumonia'"):
        source.check(tmp_path, ("Pneumonia",))
    with pytest.raises(InputError, match="SHAMSUL_DATA"):
        source.check(tmp_path / "elsewhere", CLASSES)


def test_a_patient_in_two_splits_is_refused(tmp_path):
    sources = (
        chexpert_tree(tmp_path, "train", (1, 2)),
        chexpert_tree(tmp_path, "tune", (3,)),
        chexpert_tree(tmp_path, "test", (2, 4)),
    )
    with pytest.raises(InputError, match="patient00002"):
        build(tmp_path, sources)


def test_the_same_file_in_two_splits_is_refused(tree):
    root, sources = tree
    copied = root / "images/train/patient00001/study1/view1_frontal.jpg"
    (root / "images/test/patient00006/study1/view1_frontal.jpg").write_bytes(copied.read_bytes())
    with pytest.raises(InputError, match=r"sha256.*patient00001.*patient00006"):
        build(root, sources)
    table, _ = build(root, sources, exclude=("patient00001_study1_view1_frontal",))
    assert "patient00001" not in set(table["patient_id"])


def test_patients_are_divided_whole_and_stay_where_they_are():
    source = NihSource(
        adapter="nih",
        name="n",
        labels="l",
        images="i",
        split={"train": 0.6, "tune": 0.2, "test": 0.2},
    )
    splits = pd.Series([manifest.assign(source, str(patient)) for patient in range(5000)])
    share = splits.value_counts(normalize=True)
    assert share["train"] == pytest.approx(0.6, abs=0.03)
    assert share["tune"] == pytest.approx(0.2, abs=0.03)
    assert manifest.assign(source, "17") == splits[17]


def test_a_shard_depends_on_the_name_alone():
    shards = [image_list.shard(f"patient{number}", 7) for number in range(7000)]
    assert set(shards) == set(range(7))
    assert min(np.bincount(shards)) > 850


def test_masks_are_read_renamed_and_matched(tree):
    root, sources = tree
    mask = np.zeros((80, 60), bool)
    mask[10:30, 5:20] = True
    run_length = {"size": [80, 60], "counts": masks.encode(mask)}
    empty = {"size": [80, 60], "counts": masks.encode(np.zeros((80, 60), bool))}
    entry = {"Airspace Opacity": run_length, "Edema": empty}
    (root / "gt.json").write_text(json.dumps({"patient00006_study1_view1_frontal": entry}))
    test = sources[2].model_copy(update={"segmentations": "gt.json"})
    table, found = build(root, (*sources[:2], test))
    assert list(found["class"]) == ["Lung Opacity"]  # renamed; the empty one is no mask
    np.testing.assert_array_equal(masks.decode(found.iloc[0]), mask)
    # Twice as fine as its image is the same radiograph; another aspect ratio is not.
    wrong = {"Edema": {"size": [60, 80], "counts": masks.encode(mask.T)}}
    (root / "gt.json").write_text(json.dumps({"patient00006_study1_view1_frontal": wrong}))
    with pytest.raises(InputError, match="not the same radiograph"):
        build(root, (*sources[:2], test))
    (root / "gt.json").write_text(json.dumps({"patient99999_study1_view1_frontal": entry}))
    with pytest.raises(InputError, match="none of its 1 images"):
        build(root, (*sources[:2], test))
    for hostile in ("[1, 2]", "{", '{"patient00006_study1_view1_frontal": {"Edema": {"size": 3}}}'):
        (root / "gt.json").write_text(hostile)
        with pytest.raises(InputError, match=r"gt\.json"):
            build(root, (*sources[:2], test))


def test_an_image_shard_is_in_the_manifests_order(tree):
    root, sources = tree
    table, _ = build(root, sources)
    roots = {source.name: root for source in sources}
    shard = images.shard(table.to_dict("records"), roots, 32, "pad", threads=2)
    reverse = images.shard(table[::-1].to_dict("records"), roots, 32, "pad")
    assert shard.image_id == list(table["image_id"]) == reverse.image_id[::-1]
    np.testing.assert_array_equal(shard.image, reverse.image[::-1])
    assert images.shard(table[:0].to_dict("records"), roots, 32, "pad").image.shape == (0, 32, 32)


def nih_tree(root, boxes="a.png,Lung Opacity,256,512,128,256\n"):
    for number, name in enumerate("abc"):
        picture(root / "images" / f"{name}.png", 64, 64, seed=number)
    (root / "labels.csv").write_text(
        "Image Index,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position\n"
        "a.png,Infiltration|Effusion,1,058Y,F,PA\nb.png,No Finding,1,58,F,AP\n"
        "c.png,Mass,2,411,M,PA\n"
    )
    (root / "rsna.csv").write_text("Image Index,Finding Label,x,y,w,h\n" + boxes)
    return NihSource(
        adapter="nih",
        name="nih",
        split="test",
        labels="labels.csv",
        images="images",
        rsna_boxes="rsna.csv",
    )


def test_nih_labels_and_boxes(tmp_path):
    source = nih_tree(tmp_path)
    table = source.read_images(
        tmp_path, ("No Finding", "Lung Opacity", "Pleural Effusion"), Rejections("test")
    )
    assert table["Lung Opacity"].tolist() == [1, 0, 1]
    assert table["Pleural Effusion"].tolist() == [1, 0, 0]
    assert table["age"].tolist()[:2] == [58, 58] and np.isnan(table["age"][2])
    found = source.read_masks(tmp_path, table.assign(height=64, width=64), Rejections("test"))
    assert found["kind"].tolist() == ["box"] and found["annotator"].tolist() == ["rsna"]
    assert found["instances"].tolist() == [1]
    drawn = np.argwhere(masks.decode(found.iloc[0]))
    # 256..384 of 1024 across and 512..768 down are 16..24 and 32..48 of 64.
    assert drawn.min(axis=0).tolist() == [32, 16] and drawn.max(axis=0).tolist() == [47, 23]


def test_polygons_are_counted_even_where_they_overlap(tree):
    root, sources = tree
    square = [[0, 0], [9, 0], [9, 9], [0, 9]]
    polygons = {"img_size": [80, 60], "Edema": [square, [[x + 5, y] for x, y in square]]}
    image_id = "patient00006_study1_view1_frontal"
    (root / "polygons.json").write_text(json.dumps({image_id: polygons}))
    drawn = {"Edema": {"size": [80, 60], "counts": masks.encode(np.eye(80, 60))}}
    (root / "gt.json").write_text(json.dumps({image_id: drawn}))
    files = {"annotations": "polygons.json", "segmentations": "gt.json"}
    _, found = build(root, (*sources[:2], sources[2].model_copy(update=files)))
    assert found["class"].tolist() == ["Edema"] and found["instances"].tolist() == [2]
    np.testing.assert_array_equal(masks.decode(found.iloc[0]), np.eye(80, 60) == 1)


def test_two_boxes_are_two_instances(tmp_path):
    two = "a.png,Lung Opacity,256,512,128,256\na.png,Lung Opacity,300,512,128,256\n"
    source = nih_tree(tmp_path, two)
    table = source.read_images(tmp_path, ("Lung Opacity",), Rejections("test"))
    found = source.read_masks(tmp_path, table.assign(height=64, width=64), Rejections("test"))
    assert found["instances"].tolist() == [2]


def test_boxes_that_cover_no_pixel_are_left_out_and_counted(tmp_path, caplog):
    # One of the 64 pixels is 16 wide; this box lies between two pixels' centres.
    small = "a.png,Lung Opacity,10,512,4,256\nb.png,Pneumonia,256,512,128,256\n"
    source = nih_tree(tmp_path, small)
    table = source.read_images(tmp_path, ("Lung Opacity",), Rejections("test")).assign(
        height=64, width=64
    )
    found = source.read_masks(tmp_path, table, Rejections("test"))
    assert found["image_id"].tolist() == ["b"] and masks.decode(found.iloc[0]).any()
    assert "the boxes of 1 images and classes cover no pixel" in caplog.text
    # At twice the resolution it does cover some.
    assert (
        len(source.read_masks(tmp_path, table.assign(height=128, width=128), Rejections("test")))
        == 2
    )


def test_boxed_and_unboxed_divide_patients_not_images(tmp_path):
    source = nih_tree(tmp_path)
    for select, names in (("boxed", ["a", "b"]), ("unboxed", ["c"])):
        table = source.model_copy(update={"select": select}).read_images(
            tmp_path, ("No Finding",), Rejections("test")
        )
        assert table["image_id"].tolist() == names


def test_patients_with_a_finding_are_told_from_those_without_one(tmp_path):
    source = nih_tree(tmp_path)
    labels = tmp_path / "labels.csv"
    labels.write_text(
        labels.read_text() + "d.png,No Finding,2,41,M,PA\ne.png,No Finding,3,41,M,PA\n"
    )
    for name in "de":
        picture(tmp_path / "images" / f"{name}.png", 64, 64)
    # The second image of patient 2 is normal; patient 1 has a box, so both leave him out.
    for select, names in (("with_finding", ["c", "d"]), ("without_finding", ["e"])):
        table = source.model_copy(update={"select": select}).read_images(
            tmp_path, ("No Finding",), Rejections("test")
        )
        assert table["image_id"].tolist() == names


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ("a.png,Lung Opacity,900,0,300,10\n", "row 2: the box does not lie in a frame of 1024"),
        ("a.png,Lung Opacity,1,1,0,10\n", "row 2: the box"),
        ("a.png,Lung Opacity,x,1,1,10\n", "row 2, column 'x': 'x' is not a number"),
        ("a.png,Opacity,1,1,1,10\n", "row 2: unknown finding 'Opacity'"),
    ],
)
def test_a_wrong_box_is_named(tmp_path, boxes, said):
    source = nih_tree(tmp_path, boxes)
    with pytest.raises(InputError, match=r"rsna\.csv.*" + said):
        source.model_copy(update={"select": "boxed"}).read_images(
            tmp_path, ("No Finding",), Rejections("test")
        )


def test_the_real_chexlocalize_sample(real_data):
    folder = "chexlocalize-sample"
    source = ChexpertSource(
        adapter="chexpert",
        name="s",
        split="test",
        labels=f"{folder}/valid.csv",
        images=folder,
        segmentations=f"{folder}/gt_segmentations_val.json",
    )
    classes = ("Cardiomegaly", "Lung Opacity", "Support Devices")
    source.check(real_data, classes)
    table = source.read_images(real_data, classes, Rejections("test"))
    assert table["projection"].tolist() == ["AP", "PA"] and table["age"].tolist() == [73, 70]
    run_lengths = source.read_masks(real_data, table, Rejections("test"))
    assert run_lengths.groupby("class").size().to_dict() == {
        "Cardiomegaly": 1,
        "Enlarged Cardiomediastinum": 1,
        "Lung Opacity": 1,
        "Support Devices": 1,
    }
    segmentations = {"segmentations": source.segmentations}
    polygons = source.model_copy(
        update={"segmentations": None, "annotations": f"{folder}/gt_annotations_val.json"}
    )
    drawn = polygons.read_masks(real_data, table, Rejections("test"))
    annotated = json.loads((real_data / folder / "gt_annotations_val.json").read_text())
    number = {
        (image_id, {"Airspace Opacity": "Lung Opacity"}.get(name, name)): len(entry[name])
        for image_id, entry in annotated.items()
        for name in entry.keys() - {"img_size"}
    }
    assert max(number.values()) > 1
    both = polygons.model_copy(update=segmentations).read_masks(
        real_data, table, Rejections("test")
    )
    for found in (drawn, both):
        keys = zip(found["image_id"], found["class"], strict=True)
        assert found["instances"].tolist() == [number[key] for key in keys]
    assert not run_lengths["instances"].any()
    for row, other in zip(run_lengths.itertuples(), drawn.itertuples(), strict=True):
        np.testing.assert_array_equal(
            masks.decode(row._asdict() | {"class": row[2]}),
            masks.decode(other._asdict() | {"class": other[2]}),
        )


def test_the_real_nih_subset(real_data):
    folder = "nih-chestxray14-subset"
    source = NihSource(
        adapter="nih",
        name="n",
        split="test",
        labels=f"{folder}/Data_Entry_2017.csv",
        images=f"{folder}/images",
        nih_boxes=f"{folder}/BBox_List_2017.csv",
        rsna_boxes=f"{folder}/RSNA_boxes.csv",
        select="boxed",
    )
    source.check(real_data, ("Lung Opacity",))
    boxed = source.read_images(real_data, ("Lung Opacity",), Rejections("test"))
    unboxed = source.model_copy(update={"select": "unboxed"}).read_images(
        real_data, (), Rejections("test")
    )
    assert (len(boxed), len(unboxed)) == (105, 748)
    assert not set(boxed["patient_id"]) & set(unboxed["patient_id"])
    parts = [
        source.model_copy(update={"select": select}).read_images(
            real_data, ("No Finding",), Rejections("test")
        )
        for select in ("with_finding", "without_finding")
    ]
    assert sorted(pd.concat(parts)["image_id"]) == sorted(unboxed["image_id"])
    assert (parts[1]["No Finding"] == 1).all() and parts[0]["No Finding"].mean() < 0.2
    found = source.read_masks(real_data, boxed.assign(height=384, width=384), Rejections("test"))
    assert set(found["kind"]) == {"box"} and set(found["annotator"]) == {"nih", "rsna"}


def test_a_path_may_begin_with_the_patient(tmp_path):
    source = chexpert_tree(tmp_path, rows=[["patient00008/study1/view1_frontal.jpg", *[""] * 7]])
    picture(tmp_path / "images" / "patient00008/study1/view1_frontal.jpg")
    assert (
        source.read_images(tmp_path, CLASSES, Rejections("test"))["patient_id"].iloc[-1]
        == "patient00008"
    )


@pytest.mark.parametrize(
    "path",
    ["train/../../x/patient1/study1/view1_frontal.jpg", "/patient1/study1/view1_frontal.jpg"],
)
def test_a_path_out_of_the_folder_is_refused(tmp_path, path):
    source = chexpert_tree(tmp_path, rows=[[path, *[""] * 7]])
    picture(tmp_path / "x/patient1/study1/view1_frontal.jpg")
    with pytest.raises(InputError, match="row 5.*leads out of the folder"):
        source.read_images(tmp_path, CLASSES, Rejections("test"))


def test_a_row_with_a_field_too_many_is_named(tmp_path):
    source = chexpert_tree(tmp_path)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("train/patient00001/study1/view1_frontal.jpg,,,,,,,,\n")
    with pytest.raises(InputError, match=r"train\.csv: row 5: has 9 fields, the header 8"):
        source.read_images(tmp_path, CLASSES, Rejections("test"))


@pytest.mark.parametrize("size", ["[1e999, 10]", "[20000000, 30000000]", "[0, 5]", "[5]"])
def test_a_mask_of_a_hostile_size_is_refused_before_it_is_drawn(tree, size):
    root, sources = tree
    for key, content in (
        ("segmentations", '{"Edema": {"size": SIZE, "counts": "5"}}'),
        ("annotations", '{"img_size": SIZE, "Edema": [[[1, 1], [5, 1], [5, 5]]]}'),
    ):
        entry = content.replace("SIZE", size)
        (root / "gt.json").write_text('{"patient00006_study1_view1_frontal": ' + entry + "}")
        with pytest.raises(InputError, match=r"gt\.json: patient00006"):
            build(root, (*sources[:2], sources[2].model_copy(update={key: "gt.json"})))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("d.png,Oedema,3,4,F,PA", "'Oedema'"),
        ("d.png,,3,4,F,PA", "''"),
        ("d.png,Edema,,4,F,PA", "blank"),
    ],
)
def test_an_unknown_finding_is_not_taken_for_a_negative(tmp_path, row, said):
    source = nih_tree(tmp_path)
    picture(tmp_path / "images" / "d.png")
    with (tmp_path / "labels.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(InputError, match=rf"labels\.csv: row 5.*{said}"):
        source.read_images(tmp_path, ("Edema",), Rejections("test"))
