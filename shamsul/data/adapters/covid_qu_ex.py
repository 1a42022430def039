"""COVID-QU-Ex: Radiographs with COVID-19, other pneumonia or neither; infection and lung masks.

Tahir et al., Computers in Biology and Medicine 139:105002 (2021), doi
10.1016/j.compbiomed.2021.105002. From Kaggle (anasmohammedtahir/covidqu), its Infection
Segmentation Data.

Traps: The set is collected from many others, so that hospital, age and disease go together and a
network may tell them by the source. Infection masks are of COVID-19 alone: 2,913 radiographs, drawn
by a network and corrected by hand. Images are 256 x 256 pixels. Patients are not told: each image
is its own, and views of one patient may lie in several parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from shamsul import lazy
from shamsul.data.mask_folder import mask_files, read_masks
from shamsul.data.published import PublishedSource, in_folder, of_sets
from shamsul.data.rejected import Rejections

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

COVID, OTHER, NORMAL = "COVID-19", "Non-COVID", "Normal"
"""Names of the folders, which are the labels."""
INFECTION = "infection masks"
ANNOTATOR = "covid-qu-ex"


class CovidQuExSource(PublishedSource):
    """The folders of COVID-QU-Ex's Infection Segmentation Data."""

    FINDINGS: ClassVar = {COVID: (), OTHER: ("Pneumonia",), NORMAL: ("No Finding",)}

    adapter: Literal["covid_qu_ex"]
    part: Literal["Train", "Val", "Test"]
    """Part of the data set that the source has: the name of its folder."""

    def files(self) -> list[str]:
        """Return no file: labels are names of folders."""
        return []

    def inputs(self, root: Path) -> list[Path]:
        """Return the files that labels and masks are read from; as `Source.inputs`."""
        return mask_files([root / self.place(f"{self.part}/{COVID}/{INFECTION}")])

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check folders and classes; as `Source.check`."""
        super().check(root, classes)
        self.require(root, [self.place(f"{self.part}/{name}/images") for name in self.FINDINGS])

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images in the folders; as `DiskSource.read_images`."""
        names, paths, found = [], [], []
        for label in self.FINDINGS:
            for stem, path in in_folder(root, self.place(f"{self.part}/{label}/images")).items():
                names.append(stem)
                paths.append(path)
                found.append({label})
        rejected.expect(len(names))
        labels = of_sets(found, self.findings_of(classes))
        return self.table({"image_id": names, "path": paths}, labels)

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Read the infection masks of COVID-19; as `DiskSource.read_masks`."""
        folder = root / self.place(f"{self.part}/{COVID}/{INFECTION}")
        name = self.mask_class(COVID, images.columns)
        return read_masks([folder], name, ANNOTATOR, images["image_id"], rejected)
