"""ChestX-Det: 3,578 radiographs of NIH's with outlines of 13 findings; ChestX-Det10 has boxes.

Lian et al., arXiv 2104.10326 (2021); Liu et al., arXiv 2006.10550 (2020). From
github.com/Deepwise-AILab/ChestX-Det-Dataset, which links the images.

Traps: The radiographs are from ChestX-ray14, on which many networks were trained, under new
numbers: who is the same patient is not told, and each image is its own. An image without a finding
among the 13 need not be normal. Outlines are in pixels of 1024 x 1024. Three radiologists drew them
together, so there is one annotator.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import PositiveInt

from shamsul import lazy
from shamsul.data.boxes import BOX_COLUMNS, draw, used
from shamsul.data.masks import MASK_COLUMNS, encode, from_polygons
from shamsul.data.published import PublishedSource, of_sets, paths
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.settings import unknown

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

READER = "chestx-det"


class ChestXDetSource(PublishedSource):
    """ChestX-Det's JSON file of findings and outlines, or ChestX-Det10's of boxes."""

    FINDINGS: ClassVar = {
        "Atelectasis": ("Atelectasis",),
        "Calcification": (),
        "Cardiomegaly": ("Cardiomegaly",),
        "Consolidation": ("Consolidation",),
        "Diffuse Nodule": ("Lung Lesion",),
        "Effusion": ("Pleural Effusion",),
        "Emphysema": (),
        "Fibrosis": (),
        "Fracture": ("Fracture",),
        "Mass": ("Lung Lesion",),
        "Nodule": ("Lung Lesion",),
        "Pleural Thickening": ("Pleural Other",),
        "Pneumothorax": ("Pneumothorax",),
    }

    adapter: Literal["chestx_det"]
    outlines: str = "ChestX_Det_test.json"
    """JSON file of findings, boxes and polygons of one part."""
    images: str = "test_data"
    """Folder of the part's radiographs."""
    frame: PositiveInt = 1024
    """Side in pixels of the frame that coordinates are in, whatever the file's own size."""

    def files(self) -> list[str]:
        """Return the file of outlines, relative to `data.root`."""
        return [self.place(self.outlines)]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folder and classes; as `Source.check`."""
        super().check(root, classes)
        self.require(root, [self.place(self.images)])

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that the file lists; as `DiskSource.read_images`."""
        entries = self._entries(root)
        rejected.expect(len(entries))
        names = [PurePosixPath(entry["file_name"]).stem for entry in entries]
        about = {
            "image_id": names,
            "path": paths(root, self.place(self.images), names, ".png"),
        }
        found = [set(entry["syms"]) for entry in entries]
        return self.table(about, of_sets(found, self.findings_of(classes)))

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Draw the outlines, or boxes where the file has none; as `DiskSource.read_masks`."""
        file = root / self.place(self.outlines)
        rows: list[list[Any]] = []
        for entry in self._entries(root):
            image_id = PurePosixPath(entry["file_name"]).stem
            shapes = entry.get("polygons", entry["boxes"])
            rows += [
                [image_id, self.mask_class(name, images.columns), shape, "polygons" in entry]
                for name, shape in zip(entry["syms"], shapes, strict=True)
            ]
        marks = pd.DataFrame(rows, columns=["image_id", "class", "shape", "drawn"])
        marks = used(marks, images, file, self.name)
        drawn = marks["drawn"].astype(bool)
        boxes = self._boxes(marks[~drawn])
        return pd.concat(
            [self._outlines(marks[drawn], file, rejected), draw(boxes, images, file, rejected)]
        )

    def _outlines(self, marks: pd.DataFrame, file: Path, rejected: Rejections) -> pd.DataFrame:
        """Draw the polygons of each image and class."""
        rows = []
        for (image_id, name), group in marks.groupby(["image_id", "class"]):
            try:
                mask = from_polygons(group["shape"], self.frame, self.frame)
            except (TypeError, ValueError) as error:
                rejected.add("mask", file, f"{name}: {error}", image_id=image_id)
                continue
            if not mask.any():
                said = f"the outlines of {name} lie outside {self.frame} x {self.frame} pixels"
                rejected.add("mask", file, said, image_id=image_id)
                continue
            about = [image_id, name, READER, "segmentation"]
            rows.append([*about, self.frame, self.frame, encode(mask), len(group)])
        return pd.DataFrame(rows, columns=MASK_COLUMNS)

    def _boxes(self, marks: pd.DataFrame) -> pd.DataFrame:
        """Return corners as boxes."""
        corners = np.array(marks["shape"].to_list(), float).reshape(-1, 4)
        place = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        boxes = pd.DataFrame(place, columns=["x", "y", "width", "height"], index=marks.index)
        boxes = boxes.assign(annotator=READER, line=0).join(marks[["image_id", "class"]])
        return boxes.assign(frame_height=self.frame, frame_width=self.frame)[BOX_COLUMNS]

    def _entries(self, root: Path) -> list[dict[str, Any]]:
        """Read the entries of the file; one of another form is an InputError."""
        file = root / self.place(self.outlines)
        try:
            entries = json.loads(file.read_text())
            for number, entry in enumerate(entries):
                shapes = entry.get("polygons", entry["boxes"])
                if not str(entry["file_name"]) or len(entry["syms"]) != len(shapes):
                    raise ValueError(f"entry {number} has not one shape for each of its findings")
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{file}: not a list of objects with file_name, syms, boxes and polygons "
                f"({error!r})"
            ) from None
        for entry in entries:
            for name in entry["syms"]:
                if name not in self.FINDINGS:
                    said = unknown(name, self.FINDINGS, "finding")
                    raise InputError(f"{file}: {entry['file_name']}: {said}")
        return list(entries)
