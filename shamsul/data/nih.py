"""ChestX-ray14's radiographs and labels, NIH's and RSNA's boxes drawn as masks.

Wang et al., CVPR 2017; RSNA Pneumonia Detection Challenge 2018 (Shih et al., Radiology: AI 2019).
Box coordinates are in the original 1024 x 1024 frame even where the images have been reduced.
A box is not an outline of the finding: its masks are marked `box` and are never averaged with
radiologists' outlines.
"""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from shamsul import lazy
from shamsul.data.adapter import (
    COLUMNS,
    header,
    numbers,
    read_csv,
    require_columns,
    require_files,
)
from shamsul.data.masks import MASK_COLUMNS, encode, from_boxes
from shamsul.data.settings import NihSource
from shamsul.errors import InputError
from shamsul.settings import unknown

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

FINDINGS: dict[str, tuple[str, ...]] = {
    "No Finding": ("No Finding",),
    "Cardiomegaly": ("Cardiomegaly",),
    "Lung Opacity": (
        "Infiltration",
        "Pneumonia",
        "Consolidation",
        "Edema",
        "Atelectasis",
        "Mass",
        "Nodule",
    ),
    "Lung Lesion": ("Mass", "Nodule"),
    "Edema": ("Edema",),
    "Consolidation": ("Consolidation",),
    "Pneumonia": ("Pneumonia",),
    "Atelectasis": ("Atelectasis",),
    "Pneumothorax": ("Pneumothorax",),
    "Pleural Effusion": ("Effusion",),
    "Pleural Other": ("Pleural_Thickening",),
}
"""CheXpert's classes, and the NIH findings any of which makes them positive."""

LABELS = {name for names in FINDINGS.values() for name in names} | {
    "Emphysema",
    "Fibrosis",
    "Hernia",
}
"""All findings of ChestX-ray14; the last three have no counterpart in CheXpert."""

BOXES = {
    "Infiltrate": "Lung Opacity",
    "Lung Opacity": "Lung Opacity",
    "Mass": "Lung Lesion",
    "Nodule": "Lung Lesion",
    "Effusion": "Pleural Effusion",
    "Cardiomegaly": "Cardiomegaly",
    "Atelectasis": "Atelectasis",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
}
"""CheXpert's class of a box, by its label in NIH's and RSNA's files."""

BOX_COLUMNS = ["x", "y", "w", "h"]


def check(source: NihSource, root: Path, classes: tuple[str, ...]) -> None:
    """Raise an InputError where a file, a column or a class is missing."""
    require_files(source.name, root, [*source.files(), source.images])
    columns = ["Image Index", "Finding Labels", "Patient ID", "View Position"]
    require_columns(root / source.labels, columns, "column")
    if source.rsna_boxes:
        wanted = ["Image Index", "Finding Label", *BOX_COLUMNS]
        require_columns(root / source.rsna_boxes, wanted, "column")
    if source.nih_boxes and len(header(root / source.nih_boxes)) < 6:
        raise InputError(
            f"{root / source.nih_boxes}: needs six columns: image, finding, x, y, w, h"
        )
    for name in classes:
        if name not in FINDINGS:
            raise InputError(f"data source {source.name}: {unknown(name, FINDINGS, 'class')}")


def read(source: NihSource, root: Path, classes: tuple[str, ...]) -> pd.DataFrame:
    """The images that `Data_Entry_2017.csv` lists, as a table (see `shamsul.data.adapter`)."""
    file = root / source.labels
    table = read_csv(file)
    folder = root / source.images
    for row, name in enumerate(table["Image Index"]):
        if PurePosixPath(name).name != name or not (folder / name).is_file():
            raise InputError(f"{file}: row {row + 2}: no image {name!r} in {folder}")
    images = pd.DataFrame(index=table.index)
    images["image_id"] = [PurePosixPath(name).stem for name in table["Image Index"]]
    images["patient_id"] = table["Patient ID"].str.strip()
    images["study_id"] = images["image_id"]
    images["view"] = "frontal"
    position = table["View Position"].str.strip()
    images["projection"] = position.where(position.isin(["AP", "PA"]))
    images["path"] = [str(PurePosixPath(source.images, name)) for name in table["Image Index"]]
    gender = table.get("Patient Gender", pd.Series("", index=table.index)).str.strip()
    images["sex"] = gender.where(gender.isin(["F", "M"]))
    images["age"] = _age(table, file)
    found = [{part.strip() for part in text.split("|")} for text in table["Finding Labels"]]
    for row, (labels, patient) in enumerate(zip(found, images["patient_id"], strict=True)):
        if not patient:
            raise InputError(f"{file}: row {row + 2}, column 'Patient ID': is blank")
        for name in sorted(labels - LABELS):
            raise InputError(
                f"{file}: row {row + 2}, column 'Finding Labels': "
                f"{unknown(name, sorted(LABELS), 'finding')}"
            )
    for name in classes:
        images[name] = [float(bool(labels & set(FINDINGS[name]))) for labels in found]
    if source.select != "all":
        boxed = set(_boxes(source, root)["image_id"])
        patients = set(images.loc[images["image_id"].isin(boxed), "patient_id"])
        images = images[images["patient_id"].isin(patients) == (source.select == "boxed")]
    return images[[*COLUMNS, *classes]].reset_index(drop=True)


def _age(table: pd.DataFrame, file: Path) -> pd.Series:
    """Years; NIH's first release writes `058Y`, and a few ages of over 150 are typing errors."""
    if "Patient Age" not in table:
        return pd.Series(np.nan, index=table.index)
    text = table["Patient Age"].str.rstrip("Yy")
    age = numbers(table.assign(**{"Patient Age": text}), "Patient Age", file)
    return age.where(age <= 120)


def _boxes(source: NihSource, root: Path) -> pd.DataFrame:
    """All boxes: image_id, class, annotator, and x, y, w, h in the frame of `box_frame`."""
    tables = []
    for annotator, name in (("nih", source.nih_boxes), ("rsna", source.rsna_boxes)):
        if name is None:
            continue
        file = root / name
        table = read_csv(file)
        if annotator == "nih":  # its header is "Bbox [x", "y", "w", "h]" and three empty columns
            table = table.iloc[:, :6].set_axis(
                ["Image Index", "Finding Label", *BOX_COLUMNS], axis=1
            )
        boxes = pd.DataFrame({column: numbers(table, column, file) for column in BOX_COLUMNS})
        boxes["image_id"] = [PurePosixPath(text).stem for text in table["Image Index"]]
        boxes["class"] = table["Finding Label"].map(BOXES)
        boxes["annotator"] = annotator
        if boxes["class"].isna().any():
            row = int(boxes["class"].isna().to_numpy().argmax())
            raise InputError(
                f"{file}: row {row + 2}: {unknown(table['Finding Label'][row], BOXES, 'finding')}"
            )
        outside = boxes[BOX_COLUMNS].isna().any(axis=1) | (boxes[["w", "h"]] <= 0).any(axis=1)
        outside |= (boxes[["x", "y"]] < 0).any(axis=1)
        outside |= boxes["x"] + boxes["w"] > source.box_frame + 1
        outside |= boxes["y"] + boxes["h"] > source.box_frame + 1
        if outside.any():
            row = int(outside.to_numpy().argmax())
            raise InputError(
                f"{file}: row {row + 2}: the box does not lie in a frame of {source.box_frame} x "
                f"{source.box_frame} pixels; set box_frame of source {source.name}"
            )
        tables.append(boxes)
    columns = ["image_id", "class", "annotator", *BOX_COLUMNS]
    return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


def masks(source: NihSource, root: Path, images: pd.DataFrame) -> pd.DataFrame:
    """Union of the boxes of each image and class, at the file's own resolution.

    Boxes between the centres of pixels of a reduced file cover none, and are left out.
    """
    sizes = images.set_index("image_id")[["height", "width"]]
    boxes = _boxes(source, root)
    boxes = boxes[boxes["image_id"].isin(sizes.index)]
    rows, blank = [], []
    for (image_id, name), group in boxes.groupby(["image_id", "class"]):
        annotator = "+".join(sorted(set(group["annotator"])))
        height, width = (int(side) for side in sizes.loc[str(image_id)])
        scale = np.array([width, height, width, height]) / source.box_frame
        mask = from_boxes(group[BOX_COLUMNS].to_numpy() * scale, height, width)
        if not mask.any():
            blank.append(image_id)
            continue
        counts = encode(mask)
        rows.append((image_id, name, annotator, "box", height, width, counts, len(group)))
    if blank:
        logger.warning(
            "data source %s: the boxes of %d images and classes cover no pixel and are left out, "
            "such as of %s",
            source.name, len(blank), blank[0],
        )  # fmt: skip
    return pd.DataFrame(rows, columns=MASK_COLUMNS)
