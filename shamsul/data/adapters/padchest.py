"""PadChest: 160,861 radiographs of 67,625 patients, 174 findings and 19 diagnoses from reports.

Bustos et al., Medical Image Analysis 66:101797 (2020), doi 10.1016/j.media.2020.101797. From BIMCV
(bimcv.cipf.es/bimcv-projects/padchest) on request.

Traps: Labels are lists in the text of a cell, with blanks and repetitions. Physicians labelled
39,053 images, a network the others (`physicians: true` keeps the former). `unchanged` alone says
nothing of the findings, so that all labels are missing; `exclude` and `suboptimal study` mark
images that are unfit, and these are left out. Files are PNG of 16 bits that hold fewer. Some
archives hold damaged files, or none, of listed images. The year of birth is known, not the age, so
ages are off by up to a year.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from shamsul import lazy
from shamsul.data.masks import MASK_COLUMNS
from shamsul.data.packed_tables import read
from shamsul.data.padchest_findings import PADCHEST_FINDINGS
from shamsul.data.published import PublishedSource, of_sets, projections, sexes
from shamsul.data.rejected import Rejections

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

SILENT = {"unchanged", "exclude", "suboptimal study", ""}
"""Labels that say nothing of the findings."""
LEFT_OUT = ("exclude", "suboptimal study")
VIEWS: dict[str, tuple[str, str | None]] = {
    "PA": ("frontal", "PA"),
    "AP": ("frontal", "AP"),
    "AP_horizontal": ("frontal", "AP"),
    "L": ("lateral", None),
}
"""View and projection by the table's `Projection`; ribs (COSTAL) and others are of no view."""
USED = [
    "ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth",
    "PatientSex_DICOM", "Projection", "MethodLabel", "Labels",
]  # fmt: skip
"""Columns of the table that are read."""
_QUOTED = re.compile(r"'([^']*)'")


class PadchestSource(PublishedSource):
    """PadChest's table and PNG files."""

    FINDINGS: ClassVar = PADCHEST_FINDINGS

    adapter: Literal["padchest"]
    labels: str = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
    """CSV file of images and labels, which may be packed as it is published (`.csv.gz`)."""
    images: str = "."
    """Folder that the folders `0` to `54` are in."""
    physicians: bool = False
    """True to keep only images that physicians labelled."""

    def files(self) -> list[str]:
        """Return the table, relative to `data.root`."""
        return [self.place(self.labels)]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folder, columns and classes; as `Source.check`."""
        super().check(root, classes)
        self.require(root, [self.place(self.images)])
        self.require_columns(root, {self.labels: USED})

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that the table lists; as `DiskSource.read_images`."""
        table = read(root / self.place(self.labels), USED)
        if self.physicians:
            table = table[table["MethodLabel"] == "Physician"]
        found = [labels_of(text) for text in table["Labels"]]
        bad = np.array([not own.isdisjoint(LEFT_OUT) for own in found], bool)
        if bad.any():
            logger.warning(
                "data source %s: %d of %d images are left out: PadChest marks them as unfit "
                "(%s)", self.name, bad.sum(), len(table), ", ".join(LEFT_OUT),
            )  # fmt: skip
        table = table[~bad].reset_index(drop=True)
        found = [own for own, unfit in zip(found, bad, strict=True) if not unfit]
        rejected.expect(len(table))
        silent = np.array([own <= SILENT for own in found], bool)
        labels = of_sets(found, self.findings_of(classes))
        birth = pd.to_numeric(table["PatientBirth"], errors="coerce")
        about = {
            "image_id": [PurePosixPath(name).stem for name in table["ImageID"]],
            "patient_id": table["PatientID"],
            "study_id": table["StudyID"],
            "path": [
                self.place(f"{self.images}/{folder}/{name}")
                for folder, name in zip(table["ImageDir"], table["ImageID"], strict=True)
            ],
            "sex": sexes(table["PatientSex_DICOM"]),
            "age": pd.to_numeric(table["StudyDate_DICOM"].str[:4], errors="coerce") - birth,
            **projections(table["Projection"], VIEWS),
        }
        return self.table(
            about, {name: np.where(silent, np.nan, label) for name, label in labels.items()}
        )

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Return no masks: PadChest has none; those of PadChest-GR are a source of their own."""
        return pd.DataFrame(columns=MASK_COLUMNS)


def labels_of(text: str) -> set[str]:
    """Return the labels of a cell such as `['nodule', ' normal']`, which is not run as code."""
    return {name.strip() for name in _QUOTED.findall(text)}
