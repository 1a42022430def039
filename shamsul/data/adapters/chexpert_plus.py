"""CheXpert Plus: CheXpert's radiographs with reports, patients' data and labels of CheXbert.

Chambon et al., arXiv 2405.19538 (2024). From Stanford AIMI (Redivis, AIMI/chexpert_plus).

Traps: Labels are not in the table but in JSON lines of their own, one file for each part of a
report that was labelled (`report_fixed.json`, `findings_fixed.json`, `impression_fixed.json`). They
are a program's, also for the 234 images of `valid`, which radiologists labelled for CheXpert. The
table says `.jpg` where the published files are PNG or DICOM. The images are CheXpert's: never use
both for different splits.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from shamsul import lazy
from shamsul.data.adapters.chexpert import PLACE
from shamsul.data.masks import MASK_COLUMNS
from shamsul.data.packed_tables import read
from shamsul.data.published import PublishedSource, sexes, strongest
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.labels import CLASSES

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

USED = ["path_to_image", "frontal_lateral", "ap_pa", "deid_patient_id", "age", "sex", "split"]
"""Columns of the table that are read: reports are not."""


class ChexpertPlusSource(PublishedSource):
    """CheXpert Plus's table, its labels by CheXbert, and its PNG, DICOM or JPEG files."""

    FINDINGS: ClassVar = {name: (name,) for name in CLASSES}
    HIERARCHY: ClassVar = False

    adapter: Literal["chexpert_plus"]
    studies: str = "df_chexpert_plus_240401.csv"
    """CSV file of images and patients."""
    labels: str = "chexbert_labels/report_fixed.json"
    """File of JSON lines with the labels of each image."""
    part: Literal["all", "train", "valid"] = "all"
    """Part of the data set that the source has."""
    images: str = "PNG"
    """Folder that the folders `train` and `valid` are in."""
    suffix: Literal[".png", ".dcm", ".jpg"] = ".png"
    """End of the names of the files."""

    def files(self) -> list[str]:
        """Return table and labels, relative to `data.root`."""
        return [self.place(self.studies), self.place(self.labels)]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folder, columns and classes; as `Source.check`."""
        super().check(root, classes)
        self.require(root, [self.place(self.images)])
        self.require_columns(root, {self.studies: USED})

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that the table lists; as `DiskSource.read_images`."""
        file = root / self.place(self.studies)
        table = read(file, USED)
        if self.part != "all":
            table = table[table["split"] == self.part]
        rejected.expect(len(table))
        places = [PLACE.search(path) for path in table["path_to_image"]]
        if None in places:
            row = table.index[places.index(None)]
            raise InputError(
                f"{file}: row {row + 2}, column 'path_to_image': {table['path_to_image'][row]!r} "
                "is not of the form .../patientN/studyN/viewN_frontal.jpg"
            )
        found = [place for place in places if place]
        labels = self._labels(root, list(table["path_to_image"]), self.findings_of(classes))
        about = {
            "image_id": ["_".join(place.groups()[:3]) for place in found],
            "patient_id": table["deid_patient_id"],
            "study_id": [f"{place[1]}_{place[2]}" for place in found],
            "view": [place[4] for place in found],
            "projection": table["ap_pa"].where(table["ap_pa"].isin(["AP", "PA"]), None),
            "path": [
                self.place(f"{self.images}/{PurePosixPath(path).with_suffix(self.suffix)}")
                for path in table["path_to_image"]
            ],
            "sex": sexes(table["sex"]),
            "age": pd.to_numeric(table["age"], errors="coerce"),
        }
        return self.table(about, labels)

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Return no masks: the data set has none."""
        return pd.DataFrame(columns=MASK_COLUMNS)

    def _labels(
        self, root: Path, wanted: list[str], own: dict[str, tuple[str, ...]]
    ) -> dict[str, Any]:
        """Read the labels of images by path; an image that no line names is an InputError."""
        file = root / self.place(self.labels)
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
            found = {entry["path_to_image"]: entry for entry in map(json.loads, lines)}
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(
                f"{file}: not lines of JSON with path_to_image and labels ({error!r})"
            ) from None
        lacking = [path for path in wanted if path not in found]
        if lacking:
            raise InputError(
                f"{file}: has no labels of {len(lacking)} images, such as {lacking[0]}"
            )
        columns = {
            finding: np.array([_label(found[path], finding, file) for path in wanted])
            for findings in own.values()
            for finding in findings
        }
        return {
            name: strongest([columns[finding] for finding in findings])
            for name, findings in own.items()
        }


def _label(entry: dict[str, Any], finding: str, file: Path) -> float:
    """Return 1, 0, -1 or missing; another label is an InputError."""
    label = entry.get(finding)
    if label is None or label != label:
        return np.nan
    if label not in (1, 0, -1):
        raise InputError(
            f"{file}: {entry['path_to_image']}, {finding}: {label!r}; allowed are 1, 0, -1 "
            "(uncertain) and null (not mentioned)"
        )
    return float(label)
