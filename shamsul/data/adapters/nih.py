"""ChestX-ray14's radiographs and labels, NIH's and RSNA's boxes drawn as masks.

Wang et al., CVPR 2017; RSNA Pneumonia Detection Challenge 2018 (Shih et al., Radiology: AI 2019).
Box coordinates are in the original 1024 x 1024 frame even where the images have been reduced.
A box is not an outline of the finding: its masks are marked `box` and are never averaged with
radiologists' outlines.
"""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import PositiveInt

from shamsul import lazy
from shamsul.data.adapter import COLUMNS, DiskSource
from shamsul.data.csv_files import header, numbers, read_csv, require_columns
from shamsul.data.masks import MASK_COLUMNS, encode, from_boxes
from shamsul.data.rejected import Rejections
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

NORMAL = {"No Finding"}
"""Labels of an image without a finding."""

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
"""Columns of a box: left, top, width and height in pixels of the frame `box_frame`."""


class NihSource(DiskSource):
    """ChestX-ray14's CSV and folder, with NIH's and RSNA's boxes drawn as masks."""

    adapter: Literal["nih"]
    labels: str
    """`Data_Entry_2017.csv`, relative to `data.root`."""
    images: str
    """Folder of the PNG files, relative to `data.root`."""
    nih_boxes: str | None = None
    """`BBox_List_2017.csv`."""
    rsna_boxes: str | None = None
    """CSV file with the columns Image Index, Finding Label, x, y, w, h."""
    listed: str | None = None
    """Text file with the names of the images to keep, one a line: NIH's `train_val_list.txt` or
    `test_list.txt`, which divide the patients."""
    box_frame: PositiveInt = 1024
    """Side in pixels of the frame that box coordinates are in, whatever the file's own size."""
    select: Literal["all", "boxed", "unboxed", "with_finding", "without_finding"] = "all"
    """Patients to keep: `boxed` those who have an image with a box, `unboxed` the others; of the
    unboxed `with_finding` those who have an image with a finding, `without_finding` the others."""

    def files(self) -> list[str]:
        """Return the label and box files, relative to `data.root`."""
        names = (self.labels, self.nih_boxes, self.rsna_boxes, self.listed)
        return [name for name in names if name]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folder, columns and classes; as `Source.check`."""
        self.require(root, [*self.files(), self.images])
        columns = ["Image Index", "Finding Labels", "Patient ID", "View Position"]
        require_columns(root / self.labels, columns, "column")
        if self.rsna_boxes:
            wanted = ["Image Index", "Finding Label", *BOX_COLUMNS]
            require_columns(root / self.rsna_boxes, wanted, "column")
        if self.nih_boxes and len(header(root / self.nih_boxes)) < 6:
            raise InputError(
                f"{root / self.nih_boxes}: needs six columns: image, finding, x, y, w, h"
            )
        for name in classes:
            if name not in FINDINGS:
                raise InputError(f"data source {self.name}: {unknown(name, FINDINGS, 'class')}")

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that `Data_Entry_2017.csv` lists; as `DiskSource.read_images`."""
        file = root / self.labels
        table = self._kept(read_csv(file), root)
        folder = root / self.images
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
        images["path"] = [str(PurePosixPath(self.images, name)) for name in table["Image Index"]]
        gender = table.get("Patient Gender", pd.Series("", index=table.index)).str.strip()
        images["sex"] = gender.where(gender.isin(["F", "M"]))
        images["age"] = _age(table, file)
        if (images["patient_id"] == "").any():
            row = int((images["patient_id"] == "").to_numpy().argmax())
            raise InputError(f"{file}: row {row + 2}, column 'Patient ID': is blank")
        found = _findings(table, file)
        for name in classes:
            images[name] = [float(bool(labels & set(FINDINGS[name]))) for labels in found]
        if self.select != "all":
            finding = pd.Series([bool(labels - NORMAL) for labels in found], index=images.index)
            images = images[self._selected(root, images, finding)]
        return images[[*COLUMNS, *classes]].reset_index(drop=True)

    def _kept(self, table: pd.DataFrame, root: Path) -> pd.DataFrame:
        """Return the rows of the images that `listed` names, of all where there is no list."""
        if self.listed is None:
            return table
        file = root / self.listed
        try:
            names = set(file.read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: not a readable list of names ({error})") from None
        unlisted = sorted(names - set(table["Image Index"]))
        if unlisted:
            raise InputError(
                f"{file}: {len(unlisted)} of its {len(names)} images, such as {unlisted[0]!r}, are "
                f"not in {root / self.labels}"
            )
        return table[table["Image Index"].isin(names)].reset_index(drop=True)

    def _selected(self, root: Path, images: pd.DataFrame, finding: pd.Series) -> pd.Series:
        """Return True for each image of a patient to keep, of images with and without finding."""
        patient = images["patient_id"]
        boxed = patient.isin(patient[images["image_id"].isin(self._boxes(root)["image_id"])])
        if self.select in ("boxed", "unboxed"):
            return boxed == (self.select == "boxed")
        return ~boxed & (patient.isin(patient[finding]) == (self.select == "with_finding"))

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Unite the boxes of each image and class, at the file's own resolution.

        As `DiskSource.read_masks`. Boxes between the centres of pixels of a reduced file cover
        none, and are left out.
        """
        sizes = images.set_index("image_id")[["height", "width"]]
        boxes = self._boxes(root)
        boxes = boxes[boxes["image_id"].isin(sizes.index)]
        rows, blank = [], []
        for (image_id, name), group in boxes.groupby(["image_id", "class"]):
            annotator = "+".join(sorted(set(group["annotator"])))
            height, width = (int(side) for side in sizes.loc[str(image_id)])
            scale = np.array([width, height, width, height]) / self.box_frame
            mask = from_boxes(group[BOX_COLUMNS].to_numpy() * scale, height, width)
            if not mask.any():
                blank.append(image_id)
                continue
            counts = encode(mask)
            rows.append((image_id, name, annotator, "box", height, width, counts, len(group)))
        if blank:
            logger.warning(
                "data source %s: the boxes of %d images and classes cover no pixel and are left "
                "out, such as of %s",
                self.name, len(blank), blank[0],
            )  # fmt: skip
        return pd.DataFrame(rows, columns=MASK_COLUMNS)

    def _boxes(self, root: Path) -> pd.DataFrame:
        """Read all boxes: image_id, class, annotator, and `BOX_COLUMNS`."""
        tables = []
        for annotator, name in (("nih", self.nih_boxes), ("rsna", self.rsna_boxes)):
            if name is None:
                continue
            file = root / name
            table = read_csv(file)
            # The header of NIH's file is "Bbox [x", "y", "w", "h]" and three empty columns.
            if annotator == "nih":
                table = table.iloc[:, :6].set_axis(
                    ["Image Index", "Finding Label", *BOX_COLUMNS], axis=1
                )
            boxes = pd.DataFrame({column: numbers(table, column, file) for column in BOX_COLUMNS})
            boxes["image_id"] = [PurePosixPath(text).stem for text in table["Image Index"]]
            boxes["class"] = table["Finding Label"].map(BOXES)
            boxes["annotator"] = annotator
            if boxes["class"].isna().any():
                row = int(boxes["class"].isna().to_numpy().argmax())
                label = table["Finding Label"][row]
                raise InputError(f"{file}: row {row + 2}: {unknown(label, BOXES, 'finding')}")
            outside = boxes[BOX_COLUMNS].isna().any(axis=1) | (boxes[["w", "h"]] <= 0).any(axis=1)
            outside |= (boxes[["x", "y"]] < 0).any(axis=1)
            outside |= boxes["x"] + boxes["w"] > self.box_frame + 1
            outside |= boxes["y"] + boxes["h"] > self.box_frame + 1
            if outside.any():
                row = int(outside.to_numpy().argmax())
                raise InputError(
                    f"{file}: row {row + 2}: the box does not lie in a frame of {self.box_frame} x "
                    f"{self.box_frame} pixels; set box_frame of source {self.name}"
                )
            tables.append(boxes)
        columns = ["image_id", "class", "annotator", *BOX_COLUMNS]
        return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)


def _findings(table: pd.DataFrame, file: Path) -> list[set[str]]:
    """Return the findings of each row; one that is not among `LABELS` is an InputError."""
    found = [{part.strip() for part in text.split("|")} for text in table["Finding Labels"]]
    for row, findings in enumerate(found):
        for name in sorted(findings - LABELS):
            raise InputError(
                f"{file}: row {row + 2}, column 'Finding Labels': "
                f"{unknown(name, sorted(LABELS), 'finding')}"
            )
    return found


def _age(table: pd.DataFrame, file: Path) -> pd.Series:
    """Return ages in years, missing where the file has none or one above 120.

    NIH's first release writes `058Y`, and a few ages of over 150 are typing errors.
    """
    if "Patient Age" not in table:
        return pd.Series(np.nan, index=table.index)
    text = table["Patient Age"].str.rstrip("Yy")
    age = numbers(table.assign(**{"Patient Age": text}), "Patient Age", file)
    return age.where(age <= 120)
