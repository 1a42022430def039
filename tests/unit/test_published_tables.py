"""Adapters on the real label tables in the package torchxrayvision: everything but pixels.

The priors and readers' figures were worked out by other programs from the same tables. They are in
the list of published results that the project is measured by; those compared here are repeated.
"""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shamsul.data.adapters.chexpert_plus import ChexpertPlusSource
from shamsul.data.adapters.nih import NihSource
from shamsul.data.adapters.padchest import PadchestSource
from shamsul.data.adapters.rsna import RsnaSource
from shamsul.data.adapters.siim import SiimSource
from shamsul.data.adapters.vindr import CORNERS, VindrSource
from shamsul.data.masks import decode, encode, run_lengths
from shamsul.data.rejected import Rejections
from shamsul.evaluate.histogram import contains, sweep
from shamsul.evaluate.histogram_metrics import iou
from shamsul.geometry import Frame
from shamsul.labels import CLASSES

FOUND = importlib.util.find_spec("torchxrayvision")
TABLES = Path(next(iter(FOUND.submodule_search_locations))) / "data" if FOUND else Path()
pytestmark = pytest.mark.skipif(not TABLES.name, reason="torchxrayvision is not installed")

VINDR = "vinbigdata-train.csv.gz"
SIIM = "siim-pneumothorax-train-rle.csv.gz"
PADCHEST = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
RSNA = "kaggle_stage_2_train_labels.csv.zip"
GRID = 128
"""Side of the grid that the priors are worked out on."""
FOLDS = 5

NIH_PRIOR = {
    # IoU and hit rate, mean of the other four folds of patients
    "Atelectasis": (0.126, 0.161),
    "Cardiomegaly": (0.649, 0.986),
    "Pleural Effusion": (0.184, 0.288),
    "Pneumonia": (0.235, 0.500),
    "Pneumothorax": (0.152, 0.265),
}
SIIM_PRIOR = (0.0826, 0.157)
READERS = {
    # IoU, hit rate, pairs of readers, images
    "Aortic enlargement": (0.691, 0.987, 5834, 2346),
    "Atelectasis": (0.518, 0.852, 98, 62),
    "Calcification": (0.485, 0.826, 291, 177),
    "Cardiomegaly": (0.744, 0.998, 4411, 1817),
    "Consolidation": (0.602, 0.902, 183, 121),
    "ILD": (0.558, 0.915, 294, 152),
    "Infiltration": (0.541, 0.888, 427, 245),
    "Lung Opacity": (0.465, 0.781, 881, 547),
    "Nodule/Mass": (0.588, 0.864, 767, 405),
    "Pleural effusion": (0.509, 0.894, 1512, 634),
    "Pleural thickening": (0.367, 0.737, 1612, 882),
    "Pneumothorax": (0.701, 0.916, 148, 58),
    "Pulmonary fibrosis": (0.471, 0.850, 2283, 1017),
}


def sized(images, side):
    return images.assign(height=side, width=side)


def overlap(mask, other, frame):
    """IoU of two masks by the code that scores heatmaps: one is the map, the other the expert's."""
    laid = sweep(decode(mask).astype(np.float32), frame, run_lengths(other))
    return float(iou(laid.inside, laid.outside)[0])


def test_vindr_has_15000_images_of_three_readers_each():
    source = VindrSource(adapter="vindr", name="vindr", split="test", boxes=VINDR, images=".")
    rejected = Rejections("vindr", quarantine=False)
    images = source.read_images(TABLES, ("No Finding", "Cardiomegaly", "ILD"), rejected)
    assert len(images) == 15000 and images["image_id"].is_unique
    raw = pd.read_csv(TABLES / VINDR)
    assert raw.groupby("image_id")["rad_id"].nunique().eq(3).all() and raw["rad_id"].nunique() == 17
    votes = raw[raw["class_name"] == "Cardiomegaly"].groupby("image_id")["rad_id"].nunique()
    assert (images["Cardiomegaly"] == 1).sum() == (votes >= 2).sum() == 1817
    assert (images["Cardiomegaly"] == -1).sum() == (votes == 1).sum()
    assert (images["No Finding"] == 1).sum() == 10606
    masks = source.read_masks(TABLES, sized(images, 3400), rejected)
    assert masks["instances"].sum() == (raw["class_name"] != "No finding").sum() == 36096
    assert masks["annotator"].nunique() <= 17 and set(masks["kind"]) == {"box"}
    assert not masks.duplicated(["image_id", "class", "annotator"]).any()


COMPARED = ["Atelectasis", "Consolidation", "Pneumothorax", "ILD", "Nodule/Mass", "Calcification"]


@pytest.mark.parametrize("name", COMPARED)
def test_vindr_readers_against_readers(vindr_at_a_fifth, name):
    images, masks, side = vindr_at_a_fifth
    frame = Frame.fit(side, side, side, "stretch")
    ious, hits, seen = [], [], set()
    centres = centres_of(name)
    for image_id, group in masks[masks["class"] == name].groupby("image_id"):
        for one, other in itertools.permutations(group.to_dict("records"), 2):
            ious.append(overlap(one, other, frame))
            x, y = centres[image_id, one["annotator"]]
            hits.append(contains(run_lengths(other), side, int(y / 5), int(x / 5)))
            seen.add(image_id)
    expected, hit, pairs, count = READERS[name]
    assert (len(ious) / 2, len(seen)) == (pairs, count)
    assert np.mean(hits) == pytest.approx(hit, abs=0.004)
    # Theirs is of a coarser grid, whose cells belong to all boxes that touch them, and higher.
    assert expected - 0.013 < np.mean(ious) < expected


@pytest.mark.parametrize("name", ["Atelectasis", "Pneumothorax"])
def test_vindr_readers_against_readers_pixel_by_pixel(vindr_at_a_fifth, name):
    """The same from the table alone, at full resolution."""
    _, masks, side = vindr_at_a_fifth
    frame = Frame.fit(side, side, side, "stretch")
    exact, ours = [], []
    raw = pd.read_csv(TABLES / VINDR).query("class_name == @name")
    for _, group in raw.groupby("image_id"):
        drawn = []
        for _, boxes in group.groupby("rad_id"):
            mask = np.zeros((3400, 3400), bool)
            for left, top, right, bottom in boxes[CORNERS].astype(int).to_numpy():
                mask[top:bottom, left:right] = True
            drawn.append(mask)
        exact += [(a & b).sum() / (a | b).sum() for a, b in itertools.combinations(drawn, 2)]
    for _, group in masks[masks["class"] == name].groupby("image_id"):
        pairs = itertools.combinations(group.to_dict("records"), 2)
        ours += [overlap(one, other, frame) for one, other in pairs]
    assert np.mean(ours) == pytest.approx(np.mean(exact), abs=0.002)


def centres_of(name):
    """Centre of the largest box of each image and reader."""
    raw = pd.read_csv(TABLES / VINDR).query("class_name == @name")
    area = (raw["x_max"] - raw["x_min"]) * (raw["y_max"] - raw["y_min"])
    largest = raw.assign(area=area).sort_values("area").groupby(["image_id", "rad_id"]).last()
    return {
        key: ((row["x_min"] + row["x_max"]) / 2, (row["y_min"] + row["y_max"]) / 2)
        for key, row in largest.iterrows()
    }


@pytest.fixture(scope="module")
def vindr_at_a_fifth(tmp_path_factory):
    """Boxes of VinDr-CXR at a fifth of their resolution, in a frame that holds all of them."""
    folder, side = tmp_path_factory.mktemp("vindr"), 3400
    (folder / "train.csv").write_bytes(gzip.decompress((TABLES / VINDR).read_bytes()))
    names = pd.read_csv(folder / "train.csv")["image_id"].unique()
    sizes = pd.DataFrame({"image_id": names, "dim0": side, "dim1": side})
    sizes.to_csv(folder / "sizes.csv", index=False)
    source = VindrSource(
        adapter="vindr", name="vindr", split="test", boxes="train.csv", sizes="sizes.csv",
        images=".", map={name: name for name in READERS},
    )  # fmt: skip
    rejected = Rejections("vindr", quarantine=True)
    images = sized(source.read_images(folder, tuple(READERS), rejected), side // 5)
    return images, source.read_masks(folder, images, rejected), side // 5


def prior(masks, fold, folds, share):
    """IoU and hit rate of the mean mask of the other folds, cut where those overlap it best.

    A cell of the grid belongs to a mask where more than a share of its pixels does.
    """
    frame = Frame.fit(GRID, GRID, GRID, "stretch")
    cells = 1024 // GRID
    drawn = np.array([
        decode(row).reshape(GRID, cells, GRID, cells).mean(axis=(1, 3)) > share
        for row in masks.to_dict("records")
    ])  # fmt: skip
    shown = drawn.any(axis=(1, 2))
    drawn, fold = drawn[shown], fold[shown]
    runs = [run_lengths({"counts": encode(mask), "height": GRID, "width": GRID}) for mask in drawn]
    drawn = drawn.astype(np.float32)
    ious, hits = [], []
    for number in range(folds):
        mean = drawn[fold != number].mean(axis=0)
        laid = [sweep(mean, frame, run) for run in runs]
        curves = np.array([iou(one.inside, one.outside) for one in laid])
        level = curves[fold != number].mean(axis=0).argmax()
        ious += curves[fold == number, level].tolist()
        hits += [laid[index].hit for index in np.flatnonzero(fold == number)]
    return float(np.mean(ious)), float(np.mean(hits))


@pytest.fixture(scope="module")
def nih_masks(tmp_path_factory):
    """NIH's 984 boxes at the resolution of the radiographs."""
    folder = tmp_path_factory.mktemp("nih")
    # The package has lost the three empty cells at the end of NIH's own rows.
    text = gzip.decompress((TABLES / "BBox_List_2017.csv.gz").read_bytes()).decode()
    header, *rows = text.splitlines()
    (folder / "boxes.csv").write_text("\n".join([header, *(f"{row},,," for row in rows)]))
    source = NihSource(
        adapter="nih", name="nih", split="test", labels="-", images="-", nih_boxes="boxes.csv"
    )
    names = pd.read_csv(folder / "boxes.csv")["Image Index"].str.removesuffix(".png").unique()
    images = sized(pd.DataFrame({"image_id": names}), 1024)
    return source.read_masks(folder, images, Rejections("nih", quarantine=False))


def test_nih_has_984_boxes(nih_masks):
    assert nih_masks["instances"].sum() == 984 and nih_masks["image_id"].nunique() == 880


@pytest.mark.parametrize("name", NIH_PRIOR)
def test_the_position_prior_of_nih(nih_masks, name):
    masks = nih_masks[nih_masks["class"] == name]
    fold = masks["image_id"].str.split("_").str[0].astype(int).to_numpy() % FOLDS
    # Theirs has a cell in a box that touches it.
    found, hit = prior(masks, fold, FOLDS, share=0)
    expected, hit_of_first = NIH_PRIOR[name]
    assert found == pytest.approx(expected, abs=0.002)
    # Theirs is the first of several maxima, ours their share in the mask.
    assert hit == pytest.approx(hit_of_first, abs=0.06)


@pytest.fixture(scope="module")
def siim():
    source = SiimSource(adapter="siim", name="siim", split="test", outlines=SIIM, images=".")
    rejected = Rejections("siim", quarantine=False)
    images = source.read_images(TABLES, ("Pneumothorax",), rejected)
    return images, source.read_masks(TABLES, sized(images, 1024), rejected)


def test_siim_has_12047_images_and_2669_pneumothoraces(siim):
    images, masks = siim
    assert len(images) == 12047 and images["Pneumothorax"].sum() == 2669 == len(masks)
    assert masks["instances"].sum() == 3576


def test_siim_run_lengths_are_drawn_as_their_reference_draws_them(siim):
    """Gaps from the last end, columns first: by a loop over the numbers, without run lengths."""
    _, masks = siim
    raw = pd.read_csv(TABLES / SIIM)
    raw.columns = raw.columns.str.strip()
    for row in masks.iloc[::300].to_dict("records"):
        expected = np.zeros(1024 * 1024, bool)
        for text in raw.loc[raw["ImageId"] == row["image_id"], "EncodedPixels"]:
            place = 0
            numbers = list(map(int, text.split()))
            for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
                place += gap
                expected[place : place + length] = True
                place += length
        np.testing.assert_array_equal(decode(row), expected.reshape(1024, 1024).T)


def test_the_position_prior_of_siim(siim):
    """Two folds, by alternate rows: the reference does not tell how its own were drawn.

    So the first maximum of its mean mask is another pixel.
    """
    _, masks = siim
    masks = masks.iloc[::2].reset_index(drop=True)
    found, hit = prior(masks, np.arange(len(masks)) % 2, 2, share=0.5)
    assert found == pytest.approx(SIIM_PRIOR[0], abs=0.004)
    assert hit == pytest.approx(SIIM_PRIOR[1], abs=0.03)


def test_pneumothoraces_lie_where_they_lie_in_life(siim):
    """In two lungs, and in their upper parts; transposed masks would not."""
    _, masks = siim
    mean = np.mean([decode(row) for row in masks.iloc[::20].to_dict("records")], axis=0)
    across, down = mean.sum(axis=0), mean.sum(axis=1)
    between = across[448:576].mean()
    assert between < 0.5 * min(across[:448].max(), across[576:].max())
    assert down[:512].sum() > 0.65 * down.sum()
    assert 0.4 < across[:512].sum() / across.sum() < 0.6


def test_rsna_has_26684_images_and_9555_boxes(tmp_path):
    raw = pd.read_csv(TABLES / RSNA)
    raw.to_csv(tmp_path / "stage_2_train_labels.csv", index=False)
    details = raw[["patientId"]].assign(
        **{"class": raw["Target"].map({1: "Lung Opacity", 0: "No Lung Opacity / Not Normal"})}
    )
    details.to_csv(tmp_path / "stage_2_detailed_class_info.csv", index=False)
    source = RsnaSource(adapter="rsna", name="rsna", split="test", images=".")
    rejected = Rejections("rsna", quarantine=False)
    images = source.read_images(tmp_path, ("Lung Opacity", "No Finding"), rejected)
    assert len(images) == 26684 and images["Lung Opacity"].sum() == 6012
    assert images["No Finding"].sum() == 0
    masks = source.read_masks(tmp_path, sized(images, 1024), rejected)
    assert len(masks) == 6012 and masks["instances"].sum() == 9555
    first = raw[raw["Target"] == 1].iloc[0]
    row = masks[masks["image_id"] == first["patientId"]].iloc[0]
    assert decode(row)[int(first["y"]) + 1, int(first["x"]) + 1]


def test_padchest_has_160861_rows(caplog):
    source = PadchestSource(
        adapter="padchest", name="padchest", split="test", labels=PADCHEST, images="."
    )
    with caplog.at_level(logging.WARNING):
        images = source.read_images(TABLES, CLASSES, Rejections("padchest", quarantine=False))
    raw = pd.read_csv(TABLES / PADCHEST, usecols=["Labels", "PatientID"], dtype=str)
    unfit = raw["Labels"].str.contains("' *exclude *'|' *suboptimal study *'", na=False)
    assert len(raw) == 160861 == len(images) + unfit.sum()
    assert f"{unfit.sum()} of 160861 images are left out" in caplog.text
    assert images["image_id"].is_unique and images["age"].between(0, 120).sum() > 157000
    kept = raw.loc[~unfit, "Labels"].fillna("")
    assert images["Cardiomegaly"].sum() == kept.str.contains("' *cardiomegaly *'").sum()
    assert images["Pneumothorax"].sum() == kept.str.contains("pneumothorax *'").sum()
    # Devices are no pathology, so that an image may be normal and have one.
    assert images["No Finding"].sum() == kept.str.contains("' *normal *'").sum()
    assert (images["view"] == "other").sum() == 634
    assert "634 of 157710 images are neither frontal nor lateral" in caplog.text


def test_chexpert_plus_reads_chexperts_labels_by_path(tmp_path):
    """The package has CheXpert's labels; written in the layout of CheXpert Plus they come back."""
    raw = pd.read_csv(TABLES / "chexpert_train.csv.gz")
    assert len(raw) == 223414
    raw = raw.iloc[::50]
    path = raw["Path"].str.removeprefix("CheXpert-v1.0-small/")
    pd.DataFrame({
        "path_to_image": path, "frontal_lateral": raw["Frontal/Lateral"], "ap_pa": raw["AP/PA"],
        "deid_patient_id": path.str.split("/").str[1], "age": raw["Age"], "sex": raw["Sex"],
        "split": "train", "report": 'said "this",\nand that',
    }).to_csv(tmp_path / "df_chexpert_plus_240401.csv", index=False)  # fmt: skip
    lines = raw[list(CLASSES)].assign(path_to_image=path).sample(frac=1, random_state=0)
    lines.to_json(tmp_path / "labels.json", orient="records", lines=True)
    source = ChexpertPlusSource(
        adapter="chexpert_plus", name="plus", split="train", labels="labels.json", images="."
    )
    images = source.read_images(tmp_path, CLASSES, Rejections("plus", quarantine=False))
    assert len(images) == len(raw)
    np.testing.assert_array_equal(images[list(CLASSES)], raw[list(CLASSES)])
    assert (images["view"] == "lateral").sum() == (raw["Frontal/Lateral"] == "Lateral").sum()
