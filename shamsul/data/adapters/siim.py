"""SIIM-ACR Pneumothorax Segmentation: 12,047 radiographs of NIH's, outlines of pneumothoraces.

Filice et al., Journal of Digital Imaging 33:490-496 (2020), doi 10.1007/s10278-019-00299-9. From
Kaggle (siim-acr-pneumothorax-segmentation).

Traps: Run lengths are pairs of gap and length: a gap counts from the end of the run before, not
from the image's beginning, and pixels go down the columns. `-1` is an image without pneumothorax.
An image with several pneumothoraces has several rows. The header of one release is
` EncodedPixels`, with a blank. Some listed images have no file. The radiographs are from
ChestX-ray14 and name no patient: each image is its own patient.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from shamsul import lazy
from shamsul.data.boxes import relative_counts, united, used
from shamsul.data.masks import MASK_COLUMNS
from shamsul.data.packed_tables import read
from shamsul.data.published import PublishedSource, paths
from shamsul.data.rejected import Rejections

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

FINDING = "Pneumothorax"
SIDE = 1024
"""Height and width in pixels of the masks."""
NONE = ("-1", "")
"""Cells of an image without pneumothorax."""


class SiimSource(PublishedSource):
    """The challenge's table of run lengths, and its DICOM files in folders of any depth."""

    FINDINGS: ClassVar = {FINDING: ("Pneumothorax",)}

    adapter: Literal["siim"]
    outlines: str = "train-rle.csv"
    """CSV file of run lengths: `train-rle.csv` or `stage_2_train.csv`."""
    images: str = "dicom-images-train"
    """Folder of the radiographs, which are named by ImageId."""

    def files(self) -> list[str]:
        """Return the table, relative to `data.root`."""
        return [self.place(self.outlines)]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, folder, columns and classes; as `Source.check`."""
        super().check(root, classes)
        self.require(root, [self.place(self.images)])
        self.require_columns(root, {self.outlines: ["ImageId", "EncodedPixels"]})

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that the table lists; as `DiskSource.read_images`."""
        table = read(root / self.place(self.outlines), ["ImageId", "EncodedPixels"])
        shown = ~table["EncodedPixels"].isin(NONE)
        positive = shown.groupby(table["ImageId"]).any()
        rejected.expect(len(positive))
        names = list(positive.index)
        about = {
            "image_id": names,
            "path": paths(root, self.place(self.images), names, ".dcm"),
        }
        known = positive.to_numpy("float64")
        return self.table(about, dict.fromkeys(self.findings_of(classes), known))

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Read the outlines as masks; as `DiskSource.read_masks`."""
        file = root / self.place(self.outlines)
        table = read(file, ["ImageId", "EncodedPixels"]).rename(columns={"ImageId": "image_id"})
        table = used(table[~table["EncodedPixels"].isin(NONE)], images, file, self.name)
        counts: dict[str, list[str]] = {}
        for line, image_id, text in zip(
            table.index + 2, table["image_id"], table["EncodedPixels"], strict=True
        ):
            try:
                run = relative_counts(text, SIDE, SIDE)
            except ValueError as error:
                rejected.add(
                    "mask", file, str(error), row=line, field="EncodedPixels", image_id=image_id
                )
                continue
            counts.setdefault(image_id, []).append(run)
        name = self.mask_class(FINDING, images.columns)
        rows = [
            [
                image_id,
                name,
                "siim",
                "segmentation",
                SIDE,
                SIDE,
                united(runs, SIDE, SIDE),
                len(runs),
            ]
            for image_id, runs in sorted(counts.items())
        ]
        return pd.DataFrame(rows, columns=MASK_COLUMNS).astype({"instances": np.int64})
