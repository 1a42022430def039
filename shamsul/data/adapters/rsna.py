"""RSNA Pneumonia Detection Challenge: 26,684 radiographs of NIH's, boxes of lung opacities.

Shih et al., Radiology: Artificial Intelligence 1(1):e180041 (2019), doi 10.1148/ryai.2019180041.
From Kaggle (rsna-pneumonia-detection-challenge), files of stage 2, or from RSNA.

Traps: `patientId` names an image, not a patient: the radiographs are from ChestX-ray14, where
patients come back and train networks. RSNA's file of mappings tells which; without it each image is
its own patient. A radiograph without opacity is not normal: 11,821 of them show something else. All
are 1024 x 1024 pixels of 8 bits. Most radiographs were read by one radiologist.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from shamsul import lazy
from shamsul.data.boxes import BOX, BOX_COLUMNS, draw, used
from shamsul.data.packed_tables import read, values
from shamsul.data.published import PublishedSource, paths, strongest
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

OPACITY, NORMAL, OTHER = "Lung Opacity", "Normal", "No Lung Opacity / Not Normal"
"""The three classes of the challenge."""
SIDE = 1024
"""Height and width in pixels of the radiographs as published."""


class RsnaSource(PublishedSource):
    """The challenge's tables of stage 2 and its DICOM files."""

    FINDINGS: ClassVar = {OPACITY: ("Lung Opacity",), NORMAL: ("No Finding",), OTHER: ()}

    adapter: Literal["rsna"]
    boxes: str = "stage_2_train_labels.csv"
    """CSV file of boxes and targets."""
    details: str = "stage_2_detailed_class_info.csv"
    """CSV file of the class of each image: normal, opacity, or neither."""
    images: str = "stage_2_train_images"
    """Folder of the radiographs."""
    mapping: str | None = None
    """RSNA's `pneumonia-challenge-dataset-mappings_2018.json`, which tells NIH's name of each
    image, and so its patient."""

    def files(self) -> list[str]:
        """Return the tables, relative to `data.root`."""
        names = (self.boxes, self.details, self.mapping)
        return [self.place(name) for name in names if name]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folder, columns and classes; as `Source.check`."""
        super().check(root, classes)
        self.require(root, [self.place(self.images)])
        wanted = {self.boxes: ["patientId", *BOX, "Target"], self.details: ["patientId", "class"]}
        self.require_columns(root, wanted)

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that the tables list; as `DiskSource.read_images`."""
        file = root / self.place(self.boxes)
        table = read(file, ["patientId", "Target"])
        positive = pd.Series(values(table, "Target", file), index=table["patientId"])
        target = positive.groupby(level=0).max()
        rejected.expect(len(target))
        details = root / self.place(self.details)
        told = read(details, ["patientId", "class"])
        self.known_findings(told["class"], details, "class")
        shown = told.drop_duplicates("patientId").set_index("patientId")["class"]
        shown = shown.reindex(target.index)
        found = {name: (shown == name).to_numpy(float) for name in self.FINDINGS}
        found = {name: np.where(shown.isna(), np.nan, label) for name, label in found.items()}
        found[OPACITY] = target.to_numpy("float64")
        labels = {
            name: strongest([found[finding] for finding in findings])
            for name, findings in self.findings_of(classes).items()
        }
        names = list(target.index)
        about: dict[str, Any] = {
            "image_id": names,
            "path": paths(root, self.place(self.images), names, ".dcm"),
        }
        return self.table(about | self._patients(root, names), labels)

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Read the boxes as masks; as `DiskSource.read_masks`."""
        file = root / self.place(self.boxes)
        table = read(file, ["patientId", *BOX, "Target"])
        table = table[values(table, "Target", file) == 1]
        boxes = pd.DataFrame({
            "image_id": table["patientId"],
            "class": self.mask_class(OPACITY, images.columns),
            "annotator": "rsna",
            **{column: values(table, column, file) for column in BOX},
            "frame_height": SIDE, "frame_width": SIDE, "line": table.index + 2,
        })  # fmt: skip
        return draw(used(boxes[BOX_COLUMNS], images, file, self.name), images, file, rejected)

    def _patients(self, root: Path, names: list[str]) -> dict[str, list[str]]:
        """Return the patients of NIH's data set, where the mappings are given."""
        if not self.mapping:
            logger.warning(
                "data source %s: without `mapping` each image is its own patient, though patients "
                "come back", self.name,
            )  # fmt: skip
            return {}
        file = root / self.place(self.mapping)
        try:
            entries = json.loads(file.read_text())
            patients = {entry["subset_img_id"]: entry["img_id"].split("_")[0] for entry in entries}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{file}: not a list of objects with subset_img_id and img_id ({error!r})"
            ) from None
        if lacking := [name for name in names if name not in patients]:
            raise InputError(
                f"{file}: has no entry for {len(lacking)} images, such as {lacking[0]}"
            )
        return {"patient_id": [patients[name] for name in names]}
