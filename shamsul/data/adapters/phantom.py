"""Generated radiographs (`shamsul.phantom`), laid out as CheXpert's and CheXlocalize's files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from shamsul.data.adapter import Source
from shamsul.errors import InputError
from shamsul.labels import CLASSES
from shamsul.settings import SPLITS, Fraction, Name, Section, Split, unknown

PHANTOM_FILES: dict[Split, dict[str, str]] = {
    "train": {"labels": "CheXpert-v1.0-small/train.csv"},
    "tune": {
        "labels": "CheXpert/val_labels.csv",
        "masks": "CheXlocalize/gt_segmentations_val.json",
        "markers": "CheXlocalize/marker_segmentations_val.json",
        "evidence": "CheXlocalize/evidence_segmentations_val.json",
    },
    "test": {
        "labels": "CheXpert/test_labels.csv",
        "masks": "CheXlocalize/gt_segmentations_test.json",
        "markers": "CheXlocalize/marker_segmentations_test.json",
        "evidence": "CheXlocalize/evidence_segmentations_test.json",
        "reader": "CheXlocalize/hb_segmentations_test.json",
        "points": "CheXlocalize/hb_salient_pt_test.json",
    },
}
"""Files that the generator writes, by split and content, named as in the published archives.
Markers and evidence are the generator's own. Method `radiologist` reads `reader` and `points`."""


class Confounder(Section):
    """A burnt-in marker whose presence goes with one class in train and tune and not in test."""

    class_name: Literal[CLASSES] = "Cardiomegaly"  # type: ignore[valid-type]
    """The class that the marker goes with."""
    with_class: Fraction = 0.95
    """Probability of the marker on a train or tune image that shows the class."""
    without_class: Fraction = 0.05
    """Probability of the marker on a train or tune image that does not show the class."""
    broken: Fraction = 0.5
    """Probability of the marker on any test image."""


class PhantomSource(Source):
    """Generated radiographs: several splits at once, as CheXpert and CheXlocalize write them."""

    adapter: Literal["phantom"]
    name: Name = "phantom"
    """Name of the source, and of the folder that its files are generated in."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Seed of the generator: another seed gives other patients. It is not the run's own seed, so
    that a classifier can be trained twice on the same radiographs."""
    patients: dict[Split, NonNegativeInt] = {"train": 900, "tune": 60, "test": 100}
    """Number of patients of each split; a split without any is not part of the run."""
    height: PositiveInt = 320
    """Nominal height in pixels; each image's own height and width vary about it."""
    confounder: Confounder | None = None
    """A burnt-in marker; none where absent."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """Return the splits that have patients."""
        return tuple(split for split in SPLITS if self.patients.get(split))

    def files(self) -> list[str]:
        """Return the label and mask files of the splits that have patients."""
        return [
            file
            for split in self.splits
            for kind, file in PHANTOM_FILES[split].items()
            if kind in ("labels", "masks", "markers", "evidence")
        ]

    def generated_files(self) -> list[str]:
        """Return every file that the generator writes, except the radiographs."""
        return [file for files in PHANTOM_FILES.values() for file in files.values()]

    def folder(self, data_root: Path, generated: Path) -> Path:
        """Return the folder that the run generates the source in."""
        return generated / self.name

    def entries(self) -> list[dict[str, Any]]:
        """Return one entry of adapter `chexpert` for each split that has patients."""
        return [
            {
                "adapter": "chexpert",
                "name": self.name,
                "split": split,
                "labels": PHANTOM_FILES[split]["labels"],
                "images": str(Path(PHANTOM_FILES[split]["labels"]).parent),
                "segmentations": PHANTOM_FILES[split].get("masks"),
                "markers": PHANTOM_FILES[split].get("markers"),
                "evidence": PHANTOM_FILES[split].get("evidence"),
            }
            for split in self.splits
        ]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check that phantoms show the classes; the files need not be there yet."""
        if strange := [name for name in classes if name not in CLASSES]:
            raise InputError(
                f"classes: {unknown(strange[0], CLASSES, 'class')}; data source {self.name} is of "
                "phantoms, which show no others"
            )
