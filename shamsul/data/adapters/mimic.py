"""MIMIC-CXR-JPG: 377,110 radiographs of 65,379 patients, labels from reports; boxes of MS-CXR.

Johnson et al., arXiv 1901.07042 (2019); MS-CXR: Boecking et al., ECCV 2022, arXiv 2204.09817. From
PhysioNet (mimic-cxr-jpg 2.1.0, ms-cxr 1.1.0) after training and a signed agreement.

Traps: Labels belong to studies, not to images: all views of a study have the same. They are mined
from reports by a program; radiologists read studies of the test part
(`mimic-cxr-2.1.0-test-set-labeled.csv`). MIMIC's own parts and MS-CXR's `split` differ: MS-CXR has
boxes of images that MIMIC's split trains on. MS-CXR boxes what a sentence says; an image may have
several sentences of one finding. Age and sex are in MIMIC-IV, not here.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.data.boxes import BOX_COLUMNS, draw, used
from shamsul.data.packed_tables import read, values
from shamsul.data.published import PublishedSource, projections, strongest
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.labels import CLASSES

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

VIEWS: dict[str, tuple[str, str | None]] = {
    "AP": ("frontal", "AP"),
    "PA": ("frontal", "PA"),
    "LATERAL": ("lateral", None),
    "LL": ("lateral", None),
}
"""View and projection by ViewPosition; what has another or none is of no view."""
CORNER = ["x", "y", "w", "h"]


class MimicSource(PublishedSource):
    """MIMIC-CXR-JPG's tables and folders, with MS-CXR's boxes where they are given."""

    FINDINGS: ClassVar = {name: (name,) for name in CLASSES}
    HIERARCHY: ClassVar = False

    adapter: Literal["mimic"]
    labels: str = "mimic-cxr-2.0.0-chexpert.csv.gz"
    """CSV file of labels by study: of CheXpert's labeller, of NegBio's, or the radiologists' of
    the test part. Studies that it does not list are left out."""
    metadata: str = "mimic-cxr-2.0.0-metadata.csv.gz"
    """CSV file of images, their studies and views."""
    parts: str = "mimic-cxr-2.0.0-split.csv.gz"
    """CSV file of MIMIC's own parts."""
    part: Literal["all", "train", "validate", "test"] = "all"
    """Part of MIMIC's own that the source has."""
    images: str = "files"
    """Folder that the folders `p10` to `p19` are in."""
    boxes: str | None = None
    """MS-CXR's `MS_CXR_Local_Alignment_v1.1.0.csv`."""

    def files(self) -> list[str]:
        """Return the tables, relative to `data.root`."""
        names = [self.labels, self.metadata, self.boxes]
        names += [self.parts] if self.part != "all" else []
        return [self.place(name) for name in names if name]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folder, columns and classes; as `Source.check`."""
        super().check(root, classes)
        self.require(root, [self.place(self.images)])
        own = [name for findings in self.findings_of(classes).values() for name in findings]
        wanted = {
            self.labels: ["study_id", *own],
            self.metadata: ["dicom_id", "subject_id", "study_id", "ViewPosition"],
        }
        if self.boxes:
            wanted[self.boxes] = ["dicom_id", "category_name", *CORNER]
        self.require_columns(root, wanted)

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images of the studies that have labels; as `DiskSource.read_images`."""
        columns = ["dicom_id", "subject_id", "study_id", "ViewPosition"]
        table = read(root / self.place(self.metadata), columns)
        if self.part != "all":
            parts = read(root / self.place(self.parts), ["dicom_id", "split"])
            kept = set(parts.loc[parts["split"] == self.part, "dicom_id"])
            table = table[table["dicom_id"].isin(kept)]
        file = root / self.place(self.labels)
        own = self.findings_of(classes)
        found = read(file, ["study_id", *dict.fromkeys(sum(own.values(), ()))])
        if found["study_id"].duplicated().any():
            twice = found["study_id"].duplicated().to_numpy().argmax()
            raise InputError(f"{file}: row {found.index[twice] + 2}: its study is listed twice")
        labelled = table["study_id"].isin(found["study_id"])
        if not labelled.all():
            logger.warning(
                "data source %s: %d of %d images are of studies without labels in %s and are left "
                "out", self.name, (~labelled).sum(), len(table), file,
            )  # fmt: skip
        table = table[labelled].reset_index(drop=True)
        rejected.expect(len(table))
        row_of = pd.Series(range(len(found)), index=found["study_id"])[table["study_id"]].to_numpy()
        labels = self._labels(found, own, file)
        about = {
            "image_id": table["dicom_id"],
            "patient_id": "p" + table["subject_id"],
            "study_id": "s" + table["study_id"],
            "path": self._paths(table),
            **projections(table["ViewPosition"], VIEWS),
        }
        return self.table(about, {name: label[row_of] for name, label in labels.items()})

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Read MS-CXR's boxes as masks; as `DiskSource.read_masks`."""
        if not self.boxes:
            return draw(pd.DataFrame(columns=BOX_COLUMNS), images, Path(), rejected)
        file = root / self.place(self.boxes)
        table = read(file)
        self.known_findings(table["category_name"], file, "category_name")
        sized = "image_height" in table and "image_width" in table
        x, y, width, height = (values(table, name, file) for name in CORNER)
        boxes = pd.DataFrame({
            "image_id": table["dicom_id"],
            "class": [self.mask_class(name, images.columns) for name in table["category_name"]],
            "annotator": "ms-cxr", "x": x, "y": y, "width": width, "height": height,
            "frame_height": values(table, "image_height", file) if sized else float("nan"),
            "frame_width": values(table, "image_width", file) if sized else float("nan"),
            "line": table.index + 2,
        })  # fmt: skip
        return draw(used(boxes[BOX_COLUMNS], images, file, self.name), images, file, rejected)

    def _labels(
        self, found: pd.DataFrame, own: dict[str, tuple[str, ...]], file: Path
    ) -> dict[str, NDArray[np.float64]]:
        """Return the labels of each class by row; another value than 1, 0, -1 is an InputError."""
        labels = {}
        for name, findings in own.items():
            columns = []
            for finding in findings:
                label = values(found, finding, file)
                wrong = ~pd.Series(label).isin([1, 0, -1]) & pd.Series(label).notna()
                if wrong.any():
                    line = found.index[int(wrong.to_numpy().argmax())]
                    raise InputError(
                        f"{file}: row {line + 2}, column {finding!r}: {found[finding][line]!r}; "
                        "allowed are 1, 0, -1 (uncertain) and blank (not mentioned)"
                    )
                columns.append(label)
            labels[name] = strongest(columns)
        return labels

    def _paths(self, table: pd.DataFrame) -> list[str]:
        """Return the path of each image, which follows from patient, study and name."""
        return [
            self.place(f"{self.images}/p{subject[:2]}/p{subject}/s{study}/{name}.jpg")
            for subject, study, name in zip(
                table["subject_id"], table["study_id"], table["dicom_id"], strict=True
            )
        ]
