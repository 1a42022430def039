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
from shamsul.data import values
from shamsul.data.adapter import COLUMNS, DiskSource
from shamsul.data.csv_files import as_numbers, line, read_csv, require_columns
from shamsul.data.mask_files import (
    MASK_ROW,
    read_json,
    read_polygons,
    read_run_lengths,
    tell_lines,
    tell_strangers,
)
from shamsul.data.masks import MASK_COLUMNS, area
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

PLACE = re.compile(r"(patient\w+)/(study\w+)/(view\d+_(frontal|lateral))\.\w+$")
"""End of an image's path: patient, study, view, and the kind of view."""
SAME_FOLDER = {"valid": "val", "val": "valid"}
"""Names of the validation set's folder in the one release, by that in the other."""


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
        rejected.expect(len(table))
        places = [PLACE.search(path) for path in table["Path"]]
        used = pd.Series([place is not None for place in places])
        for row in used.index[~used]:
            rejected.add(
                "row", file, f"{table['Path'][row]!r} is not of the form "
                ".../patientN/studyN/viewN_frontal.jpg, as CheXpert's are; for files under other "
                "names use `adapter: folder`", row=line(table, row), field="Path",
            )  # fmt: skip
        found = [place.groups() if place else ("", "", "", "") for place in places]
        images = pd.DataFrame(index=table.index)
        images["image_id"] = ["_".join(place[:3]) for place in found]
        images["patient_id"] = [place[0] for place in found]
        images["study_id"] = [f"{place[0]}_{place[1]}" for place in found]
        images["view"] = [place[3] for place in found]
        images["projection"] = (
            values.projections(table, "AP/PA", file) if "AP/PA" in table else None
        )
        images["path"] = self._paths(table, file, root, used, rejected)
        images["sex"] = values.sexes(table, "Sex", file) if "Sex" in table else None
        images["age"] = values.ages(table, "Age", file) if "Age" in table else float("nan")
        for name in classes:
            images[name], wrong = as_numbers(table, name)
            wrong |= ~images[name].isin([1, 0, -1]) & images[name].notna()
            for row in wrong.index[wrong]:
                rejected.add(
                    "row", file, f"{table[name][row]!r}; allowed are 1, 0, -1 (uncertain) and "
                    "blank (not mentioned)", row=line(table, row), field=name,
                )  # fmt: skip
            used &= ~wrong
        return images.loc[used, [*COLUMNS, *classes]].reset_index(drop=True)

    def _paths(
        self, table: pd.DataFrame, file: Path, root: Path, used: pd.Series, rejected: Rejections
    ) -> list[str]:
        """Return each image's path under `data.root`; mark those that lead out of the folder.

        Leading folders that the disk lacks are left out, the same for all paths that begin alike.
        Not every file is looked for: who reads the images does that.
        """
        folder, start = root / self.images, PurePosixPath(self.images).parts
        leading: dict[tuple[str, ...], tuple[str, ...] | None] = {}
        paths = []
        sound = used.tolist()
        for row, text in enumerate(table["Path"].tolist()):
            path = text.strip()
            parts = tuple(part for part in path.split("/") if part not in ("", "."))
            if sound[row] and (".." in parts or path.startswith("/")):
                said = "leads out of the folder of images"
                if path.startswith("/"):
                    said = f"is a whole path; write it as it is below {folder}"
                rejected.add("row", file, f"{text!r} {said}", row=line(table, row), field="Path")
                used[row] = sound[row] = False
            before, rest = parts[:-3], parts[-3:]
            if sound[row] and leading.get(before) is None:
                leading[before] = _on_disk(folder, before, rest)
            own = leading.get(before)
            own = before if own is None else own
            paths.append("/".join((*start, *own, *rest)))
        lost = [before for before, own in leading.items() if own is None]
        if lost and len(lost) == len(leading):
            raise InputError(
                f"{file}: row {line(table, 0)}, column 'Path': no file for {table['Path'][0]!r} "
                f"under {folder}, nor for any other row; is the folder of images the right one?"
            )
        return paths

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
                tell_strangers(root / file, content, wanted, self.name)
                if reader is read_polygons:
                    tell_lines(root / file, content, wanted)
                for image_id in sorted(wanted & set(content)):
                    try:
                        found = reader(content[image_id], image_id)
                        areas = [area({"image_id": image_id, **row}) for row in found]
                    except InputError as error:
                        rejected.add("mask", root / file, str(error), image_id=image_id)
                        continue
                    for row, pixels in zip(found, areas, strict=True):
                        key = image_id, row["class"], kind
                        drawn = row["instances"] or rows.get(key, {}).get("instances", 0)
                        own = {"image_id": image_id, "kind": kind, "instances": drawn}
                        rows[key] = {**row, **own, "area": pixels}
        kept = [row for _, row in sorted(rows.items()) if row["area"]]
        table = pd.DataFrame(kept, columns=["image_id", "kind", *MASK_ROW])
        table["instances"] = table["instances"].astype("int64")
        return table.assign(annotator="chexlocalize")[MASK_COLUMNS]


def _on_disk(
    folder: Path, before: tuple[str, ...], rest: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return the folders before a path's last three parts as they are on disk; None if nowhere."""
    for start in range(len(before) + 1):
        own = before[start:]
        for first in (own[:1], (SAME_FOLDER.get(own[0], ""),) if own else ()):
            if "" not in first and folder.joinpath(*first, *own[1:], *rest).is_file():
                return (*first, *own[1:])
    return None
