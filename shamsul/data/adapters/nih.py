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
from shamsul.data import values
from shamsul.data.adapter import COLUMNS, DiskSource
from shamsul.data.csv_files import header, line, numbers, read_csv, require_columns
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

SEX_COLUMNS = ("Patient Gender", "Patient Sex")
"""Columns of the sex: the first in the release of 2017, the second in that of 2020."""
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
        table = read_csv(file)
        rejected.expect(len(table))
        used = self._listed(table, root)

        def reject(row: int, column: str, said: str) -> None:
            if used[row]:
                rejected.add("row", file, said, row=line(table, row), field=column)
                used[row] = False

        for row, name in enumerate(table["Image Index"]):
            if not name.strip() or PurePosixPath(name).name != name:
                reject(row, "Image Index", f"{name!r} is no file name, as NIH's are")
        images = pd.DataFrame(index=table.index)
        images["image_id"] = [PurePosixPath(name).stem for name in table["Image Index"]]
        images["patient_id"] = table["Patient ID"].str.strip()
        for row in np.flatnonzero(images["patient_id"] == "").tolist():
            reject(row, "Patient ID", "is blank")
        images["study_id"] = images["image_id"]
        images["view"] = "frontal"
        images["projection"] = values.projections(table, "View Position", file)
        images["path"] = [str(PurePosixPath(self.images, name)) for name in table["Image Index"]]
        sex = next((name for name in SEX_COLUMNS if name in table), None)
        images["sex"] = values.sexes(table, sex, file) if sex else None
        # Ages of 2017 may end in a unit, and some are typing errors of 150 years and more.
        age = "Patient Age" if "Patient Age" in table else None
        images["age"] = values.ages(table, age, file) if age else np.nan
        found = [{part.strip() for part in text.split("|")} for text in table["Finding Labels"]]
        for row, findings in enumerate(found):
            for name in sorted(findings - LABELS):
                reject(row, "Finding Labels", unknown(name, sorted(LABELS), "finding"))
        for name in classes:
            images[name] = [float(bool(labels & set(FINDINGS[name]))) for labels in found]
        if self.select != "all":
            finding = pd.Series([bool(labels - NORMAL) for labels in found], index=images.index)
            # Boxes are rejected where the masks are read; here they only choose patients.
            quiet = Rejections(self.name, True) if rejected.quarantine else rejected
            used &= self._selected(images, finding, self._boxes(root, quiet))
        return images.loc[used, [*COLUMNS, *classes]].reset_index(drop=True)

    def _listed(self, table: pd.DataFrame, root: Path) -> pd.Series:
        """Return True for the images that `listed` names, for all where there is no list."""
        if self.listed is None:
            return pd.Series(True, index=table.index)
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
        return table["Image Index"].isin(names)

    def _selected(self, images: pd.DataFrame, finding: pd.Series, boxes: pd.DataFrame) -> pd.Series:
        """Return True for each image of a patient to keep, of images with and without finding."""
        patient = images["patient_id"]
        boxed = patient.isin(patient[images["image_id"].isin(boxes["image_id"])])
        if self.select in ("boxed", "unboxed"):
            return boxed == (self.select == "boxed")
        return ~boxed & (patient.isin(patient[finding]) == (self.select == "with_finding"))

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Unite the boxes of each image and class, at the file's own resolution.

        As `DiskSource.read_masks`. Boxes between the centres of pixels of a reduced file cover
        none, and are left out.
        """
        sizes = images.set_index("image_id")[["height", "width"]]
        boxes = self._boxes(root, rejected)
        known = boxes["image_id"].isin(sizes.index)
        if not known.all():
            logger.info(
                "data source %s: %d of %d boxes are of images that it does not use, such as %s",
                self.name, int((~known).sum()), len(boxes), boxes.loc[~known, "image_id"].iloc[0],
            )  # fmt: skip
        boxes = boxes[known]
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

    def _boxes(self, root: Path, rejected: Rejections) -> pd.DataFrame:
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
            wrong = boxes["class"].isna()
            for row in wrong.index[wrong]:
                said = unknown(table["Finding Label"][row], BOXES, "finding")
                rejected.add("mask", file, said, row=line(table, row), field="Finding Label")
            outside = boxes[BOX_COLUMNS].isna().any(axis=1) | (boxes[["w", "h"]] <= 0).any(axis=1)
            outside |= (boxes[["x", "y"]] < 0).any(axis=1)
            outside |= boxes["x"] + boxes["w"] > self.box_frame + 1
            outside |= boxes["y"] + boxes["h"] > self.box_frame + 1
            for row in outside.index[outside & ~wrong]:
                said = (
                    f"the box does not lie in a frame of {self.box_frame} x {self.box_frame} "
                    f"pixels; set box_frame of source {self.name}"
                )
                rejected.add("mask", file, said, row=line(table, row))
            boxes = boxes[~wrong & ~outside]
            tables.append(boxes)
        columns = ["image_id", "class", "annotator", *BOX_COLUMNS]
        return pd.concat(tables)[columns] if tables else pd.DataFrame(columns=columns)
