"""The configuration: every key, its type, its default and its limits, in one place.

`load` turns the plain dictionary that Snakemake reads from YAML into a `Config`, or raises an
`InputError` of one line that names the key and what is allowed. Each rule passes the part of it
that it depends on to its script as JSON (`settings`), and nothing else.
"""

from __future__ import annotations

import difflib
import json
import os
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from shamsul.errors import InputError
from shamsul.labels import CLASSES, LOCALISED

Split = Literal["train", "tune", "test"]
SPLITS: tuple[Split, ...] = ("train", "tune", "test")
EXPLAINED: tuple[Split, ...] = ("tune", "test")
"""Splits whose images get heatmaps: thresholds are chosen on the first, reported on the second."""
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the configuration. Unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Confounder(Section):
    """A burnt-in marker whose presence goes with one class in training and not in test."""

    class_name: str = "Cardiomegaly"
    with_class: Fraction = 0.95
    """Probability of the marker on a training image that shows the class."""
    without_class: Fraction = 0.05
    """Probability of the marker on a training image that does not."""
    broken: Fraction = 0.5
    """Probability of the marker on any tune or test image."""


class PhantomSource(Section):
    """Generated radiographs: train, tune and test at once, in CheXpert's and CheXlocalize's form."""

    adapter: Literal["phantom"]
    name: str = "phantom"
    patients: dict[Split, PositiveInt] = {"train": 900, "tune": 60, "test": 100}
    height: PositiveInt = 320
    """Nominal height in pixels; each image's own height and width vary about it."""
    splits: tuple[Split, ...] = SPLITS
    """Which of the generated splits this run uses."""
    confounder: Confounder | None = None

    def files(self) -> list[str]:
        """Label and mask files, relative to the source's folder."""
        return [
            file for split in self.splits for files in PHANTOM_FILES[split].values() for file in files
        ]


PHANTOM_FILES: dict[Split, dict[str, list[str]]] = {
    "train": {"labels": ["CheXpert-v1.0-small/train.csv"]},
    "tune": {
        "labels": ["CheXpert/val_labels.csv"],
        "masks": ["CheXlocalize/gt_segmentations_val.json"],
        "markers": ["CheXlocalize/marker_segmentations_val.json"],
    },
    "test": {
        "labels": ["CheXpert/test_labels.csv"],
        "masks": ["CheXlocalize/gt_segmentations_test.json"],
        "markers": ["CheXlocalize/marker_segmentations_test.json"],
    },
}
"""Where the phantom generator writes, as the published archives name it; markers are its own."""


class Assigned(Section):
    """What the sources read from disk share: a name and the split that their images belong to."""

    name: str
    split: Split | dict[Split, Fraction]
    """One split, or fractions by which patients are divided among splits."""

    @field_validator("split")
    @classmethod
    def _fractions_sum_to_one(cls, split: Any) -> Any:
        if isinstance(split, dict) and abs(sum(split.values()) - 1) > 1e-6:
            raise ValueError(f"fractions sum to {sum(split.values()):g}, not 1")
        return split


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
    views: tuple[Literal["frontal", "lateral"], ...] = ("frontal",)
    size: Annotated[int, Field(ge=32)] = 224
    """Side in pixels of the square that the model sees."""
    geometry: Literal["stretch", "pad", "crop"] = "stretch"
    shards: dict[Split, PositiveInt] = {"train": 2, "tune": 1, "test": 1}
    """Number of files that each split's images are spread over, by a hash of their name."""
    exclude: tuple[str, ...] = ()
    """Names (image_id) of images to leave out."""

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [source.name for source in sources]
        if len(set(names)) < len(names):
            raise ValueError(f"two sources have the same name: {', '.join(sorted(names))}")
        return sources


BACKBONES = (
    "densenet_small",
    "densenet121",
    "resnet18",
    "resnet50",
    "vgg16",
    "efficientnet_b0",
    "convnext_tiny",
    "vit_b_16",
)


class Model(Section):
    """Which network, and where its weights come from."""

    backbone: Literal[BACKBONES] = "densenet121"  # type: ignore[valid-type]
    weights: str = "imagenet"
    """Start of training: `imagenet` (from torchvision), `random`, or a file of torchvision weights."""
    checkpoint: str | None = None
    """A trained checkpoint: nothing is trained then."""


class Train(Section):
    """How the classifier is trained. Everything here changes its weights."""

    epochs: PositiveInt = 10
    batch_size: PositiveInt = 16
    optimiser: Literal["adam", "adamw"] = "adam"
    learning_rate: PositiveFloat = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    uncertainty: Literal["zeros", "ones", "ignore", "smoothed"] = "zeros"
    """What an uncertain label counts as, for classes not named in `uncertainty_per_class`."""
    uncertainty_per_class: dict[str, Literal["zeros", "ones", "ignore", "smoothed"]] = {}
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs positives and negatives of each class to equal sums, as the study did."""
    flip: bool = True
    """Mirror half of the images at random."""
    shift: Fraction = 0.0
    """Largest random translation, as a fraction of the side."""
    early_stopping: PositiveInt | None = None
    """Stop after this many epochs without a better mean AUROC on tune."""
    amp: bool = False
    """Mixed precision (bfloat16 autocast); ignored on a processor without it."""
    threads: PositiveInt = 2
    """Compute threads. Sums depend on their number, so it is configuration, not scheduling."""


class Explain(Section):
    """Which methods explain which classes."""

    methods: tuple[dict[str, Any], ...]
    """Each `{method: NAME, ...its parameters}`, with `name:` where a method appears twice."""
    classes: tuple[str, ...] | None = None
    """Classes to explain; all of them when absent."""


class Evaluate(Section):
    """How heatmaps become segmentations and scores."""

    classes: tuple[str, ...] = LOCALISED
    """Classes that are scored, where they have masks."""
    rules: tuple[Literal["otsu", "fixed", "tuned"], ...] = ("otsu", "fixed", "tuned")
    fixed_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    min_masks: PositiveInt = 10
    """Fewer masks than this on tune, and a class takes the threshold of all classes pooled."""
    replicates: PositiveInt = 1000
    """Patient-bootstrap replicates."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    baseline: str = "random"
    """Method that the others are compared with first."""


class Report(Section):
    """What the HTML report shows."""

    title: str = "Which explanation can be trusted?"
    gallery: PositiveInt = 6
    """Number of radiographs shown with their heatmaps."""


class Compute(Section):
    """What makes a run faster or slower and never changes a result; rerun nothing when edited."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_size: PositiveInt = 32
    """Images per forward pass when predicting and explaining."""


class Config(Section):
    """The whole configuration."""

    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    """Name of the run; everything it makes is in `results/<run>`."""
    seed: Annotated[int, Field(ge=0)] = 2023
    classes: tuple[str, ...] = CLASSES
    """What the model predicts, in order."""
    data: Data
    model: Model = Model()
    train: Train = Train()
    explain: Explain
    evaluate: Evaluate = Evaluate()
    report: Report = Report()
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _classes_are_known(self) -> Config:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: a class is listed twice")
        for key, names in {
            "explain.classes": self.explain.classes or (),
            "train.uncertainty_per_class": tuple(self.train.uncertainty_per_class),
        }.items():
            for name in names:
                if name not in self.classes:
                    raise ValueError(f"{key}: {unknown(name, self.classes)}")
        if not set(self.evaluate.classes) & set(self.explained_classes):
            raise ValueError("evaluate.classes: none of them is explained")
        return self

    @property
    def explained_classes(self) -> tuple[str, ...]:
        """Classes that get heatmaps, in the model's order."""
        wanted = self.explain.classes or self.classes
        return tuple(name for name in self.classes if name in wanted)

    @property
    def scored_classes(self) -> tuple[str, ...]:
        """Classes whose heatmaps are scored, in the model's order."""
        return tuple(name for name in self.explained_classes if name in self.evaluate.classes)

    @property
    def data_root(self) -> Path:
        """Folder of the data: SHAMSUL_DATA where set, else `data.root`."""
        return Path(os.environ.get("SHAMSUL_DATA") or self.data.root)

    def part(self, *keys: str) -> str:
        """Those keys (`"seed"`, `"data.size"`) as canonical JSON: what a rule depends on.

        The same meaning gives the same text whatever the order of keys, comments or the spelling
        of a number in the YAML file.
        """
        chosen: dict[str, Any] = {}
        for key in keys:
            value: Any = self
            for name in key.split("."):
                value = getattr(value, name)
            chosen[key.rsplit(".", 1)[-1]] = (
                value.model_dump() if isinstance(value, BaseModel) else value
            )
        return json.dumps(chosen, sort_keys=True, default=lambda model: model.model_dump())


def load(raw: dict[str, Any]) -> Config:
    """Check a configuration as read from YAML.

    Raises
    ------
    InputError
        One line per fault: the key, what was found, what is allowed.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise InputError("; ".join(explain_errors(error, Config))) from None


def explain_errors(error: ValidationError, root: type[BaseModel]) -> Iterator[str]:
    """One readable line for each fault that pydantic found in a `root`."""
    for fault in error.errors():
        place = [str(part) for part in fault["loc"] if part not in ("phantom", "chexpert", "nih")]
        key = ".".join(place) or "configuration"
        match fault["type"]:
            case "extra_forbidden":
                yield f"{key}: {unknown(place[-1], _keys(root, fault['loc'][:-1]), 'key')}"
            case "missing":
                yield f"{key}: is required and missing"
            case "value_error":
                message = str(fault["ctx"]["error"])
                yield message if key == "configuration" else f"{key}: {message}"
            case "union_tag_invalid":
                yield f"{key}: unknown adapter; allowed are {fault['ctx']['expected_tags']}"
            case _:
                yield f"{key}: {fault['msg'][0].lower()}{fault['msg'][1:]}, not {fault['input']!r}"


def unknown(name: str, allowed: Iterable[str], kind: str = "name") -> str:
    """What to say of a name that is not among the allowed ones."""
    allowed = list(allowed)
    close = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {kind} {name!r}; {hint}allowed are {', '.join(allowed)}"


def _keys(model: Any, place: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the model that `place` leads to from `model`."""
    for part in place:
        if isinstance(part, int):
            continue
        members = [m for m in _models(model) if part in m.model_fields]
        tagged = [
            m
            for m in _models(model)
            if "adapter" in m.model_fields
            and part in typing.get_args(m.model_fields["adapter"].annotation)
        ]
        model = tagged[0] if tagged else members[0].model_fields[part].annotation
    return [name for member in _models(model) for name in member.model_fields]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for argument in typing.get_args(annotation) for m in _models(argument)]
