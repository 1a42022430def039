"""Montgomery and Shenzhen: 138 and 662 radiographs of screening for tuberculosis, lung masks.

Jaeger et al., Quantitative Imaging in Medicine and Surgery 4(6):475-477 (2014), doi
10.3978/j.issn.2223-4292.2014.11.20; Shenzhen's masks: Stirenko et al., arXiv 1803.01199. From the
National Library of Medicine (lhncbc.nlm.nih.gov, Tuberculosis Chest X-ray Image Data Sets).

Traps: The label is the last digit of a file's name, 1 for tuberculosis. The masks are of lungs, not
of findings. Montgomery has a mask for each lung in `ManualMask`; those of Shenzhen, for 566
radiographs, are named as the radiographs with `_mask` behind. Each radiograph is its own patient.
Montgomery's radiographs are of 12 bits and up to 4892 x 4020 pixels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from shamsul import lazy
from shamsul.data.mask_folder import mask_files, read_masks
from shamsul.data.masks import MASK_COLUMNS
from shamsul.data.published import SEXES, PublishedSource, in_folder, of_sets
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

TUBERCULOSIS, NORMAL = "Tuberculosis", "Normal"
LABELS = {"0": NORMAL, "1": TUBERCULOSIS}
"""Findings by the last digit of a file's name."""
ANNOTATOR = "nlm"
_NAME = re.compile(r".+_([01])$")
_SEX = re.compile(r"\b(male|female|m|f)\b", re.IGNORECASE)
_AGE = re.compile(r"(\d{1,3}) ?(?:y|Y)")


class TuberculosisSource(PublishedSource):
    """Montgomery's or Shenzhen's PNG files, clinical readings and lung masks."""

    FINDINGS: ClassVar = {TUBERCULOSIS: (), NORMAL: ("No Finding",)}

    adapter: Literal["tuberculosis"]
    images: str = "CXR_png"
    """Folder of the radiographs."""
    readings: str | None = "ClinicalReadings"
    """Folder of the text files with sex and age; none where it is null."""
    masks: dict[str, str] = {}
    """Folder of masks by the class that they are of, such as `{Left Lung: ManualMask/leftMask,
    Right Lung: ManualMask/rightMask}` for Montgomery and `{Lungs: mask}` for Shenzhen."""

    def files(self) -> list[str]:
        """Return no file: labels are in the names of the radiographs."""
        return []

    def inputs(self, root: Path) -> list[Path]:
        """Return the files that labels and masks are read from; as `Source.inputs`."""
        folders = [root / self.place(folder) for folder in self.masks.values()]
        readings = sorted((root / self.place(self.readings)).glob("*.txt")) if self.readings else []
        return [*readings, *mask_files(folders)]

    def findings_of(self, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the findings that mean each class; a structure that has masks has none."""
        known = super().findings_of([name for name in classes if name not in self.masks])
        return {name: known.get(name, ()) for name in classes}

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check folders and classes; as `Source.check`."""
        super().check(root, classes)
        names = (self.images, self.readings, *self.masks.values())
        self.require(root, [self.place(name) for name in names if name])

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images in the folder; as `DiskSource.read_images`."""
        files = in_folder(root, self.place(self.images))
        rejected.expect(len(files))
        names = []
        for stem, path in files.items():
            if _NAME.match(stem):
                names.append(stem)
            else:
                said = "the name ends neither in _0 (normal) nor in _1 (tuberculosis)"
                rejected.add("image", root / path, said, image_id=stem)
        if not names:
            raise InputError(f"{root / self.place(self.images)}: has no radiograph named ..._0.png")
        found = [{LABELS[name[-1]]} for name in names]
        labels = of_sets(found, self.findings_of(classes))
        # A structure such as a lung is in every radiograph, and no label says so.
        labels |= {name: np.full(len(names), np.nan) for name in classes if name in self.masks}
        about = {"image_id": names, "path": [files[name] for name in names]}
        return self.table(about | self._readings(root, names), labels)

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Read the lung masks; as `DiskSource.read_masks`."""
        parts = [
            read_masks([root / self.place(folder)], name, ANNOTATOR, images["image_id"], rejected)
            for name, folder in self.masks.items()
        ]
        return pd.concat(parts) if parts else pd.DataFrame(columns=MASK_COLUMNS)

    def _readings(self, root: Path, names: list[str]) -> dict[str, list[object]]:
        """Return sex and age of each image, missing where its text tells none."""
        if not self.readings:
            return {}
        found: dict[str, list[object]] = {"sex": [], "age": []}
        for name in names:
            file = root / self.place(self.readings) / f"{name}.txt"
            text = file.read_text(errors="replace") if file.is_file() else ""
            sex, age = _SEX.search(text), _AGE.search(text)
            found["sex"].append(SEXES[sex[1].upper()] if sex else None)
            found["age"].append(float(age[1]) if age else np.nan)
        return found
