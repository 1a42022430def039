"""Faults in the files of published data sets are told by file, row and field; the rest is read."""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest
from PIL import Image

from shamsul.data import registry
from shamsul.data.adapters.phantom import PhantomSource
from shamsul.data.packed_tables import read
from shamsul.data.published import sexes, strongest
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.phantom.layouts.export import export_layout

SOURCE = PhantomSource(adapter="phantom", height=64, patients={"tune": 4, "test": 6})
KEYS = {
    "vindr": {"readers": "apart"},
    "mimic": {"boxes": "MS_CXR_Local_Alignment_v1.1.0.csv"},
    "tuberculosis": {"masks": {"Left Lung": "ManualMask/leftMask"}},
    "covid_qu_ex": {"part": "Test"},
    "jsrt": {"organs": "scratch"},
    "chestx_det": {},
    "rsna": {"mapping": "pneumonia-challenge-dataset-mappings_2018.json"},
}
CLASS = {"rsna": "Lung Opacity", "tuberculosis": "Tuberculosis", "covid_qu_ex": "Pneumonia",
         "jsrt": "Lung Lesion", "siim": "Pneumothorax"}  # fmt: skip


def tree(folder, layout):
    export_layout(folder, layout, 5, SOURCE)
    return folder


def reading(root, layout, quarantine=False, **keys):
    """Images, masks and what was rejected, as a run reads a source."""
    entry = {"adapter": layout, "name": "ours", "split": "test", **KEYS.get(layout, {}), **keys}
    source = registry.build(entry)
    classes = (CLASS.get(layout, "Cardiomegaly"),)
    source.check(root, classes)
    rejected = Rejections("ours", quarantine)
    images = source.read_images(root, classes, rejected)
    sized = images.assign(height=1024, width=1024)
    return images, source.read_masks(root, sized, rejected), rejected.found


def edited(root, name, old, new, count=1):
    file = root / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, count))


def in_table(root, name, row, column, value):
    packed = name.endswith(".gz")
    table = pd.read_csv(root / name, dtype=str, keep_default_na=False)
    table.loc[row, column] = value
    text = table.to_csv(index=False).encode()
    (root / name).write_bytes(gzip.compress(text) if packed else text)


TABLES = [
    ("vindr", "annotations/annotations_train.csv", "class_name", "Cardiomegly",
     r"annotations_train.csv: row 3, column 'class_name': unknown finding 'Cardiomegly'; did you "
     r"mean 'Cardiomegaly'"),
    ("vindr", "annotations/annotations_train.csv", "x_min", "left",
     r"annotations_train.csv: row 3, column 'x_min': 'left' is not a number"),
    ("rsna", "stage_2_train_labels.csv", "Target", "yes",
     r"stage_2_train_labels.csv: row 3, column 'Target': 'yes' is not a number"),
    ("rsna", "stage_2_detailed_class_info.csv", "class", "Opacity",
     r"class_info.csv: row 3, column 'class': unknown finding 'Opacity'"),
    ("siim", "train-rle.csv", " EncodedPixels", "7",
     r"train-rle.csv: row 3, column 'EncodedPixels': not pairs of gap and length"),
    ("siim", "train-rle.csv", " EncodedPixels", "1048000 900",
     r"train-rle.csv: row 3, column 'EncodedPixels': not pairs of gap and length"),
    ("mimic", "mimic-cxr-2.0.0-chexpert.csv.gz", "Cardiomegaly", "2",
     r"chexpert.csv.gz: row 3, column 'Cardiomegaly': '2'; allowed are 1, 0, -1 \(uncertain\)"),
    ("mimic", "mimic-cxr-2.0.0-chexpert.csv.gz", "Cardiomegaly", "yes",
     r"chexpert.csv.gz: row 3, column 'Cardiomegaly': 'yes' is not a number"),
    ("mimic", "MS_CXR_Local_Alignment_v1.1.0.csv", "category_name", "Effusion",
     r"v1.1.0.csv: row 3, column 'category_name': unknown finding 'Effusion'"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "file", "column", "cell", "said"), TABLES)
def test_a_wrong_cell_is_told_by_row_and_column(tmp_path, layout, file, column, cell, said):
    root = tree(tmp_path, layout)
    in_table(root, file, 1, column, cell)
    with pytest.raises(InputError, match=said):
        reading(root, layout)


@pytest.mark.parametrize(
    ("layout", "file", "column"),
    [
        ("vindr", "annotations/annotations_train.csv", "y_max"),
        ("rsna", "stage_2_train_labels.csv", "Target"),
        ("siim", "train-rle.csv", "ImageId"),
        ("mimic", "mimic-cxr-2.0.0-metadata.csv.gz", "ViewPosition"),
        ("padchest", "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", "Labels"),
        ("padchest_gr", "master_table.csv", "split"),
        ("chexpert_plus", "df_chexpert_plus_240401.csv", "deid_patient_id"),
    ],
)
def test_a_missing_column_is_told_before_any_job(tmp_path, layout, file, column):
    root = tree(tmp_path, layout)
    table = pd.read_csv(root / file, dtype=str)
    table.drop(columns=column).to_csv(root / file, index=False)
    with pytest.raises(InputError, match=rf"{file}: lacks the column '{column}'; it has "):
        registry.build(
            {"adapter": layout, "name": "ours", "split": "test", **KEYS.get(layout, {})}
        ).check(root, (CLASS.get(layout, "Cardiomegaly"),))


@pytest.mark.parametrize(
    ("layout", "file", "content", "said"),
    [
        ("chestx_det", "ChestX_Det_test.json", "{", "not a list of objects with file_name"),
        ("chestx_det", "ChestX_Det_test.json", '[{"file_name": "1.png"}]', "KeyError"),
        ("chestx_det", "ChestX_Det_test.json",
         '[{"file_name": "1.png", "syms": ["Mass"], "boxes": [], "polygons": []}]',
         "entry 0 has not one shape for each of its findings"),
        ("chestx_det", "ChestX_Det_test.json",
         '[{"file_name": "1.png", "syms": ["Mas"], "boxes": [[1,2,3,4]]}]',
         "1.png: unknown finding 'Mas'; did you mean 'Mass'"),
        ("chestx_det", "ChestX_Det_test.json", "[" * 100000, "not a list of objects"),
        ("padchest_gr", "grounded_reports_20240819.json", "{}", "has no report of"),
        ("padchest_gr", "grounded_reports_20240819.json", "[1]", "not a list of objects"),
        ("rsna", "pneumonia-challenge-dataset-mappings_2018.json", "[]", "has no entry for"),
        ("rsna", "pneumonia-challenge-dataset-mappings_2018.json", '{"a": 1}', "not a list"),
        ("jsrt", "CLNDAT_EN.txt", "JPCLN001.IMG\t5\n", r"row 1: has 2 cells between tabs, not 10"),
        ("chexpert_plus", "chexbert_labels/report_fixed.json", "{}", "not lines of JSON"),
        ("siim", "train-rle.csv", "ImageId,EncodedPixels\na,1 2,3\n", "row 2: has 3 fields"),
        ("siim", "train-rle.csv", "ImageId,EncodedPixels\na\n", "row 2: has 1 fields"),
        ("siim", "train-rle.csv", "", "is empty"),
        ("siim", "train-rle.csv", "\x00\x01", "lacks the column 'ImageId'"),
        ("mimic", "mimic-cxr-2.0.0-chexpert.csv.gz", "no gzip", "not a readable CSV file"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_told_in_one_line(tmp_path, layout, file, content, said):
    root = tree(tmp_path, layout)
    (root / file).write_text(content)
    with pytest.raises(InputError, match=said) as told:
        reading(root, layout)
    assert file.rsplit("/", maxsplit=1)[-1] in str(told.value) and "\n" not in str(told.value)


def test_a_bad_outline_is_left_out_and_listed_and_the_others_are_kept(tmp_path):
    root = tree(tmp_path, "siim")
    _, whole, _ = reading(root, "siim")
    table = pd.read_csv(root / "train-rle.csv", dtype=str)
    row = int((table[" EncodedPixels"].str.strip() != "-1").to_numpy().argmax())
    in_table(root, "train-rle.csv", row, " EncodedPixels", "1 2 3")
    images, masks, found = reading(root, "siim", quarantine=True)
    assert [(one.kind, one.row, one.field) for one in found] == [("mask", row + 2, "EncodedPixels")]
    assert found[0].image_id == table["ImageId"][row]
    assert whole["instances"].sum() - masks["instances"].sum() == 1
    assert len(images) == table["ImageId"].nunique()


def test_a_damaged_mask_is_left_out_and_listed(tmp_path):
    root = tree(tmp_path, "tuberculosis")
    first, *rest = sorted((root / "ManualMask" / "leftMask").iterdir())
    first.write_bytes(first.read_bytes()[:40])
    _, masks, found = reading(root, "tuberculosis", quarantine=True)
    assert len(masks) == len(rest) and [one.file for one in found] == [str(first)]
    with pytest.raises(InputError, match="not a readable mask"):
        reading(root, "tuberculosis")


def test_masks_of_other_radiographs_are_refused(tmp_path):
    root = tree(tmp_path, "tuberculosis")
    for file in (root / "ManualMask" / "leftMask").iterdir():
        file.rename(file.with_name(f"x{file.name}"))
    with pytest.raises(InputError, match="none of the .* masks of Left Lung is of a radiograph"):
        reading(root, "tuberculosis")


def test_a_radiograph_without_a_label_in_its_name_is_left_out(tmp_path):
    root = tree(tmp_path, "tuberculosis")
    first, *rest = sorted((root / "CXR_png").iterdir())
    first.rename(first.with_name("scan.png"))
    images, _, found = reading(root, "tuberculosis", quarantine=True)
    assert len(images) == len(rest)
    assert "ends neither in _0 (normal) nor in _1" in str(found[0])


def test_two_files_of_one_name_are_refused(tmp_path):
    root = tree(tmp_path, "siim")
    name = next((root / "dicom-images-train").rglob("*.dcm")).stem
    Image.new("L", (8, 8)).save(root / "dicom-images-train" / f"{name}.png")
    with pytest.raises(InputError, match=rf"are both named {name}"):
        reading(root, "siim")


def test_a_missing_radiograph_is_left_to_who_reads_it(tmp_path):
    root = tree(tmp_path, "siim")
    gone = next((root / "dicom-images-train").rglob("*.dcm"))
    gone.unlink()
    images, _, found = reading(root, "siim")
    row = images[images["image_id"] == gone.stem].iloc[0]
    assert row["path"] == f"dicom-images-train/{gone.stem}.dcm" and not found


def test_studies_without_labels_are_counted(tmp_path, caplog):
    root = tree(tmp_path, "mimic")
    file = root / "mimic-cxr-2.0.0-chexpert.csv.gz"
    table = pd.read_csv(file, dtype=str)
    table.iloc[1:].to_csv(file, index=False)
    whole = len(pd.read_csv(root / "mimic-cxr-2.0.0-metadata.csv.gz"))
    images, _, _ = reading(root, "mimic", boxes=None)
    assert len(images) < whole
    assert f"{whole - len(images)} of {whole} images are of studies without labels" in caplog.text


def test_a_study_that_is_listed_twice_is_an_error(tmp_path):
    root = tree(tmp_path, "mimic")
    file = root / "mimic-cxr-2.0.0-chexpert.csv.gz"
    table = pd.read_csv(file, dtype=str)
    pd.concat([table, table.iloc[:1]]).to_csv(file, index=False)
    with pytest.raises(InputError, match=rf"row {len(table) + 2}: its study is listed twice"):
        reading(root, "mimic")


def test_labels_of_a_cell_are_never_run(tmp_path):
    root = tree(tmp_path, "padchest")
    name = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
    mark = tmp_path / "run"
    in_table(root, name, 0, "Labels", f"[__import__('pathlib').Path('{mark}').touch()]")
    images, _, _ = reading(root, "padchest")
    assert not mark.exists() and images["Cardiomegaly"].iloc[0] == 0


def test_unchanged_alone_says_nothing_and_unfit_images_are_left_out(tmp_path, caplog):
    root = tree(tmp_path, "padchest")
    name = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
    in_table(root, name, 0, "Labels", "['unchanged', 'unchanged ']")
    in_table(root, name, 1, "Labels", "['exclude', 'cardiomegaly']")
    whole = len(pd.read_csv(root / name))
    images, _, _ = reading(root, "padchest")
    assert len(images) == whole - 1 and pd.isna(images["Cardiomegaly"].iloc[0])
    assert f"1 of {whole} images are left out" in caplog.text


def test_an_age_that_no_human_has_is_missing_and_told(tmp_path, caplog):
    root = tree(tmp_path, "padchest")
    name = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
    in_table(root, name, 0, "PatientBirth", "1604")
    images, _, _ = reading(root, "padchest")
    assert pd.isna(images["age"].iloc[0]) and images["age"].iloc[1:].notna().all()
    assert "1 ages, such as 411, are not from 0 to 120" in caplog.text


def test_a_box_of_a_grounded_report_needs_four_numbers(tmp_path):
    root = tree(tmp_path, "padchest_gr")
    file = root / "grounded_reports_20240819.json"
    reports = json.loads(file.read_text())
    shown = next(one for entry in reports for one in entry["findings"] if one["boxes"])
    shown["boxes"][0] = [0.1, 0.2, "x", 0.4]
    file.write_text(json.dumps(reports))
    with pytest.raises(InputError, match="a box is not four numbers"):
        reading(root, "padchest_gr")


def test_names_of_lists_must_be_in_the_table(tmp_path):
    root = tree(tmp_path, "nih")
    edited(root, "test_list.txt", "_000.png", "_999.png")
    with pytest.raises(InputError, match=r"test_list.txt: 1 of its .* images, such as .*_999.png"):
        reading(root, "nih", labels="Data_Entry_2017.csv", images="images", listed="test_list.txt")


def test_tables_are_read_packed_with_blanks_and_blank_lines(tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes(b'\xef\xbb\xbfname, value \n a ,1\n\n"b\nb", 2\n')
    found = read(file)
    assert list(found.columns) == ["name", "value"] and found["name"].tolist() == ["a", "b\nb"]
    assert found["value"].tolist() == ["1", "2"]
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    pd.testing.assert_frame_equal(read(packed), found)
    assert read(file, ["value"], rows=1)["value"].tolist() == ["1"]


def test_the_strongest_label_wins():
    nan = float("nan")
    found = strongest([[1, 0, nan, nan, -1], [0, -1, 0, nan, 1]])
    assert found.tolist()[:3] == [1, -1, 0] and pd.isna(found[3]) and found[4] == 1


def test_sexes_in_any_spelling():
    given = pd.Series(["M", "female ", "F", "O", "", "Male"])
    assert sexes(given).fillna("?").tolist() == ["M", "F", "F", "?", "?", "M"]
