"""CheXpert's radiographs and labels, CheXlocalize's masks.

Irvin et al., AAAI 2019; Saporta et al., Nature Machine Intelligence 2022. The published archives
disagree about names: paths in the CSV files begin with `CheXpert-v1.0/` or `CheXpert-v1.0-small/`
where the folder on disk often does not, the validation set's folder is `valid` or `val`, and
CheXlocalize writes "Airspace Opacity" for CheXpert's "Lung Opacity".
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from shamsul import lazy
from shamsul.data.adapter import COLUMNS, DiskSource
from shamsul.data.csv_files import numbers, read_csv, require_columns
from shamsul.data.mask_files import MASK_ROW, read_json, read_polygons, read_run_lengths
from shamsul.data.masks import MASK_COLUMNS, area
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

PLACE = re.compile(r"(patient\w+)/(study\w+)/(view\d+_(frontal|lateral))\.\w+$")
"""End of an image's path: patient, study, view, and the kind of view."""
SEXES = {"Female": "F", "Male": "M", "F": "F", "M": "M"}
"""Sexes as the table of images has them, by how the CSV files write them."""


class ChexpertSource(DiskSource):
    """CheXpert's CSV and folders, with CheXlocalize's masks where there are any."""

    adapter: Literal["chexpert"]
    labels: str
    """CSV file, relative to `data.root`."""
    images: str
    """Folder that the CSV's paths are in, relative to `data.root`."""
    segmentations: str | None = None
    """CheXlocalize's `gt_segmentations_*.json` (COCO run lengths)."""
    annotations: str | None = None
    """CheXlocalize's `gt_annotations_*.json` (polygons), drawn where there is no run length."""
    markers: str | None = None
    """Masks of a burnt-in marker, as the phantom generator writes them."""
    evidence: str | None = None
    """Masks of the pixels that show a finding, as the phantom generator writes them: those that
    change when the finding alone is left out."""

    def files(self) -> list[str]:
        """Return the label and mask files, relative to `data.root`."""
        masks = (self.segmentations, self.annotations, self.markers, self.evidence)
        return [file for file in (self.labels, *masks) if file]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folder and label columns; as `Source.check`."""
        self.require(root, [*self.files(), self.images])
        require_columns(root / self.labels, ["Path", *classes], "label column")

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that the CSV file lists; as `DiskSource.read_images`."""
        file = root / self.labels
        table = read_csv(file)
        places = [PLACE.search(path) for path in table["Path"]]
        if None in places:
            row = places.index(None)
            raise InputError(
                f"{file}: row {row + 2}, column 'Path': {table['Path'][row]!r} is not of the form "
                ".../patientN/studyN/viewN_frontal.jpg"
            )
        found = [place for place in places if place]
        images = pd.DataFrame(index=table.index)
        images["image_id"] = ["_".join(place.groups()[:3]) for place in found]
        images["patient_id"] = [place[1] for place in found]
        images["study_id"] = [f"{place[1]}_{place[2]}" for place in found]
        images["view"] = [place[4] for place in found]
        images["projection"] = _column(table, "AP/PA").where(lambda text: text.isin(["AP", "PA"]))
        folder = root / self.images
        images["path"] = [
            str(PurePosixPath(self.images) / _on_disk(folder, path, file, row))
            for row, path in enumerate(table["Path"])
        ]
        images["sex"] = _column(table, "Sex").map(SEXES)
        images["age"] = numbers(table, "Age", file) if "Age" in table else float("nan")
        for name in classes:
            images[name] = numbers(table, name, file)
            wrong = ~images[name].isin([1, 0, -1]) & images[name].notna()
            if wrong.any():
                row = int(wrong.to_numpy().argmax())
                raise InputError(
                    f"{file}: row {row + 2}, column {name!r}: {table[name][row]!r}; "
                    "allowed are 1, 0, -1 (uncertain) and blank (not mentioned)"
                )
        return images[[*COLUMNS, *classes]]

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Read the listed images' masks: run lengths first, polygons where there are none.

        As `DiskSource.read_masks`. `instances` is the number of polygons wherever there are any,
        since two that overlap are one in the run lengths.
        """
        rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        wanted = set(images["image_id"])
        for file, reader, kind in (
            (self.annotations, read_polygons, "segmentation"),
            (self.segmentations, read_run_lengths, "segmentation"),
            (self.markers, read_run_lengths, "segmentation"),
            (self.evidence, read_run_lengths, "evidence"),
        ):
            if file:
                content = read_json(root / file)
                if content and not wanted & set(content):
                    raise InputError(
                        f"{root / file}: none of its {len(content)} images, such as "
                        f"{next(iter(content))!r}, is among the {len(wanted)} of source {self.name}"
                    )
                for image_id in sorted(wanted & set(content)):
                    for row in reader(content[image_id], f"{root / file}: {image_id}"):
                        key = image_id, row["class"], kind
                        drawn = row["instances"] or rows.get(key, {}).get("instances", 0)
                        own = {"image_id": image_id, "kind": kind, "instances": drawn}
                        rows[key] = {**row, **own}
        kept = [row for _, row in sorted(rows.items()) if area(row)]
        table = pd.DataFrame(kept, columns=["image_id", "kind", *MASK_ROW])
        table["instances"] = table["instances"].astype("int64")
        return table.assign(annotator="chexlocalize")[MASK_COLUMNS]


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name].str.strip() if name in table else pd.Series("", index=table.index)


def _on_disk(folder: Path, path: str, file: Path, row: int) -> str:
    """Return the place of a CSV path under `folder`, which may lack some of its leading folders."""
    parts = PurePosixPath(path).parts
    if ".." in parts or PurePosixPath(path).is_absolute():
        raise InputError(f"{file}: row {row + 2}: {path!r} leads out of the folder of images")
    for start in range(len(parts) - 2):
        rest = parts[start:]
        for first in (rest[0], {"valid": "val", "val": "valid"}.get(rest[0])):
            if first and (folder / first).joinpath(*rest[1:]).is_file():
                return str(PurePosixPath(first, *rest[1:]))
    raise InputError(
        f"{file}: row {row + 2}: no file for {path!r} under {folder}; "
        "is the folder of images the right one?"
    )
