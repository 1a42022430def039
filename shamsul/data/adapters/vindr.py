"""VinDr-CXR: 18,000 radiographs with 22 findings boxed by three radiologists each.

Nguyen et al., Scientific Data 9:429 (2022), doi 10.1038/s41597-022-01498-w. From PhysioNet
(vindr-cxr 1.0.0) after training and a signed agreement, or from Kaggle (VinBigData Chest X-ray
Abnormalities Detection), which has the 15,000 of the train part.

Traps: Train images have three of 17 readers each, test images one consensus of five. Readers
disagree: of the images that anybody marked, two marked a third to two thirds. Boxes are in pixels
of the DICOM files; for images that were resized give `sizes`. There are no patients: each image is
its own. All are PA. Some files are MONOCHROME1, the others MONOCHROME2.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import PositiveInt

from shamsul import lazy
from shamsul.data.boxes import BOX_COLUMNS, draw, used
from shamsul.data.packed_tables import read, values
from shamsul.data.published import PublishedSource, paths
from shamsul.data.readers import Readers, of_readers
from shamsul.data.rejected import Rejections

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

CORNERS = ["x_min", "y_min", "x_max", "y_max"]
CONSENSUS = "consensus"
"""Name of the reader of files that name none."""
NORMAL = "No finding"


class VindrSource(PublishedSource):
    """VinDr-CXR's tables and DICOM files; each reader's boxes are kept apart."""

    FINDINGS: ClassVar = {
        "Aortic enlargement": (),
        "Atelectasis": ("Atelectasis",),
        "Calcification": (),
        "Cardiomegaly": ("Cardiomegaly",),
        "Clavicle fracture": ("Fracture",),
        "Consolidation": ("Consolidation",),
        "Edema": ("Edema",),
        "Emphysema": (),
        "Enlarged PA": (),
        "ILD": ("Lung Opacity",),
        "Infiltration": ("Lung Opacity",),
        "Lung Opacity": ("Lung Opacity",),
        "Lung cavity": (),
        "Lung cyst": (),
        "Mediastinal shift": (),
        "Nodule/Mass": ("Lung Lesion",),
        "Pleural effusion": ("Pleural Effusion",),
        "Pleural thickening": ("Pleural Other",),
        "Pneumothorax": ("Pneumothorax",),
        "Pulmonary fibrosis": (),
        "Rib fracture": ("Fracture",),
        "Other lesion": (),
        "COPD": (),
        "Lung tumor": ("Lung Lesion",),
        "Pneumonia": ("Pneumonia",),
        "Tuberculosis": (),
        "Other disease": (),
        "Other diseases": (),
        "No finding": ("No Finding",),
    }

    adapter: Literal["vindr"]
    boxes: str = "annotations/annotations_train.csv"
    """CSV file of boxes: `annotations_train.csv`, `annotations_test.csv`, or Kaggle's
    `train.csv`."""
    image_labels: str | None = None
    """`image_labels_train.csv` or `image_labels_test.csv`: all 28 labels of each reader. Without
    it the labels are those of the boxes, which diagnoses such as Pneumonia have not."""
    images: str = "train"
    """Folder of the radiographs."""
    sizes: str | None = None
    """CSV file of the original sizes, with the columns image_id, dim0 (height) and dim1 (width),
    for radiographs that were resized."""
    readers: Readers = "apart"
    """Treatment of several readers of an image: `apart` keeps a mask of each, `union` is what any
    of them marked, `majority` what most of those marked who marked the finding."""
    agree: PositiveInt = 2
    """Number of readers who make a finding positive; it is uncertain where fewer saw it. Where an
    image has fewer readers, all must have seen it."""

    def files(self) -> list[str]:
        """Return the tables, relative to `data.root`."""
        names = (self.boxes, self.image_labels, self.sizes)
        return [self.place(name) for name in names if name]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folder, columns and classes; as `Source.check`."""
        super().check(root, classes)
        self.require(root, [self.place(self.images)])
        self.require_columns(root, {self.boxes: ["image_id", "class_name", *CORNERS]})
        if self.sizes:
            self.require_columns(root, {self.sizes: ["image_id", "dim0", "dim1"]})

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that the tables list; as `DiskSource.read_images`."""
        seen = self._seen(root)
        readers = seen.groupby("image_id")["rad_id"].nunique()
        rejected.expect(len(readers))
        needed = np.minimum(readers, self.agree)
        labels = {}
        for name, findings in self.findings_of(classes).items():
            positive = seen[seen["class_name"].isin(findings)]
            votes = positive.groupby("image_id")["rad_id"].nunique().reindex(readers.index)
            votes = votes.fillna(0)
            labels[name] = np.select([votes >= needed, votes > 0], [1.0, -1.0], 0.0)
        names = list(readers.index)
        about = {
            "image_id": names,
            "projection": "PA",
            "path": paths(root, self.place(self.images), names, ".dicom"),
        }
        return self.table(about, labels)

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Read the boxes of each reader as masks; as `DiskSource.read_masks`."""
        file = root / self.place(self.boxes)
        table = self._boxes(root)
        table = table[table["class_name"] != NORMAL]
        left, top, right, bottom = (values(table, corner, file) for corner in CORNERS)
        boxes = pd.DataFrame({
            "image_id": table["image_id"],
            "class": [self.mask_class(name, images.columns) for name in table["class_name"]],
            "annotator": table["rad_id"],
            "x": left, "y": top, "width": right - left, "height": bottom - top,
            "frame_height": np.nan, "frame_width": np.nan, "line": table.index + 2,
        })  # fmt: skip
        if self.sizes:
            sizes = read(root / self.place(self.sizes), ["image_id", "dim0", "dim1"])
            known = sizes.drop_duplicates("image_id").set_index("image_id").astype(float)
            boxes["frame_height"] = boxes["image_id"].map(known["dim0"])
            boxes["frame_width"] = boxes["image_id"].map(known["dim1"])
        boxes = used(boxes[BOX_COLUMNS], images, file, self.name)
        return of_readers(draw(boxes, images, file, rejected), self.readers)

    def _boxes(self, root: Path) -> pd.DataFrame:
        """Read the table of boxes; files of the consensus name no reader."""
        file = root / self.place(self.boxes)
        table = read(file)
        self.known_findings(table["class_name"], file, "class_name")
        return table.assign(rad_id=table.get("rad_id", CONSENSUS))

    def _seen(self, root: Path) -> pd.DataFrame:
        """Return image_id, rad_id and class_name of all that any reader saw."""
        columns = ["image_id", "rad_id", "class_name"]
        parts = [self._boxes(root)[columns]]
        if self.image_labels:
            file = root / self.place(self.image_labels)
            table = read(file)
            if "rad_id" not in table:
                table["rad_id"] = CONSENSUS
            for name in self.FINDINGS:
                if name in table:
                    positive = table[values(table, name, file) == 1]
                    parts.append(positive.assign(class_name=name)[columns])
            # A reader who saw nothing at all is a reader too.
            parts.append(table.assign(class_name="")[columns])
        return pd.concat(parts, ignore_index=True).drop_duplicates()
