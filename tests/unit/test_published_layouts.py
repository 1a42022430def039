"""Adapters of published data sets read back the phantoms that are written in their layouts."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from typer.testing import CliRunner

from shamsul.command.app import app
from shamsul.data import registry
from shamsul.data.adapters.phantom import PhantomSource
from shamsul.data.masks import decode, from_boxes
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.phantom.export import patient_names
from shamsul.phantom.layouts import challenges, collections, hospitals
from shamsul.phantom.layouts.case import boxes, cases, components
from shamsul.phantom.layouts.export import export_layout, layouts
from shamsul.phantom.patients import reported_labels
from shamsul.settings import SPLITS

SEED, HEIGHT = 3, 96
PATIENTS = {"train": 4, "tune": 3, "test": 5}
SOURCE = PhantomSource(adapter="phantom", height=HEIGHT, patients=PATIENTS)


@pytest.fixture(scope="module")
def truth():
    """The phantoms themselves, which every layout shows."""
    names = {split: patient_names(split, PATIENTS[split]) for split in SPLITS}
    found = list(cases(names, SEED, HEIGHT))
    shown = {name for case in found for name in case.masks}
    assert {"Lung Lesion", "Pneumothorax", "Pleural Effusion", "Cardiomegaly"} <= shown
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write a layout once, and return its folder."""
    done = {}

    def folder(layout):
        if layout not in done:
            done[layout] = tmp_path_factory.mktemp(layout)
            export_layout(done[layout], layout, SEED, SOURCE)
        return done[layout]

    return folder


def read(root, classes, **entry):
    """Images with the sizes of their files, masks, and what was rejected of a source."""
    source = registry.build({"name": "ours", "split": "test", **entry})
    source.check(root, tuple(classes))
    rejected = Rejections("ours", quarantine=True)
    images = source.read_images(root, tuple(classes), rejected)
    sizes = [shape_of(root / path) for path in images["path"]]
    images[["height", "width"]] = sizes
    masks = source.read_masks(root, images, rejected)
    assert not rejected.found
    assert images["image_id"].is_unique
    return images.set_index("image_id"), masks


def shape_of(path):
    if path.suffix in (".dcm", ".dicom"):
        return pydicom.dcmread(path).pixel_array.shape
    with Image.open(path) as image:
        return image.height, image.width


def in_order(truth, images):
    """Cases beside the rows of their images, by the number that names hide."""
    assert len(truth) == len(images)
    return list(zip(truth, images.itertuples(), strict=True))


def drawn(mask):
    """Mask of the boxes about the parts of a mask."""
    return from_boxes(boxes(mask), *mask.shape)


def same(masks, image_id, name, expected, annotator=None):
    """Assert that an image has one mask of a class, and which."""
    rows = masks[(masks["image_id"] == image_id) & (masks["class"] == name)]
    if annotator:
        rows = rows[rows["annotator"] == annotator]
    assert len(rows) == 1
    np.testing.assert_array_equal(decode(rows.iloc[0]), expected)
    return rows.iloc[0]


def by_token(truth, *purpose):
    return {case.token(*purpose): case for case in truth}


def test_vindr_keeps_three_readers_apart(truth, written):
    root = written("vindr")
    classes = ["No Finding", *challenges.VINDR]
    images, masks = read(root, classes, adapter="vindr")
    known = by_token(truth)
    assert set(images.index) == {n for n, case in known.items() if case.split != "test"}
    assert set(masks["annotator"]) == {"R1", "R2", "R3"} and set(masks["kind"]) == {"box"}
    disagreed = 0
    for name, row in images.iterrows():
        case = known[name]
        for own in challenges.VINDR:
            if own in case.masks:
                found = same(masks, name, own, drawn(case.masks[own]), "R1")
                assert found["instances"] == len(boxes(case.masks[own]))
                second = masks[(masks["image_id"] == name) & (masks["class"] == own)]
                assert {"R1", "R2"} <= set(second["annotator"])
                disagreed += "R3" not in set(second["annotator"])
                assert row[own] == 1, own
            elif own != "Lung Opacity":
                assert row[own] == 0, own
    assert disagreed > 3


def test_vindr_labels_follow_the_number_of_readers_who_agree(truth, written):
    root = written("vindr")
    strict, _ = read(root, ["Pneumothorax"], adapter="vindr", agree=3)
    _, masks = read(root, ["Pneumothorax"], adapter="vindr")
    votes = masks[masks["class"] == "Pneumothorax"].groupby("image_id")["annotator"].nunique()
    votes = votes.reindex(strict.index).fillna(0)
    expected = votes.map({0: 0.0, 1: -1.0, 2: -1.0, 3: 1.0})
    pd.testing.assert_series_equal(strict["Pneumothorax"], expected, check_names=False)
    assert set(expected) >= {0.0, -1.0}


def test_vindr_test_part_is_a_consensus(truth, written):
    images, masks = read(
        written("vindr"), ["Cardiomegaly"], adapter="vindr",
        boxes="annotations/annotations_test.csv", images="test",
    )  # fmt: skip
    assert len(images) == sum(case.split == "test" for case in truth)
    assert set(masks["annotator"]) == {"consensus"}


def test_vindr_files_are_dicom_of_both_kinds_and_of_twelve_bits(truth, written):
    known = by_token(truth)
    kinds = set()
    for path in (written("vindr") / "train").iterdir():
        data, case = pydicom.dcmread(path), known[path.stem]
        pixels = data.pixel_array.astype(int)
        if data.PhotometricInterpretation == "MONOCHROME1":
            pixels = 4095 - pixels
        kinds.add(data.PhotometricInterpretation)
        np.testing.assert_array_equal((pixels * 255 + 2047) // 4095, case.image)
        assert data.PatientSex == case.sex and data.PatientAge == f"{case.study.age:03d}Y"
    assert kinds == {"MONOCHROME1", "MONOCHROME2"}


def test_vindr_boxes_of_resized_images_need_the_original_sizes(truth, written, tmp_path):
    root = written("vindr")
    entry = {"adapter": "vindr", "images": "small", "directory": "."}
    (root / "small").mkdir(exist_ok=True)
    rows = []
    for case in truth:
        if case.split != "test":
            small = Image.fromarray(case.image).resize((case.image.shape[1] // 2,) * 2)
            small.save(root / "small" / f"{case.token()}.png")
            rows.append([case.token(), *case.image.shape])
    with pytest.raises(InputError, match=r"boxes do not lie in their images.*original sizes"):
        read(root, ["Cardiomegaly"], **entry)
    pd.DataFrame(rows, columns=["image_id", "dim0", "dim1"]).to_csv(root / "s.csv", index=False)
    _, whole = read(root, ["Cardiomegaly"], adapter="vindr")
    images, masks = read(root, ["Cardiomegaly"], **entry, sizes="s.csv")
    assert len(masks) == len(whole)
    fraction = [decode(row).mean() for _, row in masks.iterrows()]
    original = [decode(row).mean() for _, row in whole.iterrows()]
    np.testing.assert_allclose(fraction, original, atol=0.03)


def test_rsna_reads_boxes_classes_and_patients(truth, written):
    images, masks = read(
        written("rsna"), ["No Finding", "Lung Opacity"], adapter="rsna",
        mapping="pneumonia-challenge-dataset-mappings_2018.json",
    )  # fmt: skip
    known = {str(name)[:8]: case for name, case in by_token(truth).items()}
    assert len(images) == len(truth)
    for name, row in images.iterrows():
        case = known[name[:8]].squared(1024)
        assert row["Lung Opacity"] == ("Lung Opacity" in case.masks)
        assert row["No Finding"] == case.labels["No Finding"]
        assert row["patient_id"] == f"{case.patient:08d}"
        if "Lung Opacity" in case.masks:
            same(masks, name, "Lung Opacity", drawn(case.masks["Lung Opacity"]))
    assert images["patient_id"].nunique() == sum(PATIENTS.values()) < len(images)


def test_rsna_findings_can_mean_another_class(written):
    images, masks = read(
        written("rsna"), ["Pneumonia"], adapter="rsna", map={"Lung Opacity": "Pneumonia"}
    )
    assert set(masks["class"]) == {"Pneumonia"}
    assert set(masks["image_id"]) == set(images.index[images["Pneumonia"] == 1])
    with pytest.raises(InputError, match=r"unknown class 'Pneumonia'.*give `map`"):
        read(written("rsna"), ["Pneumonia"], adapter="rsna")
    with pytest.raises(InputError, match=r"map: unknown finding 'Opacity'"):
        read(written("rsna"), ["Pneumonia"], adapter="rsna", map={"Opacity": "Pneumonia"})


def test_siim_unites_relative_run_lengths(truth, written):
    images, masks = read(written("siim"), ["Pneumothorax"], adapter="siim")
    known = {case.number: case.squared(1024) for case in truth}
    assert len(images) == len(truth)
    for name, row in images.iterrows():
        case = known[int(name.split(".")[9])]
        assert row["Pneumothorax"] == case.labels["Pneumothorax"]
        if "Pneumothorax" in case.masks:
            found = same(masks, name, "Pneumothorax", case.masks["Pneumothorax"])
            assert found["instances"] == len(components(case.masks["Pneumothorax"]))
            assert found["kind"] == "segmentation"
    assert len(masks) == images["Pneumothorax"].sum() > 0


def test_mimic_joins_studies_views_and_boxes(truth, written):
    root = written("mimic")
    classes = sorted(hospitals.MS_CXR)
    images, masks = read(root, classes, adapter="mimic", boxes="MS_CXR_Local_Alignment_v1.1.0.csv")
    known = {f"s5{case.number:07d}": case for case in truth}
    frontal = images[images["view"] == "frontal"]
    assert len(frontal) == len(truth) and (images["view"] == "lateral").sum() == len(truth) // 3
    for name, row in frontal.iterrows():
        case = known[row["study_id"]]
        said = reported_labels(SEED, case.study)
        for own in classes:
            assert row[own] == said[own] or (said[own] is None and np.isnan(row[own]))
            if own in case.masks and case.split != "train":
                same(masks, name, own, drawn(case.masks[own]))
        assert row["projection"] == case.projection
    assert not set(masks["image_id"]) - set(frontal.index)
    tune, _ = read(root, classes, adapter="mimic", part="validate")
    assert set(tune["study_id"]) == {n for n, case in known.items() if case.split == "tune"}
    # Both views of a study have its labels.
    by_study = images.groupby("study_id")[classes].nunique(dropna=False)
    assert (by_study == 1).all(axis=None)


def test_chexpert_plus_joins_labels_by_path(truth, written):
    classes = ["Edema", "Pneumothorax", "No Finding"]
    images, masks = read(written("chexpert_plus"), classes, adapter="chexpert_plus", part="valid")
    known = {case.study.image_id: case for case in truth}
    assert set(images.index) == {n for n, case in known.items() if case.split != "train"}
    assert masks.empty
    for name, row in images.iterrows():
        said = reported_labels(SEED, known[name].study)
        for own in classes:
            assert row[own] == said[own] or (said[own] is None and np.isnan(row[own]))
        assert (row["sex"], row["age"]) == (known[name].sex, known[name].study.age)


def test_padchest_reads_lists_in_cells(truth, written):
    root = written("padchest")
    classes = ["No Finding", *hospitals.PADCHEST, "scoliosis"]
    images, _ = read(root, classes, adapter="padchest")
    for case, row in in_order(truth, images.reset_index()):
        found = images.loc[row.image_id]
        assert found[[*hospitals.PADCHEST]].to_dict() == {
            name: case.labels[name] for name in hospitals.PADCHEST
        }
        assert found["No Finding"] == case.labels["No Finding"] and found["scoliosis"] == 0
        assert (found["age"], found["sex"]) == (case.study.age, case.sex)
        with Image.open(root / row.path) as picture:
            assert picture.mode.startswith("I;16") and np.asarray(picture).max() < 4096
    some, _ = read(root, classes, adapter="padchest", physicians=True)
    assert len(some) == len(truth) // 4


def test_padchest_gr_keeps_two_readers_apart(truth, written):
    classes = ["Cardiomegaly", "Pneumothorax", "Lung Lesion"]
    images, masks = read(written("padchest_gr"), classes, adapter="padchest_gr", part="test")
    cases_of_test = [case for case in truth if case.split == "test"]
    smaller = 0
    for case, row in in_order(cases_of_test, images.reset_index()):
        for name in classes:
            assert images.loc[row.image_id][name] == case.labels[name]
            if name in case.masks:
                first = same(masks, row.image_id, name, drawn(case.masks[name]), "reader1")
                second = masks[
                    (masks["image_id"] == row.image_id) & (masks["class"] == name)
                    & (masks["annotator"] == "reader2")
                ]  # fmt: skip
                inside = decode(second.iloc[0])
                assert not (inside & ~decode(first)).any()
                smaller += inside.sum() < decode(first).sum()
    assert smaller
    assert images["patient_id"].nunique() == PATIENTS["test"]


def test_chestx_det_draws_outlines(truth, written):
    classes = ["Pneumothorax", "Cardiomegaly", "Pleural Effusion", "Fracture"]
    images, masks = read(written("chestx_det"), classes, adapter="chestx_det")
    cases_of_test = [case.squared(1024) for case in truth if case.split == "test"]
    for case, row in in_order(cases_of_test, images.reset_index()):
        for name in classes:
            assert images.loc[row.image_id][name] == (name in case.masks)
            if name in case.masks:
                rows = masks[(masks["image_id"] == row.image_id) & (masks["class"] == name)]
                found = decode(rows.iloc[0])
                # A polygon cannot express a hole.
                assert not (case.masks[name] & ~found).any()
                assert found.sum() <= case.masks[name].sum() * 1.05
                assert rows.iloc[0]["instances"] == len(components(case.masks[name]))
    assert set(masks["kind"]) == {"segmentation"}


def test_nih_reads_its_patient_lists(truth, written):
    classes = ["Cardiomegaly", "Pneumothorax", "No Finding"]
    entry = {"adapter": "nih", "labels": "Data_Entry_2017.csv", "images": "images"}
    images, masks = read(
        written("nih"), classes, **entry, nih_boxes="BBox_List_2017.csv", listed="test_list.txt"
    )
    known = {f"{c.patient:08d}_{c.study.number - 1:03d}": c.squared(1024) for c in truth}
    assert set(images.index) == {name for name, case in known.items() if case.split == "test"}
    for name, row in images.iterrows():
        for own in classes[:2]:
            assert row[own] == known[name].labels[own]
            if own in known[name].masks:
                same(masks, name, own, drawn(known[name].masks[own]))
    rest, _ = read(written("nih"), classes, **entry, listed="train_val_list.txt")
    assert set(rest.index) == set(known) - set(images.index)


def test_jsrt_draws_squares_about_nodules_and_reads_lungs(truth, written):
    classes = ["Lung Lesion", "No Finding"]
    images, masks = read(written("jsrt"), classes, adapter="jsrt", organs="scratch")
    known = {case.number: case.squared(1024) for case in truth}
    nodules = 0
    for name, row in images.iterrows():
        case = known[int(name[5:])]
        assert row["Lung Lesion"] == case.labels["Lung Lesion"]
        assert (row["sex"], row["age"]) == (case.sex, case.study.age)
        same(masks, name, "Right Lung", case.lungs[0])
        same(masks, name, "Left Lung", case.lungs[1])
        if row["Lung Lesion"]:
            nodules += 1
            left, top, width, height = max(
                boxes(case.masks["Lung Lesion"]), key=lambda box: box[2] * box[3]
            )
            side = max(width, height)
            square = (left + (width - side) / 2, top + (height - side) / 2, side, side)
            found = decode(masks[(masks["image_id"] == name) & (masks["kind"] == "box")].iloc[0])
            # Sizes are in hundredths of a millimetre.
            assert (found != from_boxes([square], 1024, 1024)).sum() <= 4 * side
    assert nodules and len(images) > nodules


def test_tuberculosis_is_in_names_and_sex_and_age_in_readings(truth, written):
    folders = {"Right Lung": "ManualMask/rightMask", "Left Lung": "ManualMask/leftMask"}
    images, masks = read(
        written("tuberculosis"), ["Tuberculosis", "No Finding", "Left Lung"],
        adapter="tuberculosis", masks=folders,
    )  # fmt: skip
    for case, row in in_order(truth, images.reset_index()):
        found = images.loc[row.image_id]
        assert found["Tuberculosis"] == case.labels["Lung Opacity"] == 1 - found["No Finding"]
        assert np.isnan(found["Left Lung"])
        assert (row.sex, row.age) == (case.sex, case.study.age)
        same(masks, row.image_id, "Right Lung", case.lungs[0])
        same(masks, row.image_id, "Left Lung", case.lungs[1])


def test_covid_qu_ex_reads_folders_and_infection_masks(truth, written):
    images, masks = read(
        written("covid_qu_ex"), ["COVID-19", "Pneumonia", "No Finding"],
        adapter="covid_qu_ex", part="Test",
    )  # fmt: skip
    known = {case.number: case.squared(256) for case in truth}
    assert len(images)
    for name, row in images.iterrows():
        case = known[int(name.rsplit("_", 1)[1])]
        assert case.split == "test"
        assert row["COVID-19"] == case.labels["Consolidation"]
        assert row["No Finding"] == case.labels["No Finding"]
        if row["COVID-19"]:
            same(masks, name, "COVID-19", case.masks["Consolidation"])
    assert set(masks["image_id"]) == set(images.index[images["COVID-19"] == 1])


@pytest.mark.parametrize("layout", sorted(layouts(HEIGHT)))
def test_equal_arguments_give_equal_bytes(layout, written, tmp_path):
    export_layout(tmp_path, layout, SEED, SOURCE)
    assert digests(tmp_path) == {
        name: digest
        for name, digest in digests(written(layout)).items()
        if not name.startswith("small/") and name != "s.csv"
    }


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_the_command_writes_a_layout_and_refuses_what_it_has_not(tmp_path):
    run = CliRunner().invoke
    options = ["phantom", "export", str(tmp_path), "--patients", "test=1", "--height", "64"]
    done = run(app, [*options, "--layout", "siim"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "train-rle.csv").is_file()
    with pytest.raises(
        InputError, match=r"--layout: unknown layout 'vinder'; did you mean 'vindr'"
    ):
        run(app, [*options, "--layout", "vinder"], catch_exceptions=False)
    with pytest.raises(InputError, match=r"--layout siim: takes no option"):
        run(app, [*options, "--layout", "siim", "--lateral"], catch_exceptions=False)


def test_every_layout_is_that_of_an_adapter():
    assert set(layouts(HEIGHT)) <= set(registry.adapters())
    assert set(collections.NIH) >= set(collections.NIH_BOXED)
