"""PadChest-GR: 4,555 radiographs of PadChest whose findings up to two of 14 readers boxed.

Castro et al., NEJM AI (2025), arXiv 2411.05085. From BIMCV
(bimcv.cipf.es/bimcv-projects/padchest-gr) on request.

Traps: Boxes are fractions of width and height. `boxes` are the first reader's, `extra_boxes` the
second's; they are kept apart. A sentence may have several labels, and then its boxes are masks of
each of them. Sentences of what is normal have no boxes. Files are PNG of 16 bits that hold fewer.
The radiographs are PadChest's, on which networks may have been trained.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from shamsul import lazy
from shamsul.data.boxes import BOX_COLUMNS, draw, used
from shamsul.data.packed_tables import read
from shamsul.data.padchest_findings import PADCHEST_FINDINGS
from shamsul.data.published import PublishedSource, of_sets, paths, sexes
from shamsul.data.readers import Readers, of_readers
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

READERS = {"boxes": "reader1", "extra_boxes": "reader2"}
"""Annotators by the key of their boxes."""
NORMAL = "normal"
USED = ["ImageID", "StudyID", "PatientID", "PatientSex_DICOM", "PatientAge", "split"]
"""Columns of the table of studies that are read."""


class PadchestGrSource(PublishedSource):
    """PadChest-GR's grounded reports, its table of studies and PNG files."""

    FINDINGS: ClassVar = PADCHEST_FINDINGS

    adapter: Literal["padchest_gr"]
    reports: str = "grounded_reports_20240819.json"
    """JSON file of sentences, their labels and boxes."""
    studies: str = "master_table.csv"
    """CSV file of patients and parts, which may be packed as it is published (`.csv.zip`)."""
    part: Literal["all", "train", "validation", "test"] = "all"
    """Part of PadChest-GR's own that the source has."""
    images: str = "PadChest_GR"
    """Folder of the radiographs."""
    readers: Readers = "apart"
    """Treatment of several readers of an image: `apart` keeps a mask of each, `union` is what any
    of them marked, `majority` what most of those marked who marked the finding."""

    def files(self) -> list[str]:
        """Return the tables, relative to `data.root`."""
        return [self.place(self.reports), self.place(self.studies)]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folder, columns and classes; as `Source.check`."""
        super().check(root, classes)
        self.require(root, [self.place(self.images)])
        self.require_columns(root, {self.studies: USED})

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that both files list; as `DiskSource.read_images`."""
        table = read(root / self.place(self.studies), USED).drop_duplicates("ImageID")
        if self.part != "all":
            table = table[table["split"] == self.part]
        reports = {entry["ImageID"]: entry["findings"] for entry in self._entries(root)}
        lacking = table.loc[~table["ImageID"].isin(reports), "ImageID"]
        if len(lacking):
            raise InputError(
                f"{root / self.place(self.reports)}: has no report of {len(lacking)} images of "
                f"{self.studies}, such as {lacking.iloc[0]}"
            )
        rejected.expect(len(table))
        found = [_shown(reports[name]) for name in table["ImageID"]]
        names = [PurePosixPath(name).stem for name in table["ImageID"]]
        about = {
            "image_id": names,
            "patient_id": table["PatientID"],
            "study_id": table["StudyID"],
            "path": paths(root, self.place(self.images), names, ".png"),
            "sex": sexes(table["PatientSex_DICOM"]),
            "age": pd.to_numeric(table["PatientAge"].str.rstrip("Yy"), errors="coerce"),
        }
        return self.table(about, of_sets(found, self.findings_of(classes)))

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Read each reader's boxes as masks; as `DiskSource.read_masks`."""
        file = root / self.place(self.reports)
        rows: list[list[Any]] = []
        for entry in self._entries(root):
            image_id = PurePosixPath(entry["ImageID"]).stem
            for finding in entry["findings"]:
                classes = {self.mask_class(name, images.columns) for name in finding["labels"]}
                rows += [
                    [image_id, name, reader, *_box(box, file, image_id), 1, 1, 0]
                    for key, reader in READERS.items()
                    for box in finding.get(key) or ()
                    for name in sorted(classes)
                ]
        boxes = used(pd.DataFrame(rows, columns=BOX_COLUMNS), images, file, self.name)
        return of_readers(draw(boxes, images, file, rejected), self.readers)

    def _entries(self, root: Path) -> list[dict[str, Any]]:
        """Read the reports; an entry of another form is an InputError."""
        file = root / self.place(self.reports)
        try:
            entries = json.loads(file.read_text())
            for entry in entries:
                if not isinstance(entry["ImageID"], str):
                    raise TypeError("an ImageID is not text")
                for finding in entry["findings"]:
                    if not isinstance(finding["labels"], list):
                        raise TypeError(f"labels of {entry['ImageID']} are no list")
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(
                f"{file}: not a list of objects with ImageID and findings ({error!r})"
            ) from None
        return list(entries)


def _shown(findings: list[dict[str, Any]]) -> set[str]:
    """Return the labels of what is abnormal, or `normal` where nothing is."""
    shown = {
        str(name).strip() for finding in findings if finding.get("abnormal")
        for name in finding["labels"]
    }  # fmt: skip
    return shown or {NORMAL}


def _box(box: Any, file: Path, image_id: str) -> tuple[float, float, float, float]:
    """Return left, top, width and height of corners; another form is an InputError."""
    try:
        left, top, right, bottom = (float(value) for value in box)
    except (TypeError, ValueError):
        raise InputError(f"{file}: {image_id}: a box is not four numbers but {box!r}") from None
    return left, top, right - left, bottom - top
