"""Configuration of the data: sources, geometry and shards."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from shamsul.labels import CLASSES
from shamsul.settings import SPLITS, Fraction, Name, Section, Split


class Confounder(Section):
    """A burnt-in marker whose presence goes with one class in train and tune and not in test."""

    class_name: Literal[CLASSES] = "Cardiomegaly"  # type: ignore[valid-type]
    """The class that the marker goes with."""
    with_class: Fraction = 0.95
    """Probability of the marker on a train or tune image that shows the class."""
    without_class: Fraction = 0.05
    """Probability of the marker on a train or tune image that does not."""
    broken: Fraction = 0.5
    """Probability of the marker on any test image."""


class PhantomSource(Section):
    """Generated radiographs: several splits at once, as CheXpert and CheXlocalize write them."""

    adapter: Literal["phantom"]
    name: Name = "phantom"
    """Of the source, and of the folder that its files are generated in."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of the generator: another seed, other patients. Apart from the run's own seed, so that a
    classifier can be trained twice on the same radiographs."""
    patients: dict[Split, NonNegativeInt] = {"train": 900, "tune": 60, "test": 100}
    """Number of patients of each split; a split without any is not part of the run."""
    height: PositiveInt = 320
    """Nominal height in pixels; each image's own height and width vary about it."""
    confounder: Confounder | None = None
    """A burnt-in marker; none where absent."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """Splits that have patients."""
        return tuple(split for split in SPLITS if self.patients.get(split))

    def files(self) -> list[str]:
        """Label and mask files, relative to the source's folder."""
        return [
            file
            for split in self.splits
            for kind, file in PHANTOM_FILES[split].items()
            if kind in ("labels", "masks", "markers")
        ]


PHANTOM_FILES: dict[Split, dict[str, str]] = {
    "train": {"labels": "CheXpert-v1.0-small/train.csv"},
    "tune": {
        "labels": "CheXpert/val_labels.csv",
        "masks": "CheXlocalize/gt_segmentations_val.json",
        "markers": "CheXlocalize/marker_segmentations_val.json",
    },
    "test": {
        "labels": "CheXpert/test_labels.csv",
        "masks": "CheXlocalize/gt_segmentations_test.json",
        "markers": "CheXlocalize/marker_segmentations_test.json",
        "reader": "CheXlocalize/hb_segmentations_test.json",
        "points": "CheXlocalize/hb_salient_pt_test.json",
    },
}
"""Where the phantom generator writes, as the published archives name it; markers are its own. The
last two are what method `radiologist` reads."""


class Assigned(Section):
    """What the sources read from disk share: a name and the split that their images belong to."""

    name: Name
    """Of the source; no two have the same."""
    split: Split | dict[Split, Fraction]
    """One split, or fractions by which patients are divided among splits."""

    @field_validator("split")
    @classmethod
    def _fractions_sum_to_one(cls, split: Any) -> Any:
        if isinstance(split, dict) and abs(sum(split.values()) - 1) > 1e-6:
            raise ValueError(f"fractions sum to {sum(split.values()):g}, not 1")
        return split

    @property
    def splits(self) -> tuple[Split, ...]:
        """Splits that the source's images may belong to."""
        return (self.split,) if isinstance(self.split, str) else tuple(self.split)


class ChexpertSource(Assigned):
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

    def files(self) -> list[str]:
        """Label and mask files, relative to `data.root`."""
        return [f for f in (self.labels, self.segmentations, self.annotations, self.markers) if f]


class NihSource(Assigned):
    """ChestX-ray14's CSV and folder, with NIH's and RSNA's boxes drawn as masks."""

    adapter: Literal["nih"]
    labels: str
    """`Data_Entry_2017.csv`, relative to `data.root`."""
    images: str
    """Folder of the PNG files, relative to `data.root`."""
    nih_boxes: str | None = None
    """`BBox_List_2017.csv`."""
    rsna_boxes: str | None = None
    """CSV of Image Index, Finding Label, x, y, w, h."""
    box_frame: PositiveInt = 1024
    """Side in pixels of the frame that box coordinates are in, whatever the file's own size."""
    select: Literal["all", "boxed", "unboxed"] = "all"
    """`boxed` keeps only the patients who have an image with a box, `unboxed` the others."""

    def files(self) -> list[str]:
        """Label and box files, relative to `data.root`."""
        return [f for f in (self.labels, self.nih_boxes, self.rsna_boxes) if f]


Source = Annotated[PhantomSource | ChexpertSource | NihSource, Field(discriminator="adapter")]


class Data(Section):
    """Where radiographs come from and how they are brought to the model's frame."""

    root: str = "."
    """Folder that the sources' paths are in. The variable SHAMSUL_DATA, where set, wins."""
    sources: tuple[Source, ...]
    """Where radiographs, labels and masks are read from; together they have every split."""
    views: Annotated[tuple[Literal["frontal", "lateral"], ...], Field(min_length=1)] = ("frontal",)
    """Views that are used; images of others are left out."""
    size: Annotated[int, Field(ge=32)] = 224
    """Side in pixels of the square that the model sees."""
    geometry: Literal["stretch", "pad", "crop"] = "stretch"
    """How a radiograph is brought to the square: each axis by itself, or with its aspect ratio kept
    between black borders (`pad`) or without what lies outside (`crop`)."""
    shards: dict[Split, PositiveInt] = {"train": 2, "tune": 1, "test": 1}
    """Number of files that each split's images are spread over, by a hash of their name; 1 for a
    split that is not named."""
    exclude: tuple[str, ...] = ()
    """Names (image_id) of images to leave out."""

    @field_validator("shards")
    @classmethod
    def _every_split_has_shards(cls, shards: dict[Split, int]) -> dict[Split, int]:
        return {split: shards.get(split, 1) for split in SPLITS}

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [source.name for source in sources]
        if len(set(names)) < len(names):
            raise ValueError(f"two sources have the same name: {', '.join(sorted(names))}")
        return sources
