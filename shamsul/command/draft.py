"""Configuration of a folder of radiographs that nobody has described, with comments."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from PIL import Image

from shamsul import lazy
from shamsul.command.draft_masks import Masks
from shamsul.command.draft_splits import FRACTIONS, Notes, divided
from shamsul.data.adapters.folder import FolderSource
from shamsul.data.rejected import Rejections
from shamsul.data.survey.whole import Survey
from shamsul.data.values import SPLIT_NAMES
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

FOLDERS = {
    "patient": r"(?i)(patient|pat|subject|subj|sub|case|person|p)[-_ ]?\d+",
    "study": r"(?i)(study|exam|visit|session|ses|s)[-_ ]?\d+",
}
"""Names of folders by what they stand for."""
FRAMES = (512, 1024, 2048, 3072, 4096)
"""Sides in pixels of the frames that boxes of reduced archives are usually in."""
MOST_CLASSES = 20
"""Number of findings of a list up to which each becomes a class."""
FEWEST_POSITIVES = 2
"""Number of images of a finding below which a list's finding becomes no class."""


@dataclass
class Draft:
    """Facts that a configuration is written from.

    Attributes
    ----------
    source : entry of `data.sources`.
    classes : names of the classes.
    masked : classes that have masks, of which heatmaps are judged.
    positives : number of positive images of each class.
    images : number of images.
    train : number of images of the train split.
    prior : True where every judged class has masks on tune.
    sides : heights and widths of some images.
    understood : lines on what was understood.
    questions : lines on what could not be told.
    noticed : lines that reading the data said.
    """

    source: dict[str, Any]
    classes: list[str]
    masked: list[str] = field(default_factory=list)
    positives: dict[str, int] = field(default_factory=dict)
    images: int = 0
    train: int = 0
    prior: bool = False
    sides: list[tuple[int, int]] = field(default_factory=list)
    understood: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    noticed: list[str] = field(default_factory=list)


def draft(found: Survey, name: str) -> Draft:
    """Return the facts that a configuration of a folder is written from.

    Parameters
    ----------
    found : survey of the folder.
    name : name of the source.

    Raises
    ------
    InputError
        Nothing says what a radiograph shows, or the files cannot be read.
    """
    source: dict[str, Any] = {"adapter": "folder", "name": name, "images": found.folder}
    made = Draft(source, [])
    made.understood.append(f"{len(found.images)} radiographs in {found.folder!r}")
    _add_table(made, found)
    if not made.classes:
        raise InputError(
            f"{found.root}: nothing says what a radiograph shows: neither a column of 1 and 0 or "
            "yes and no beside the images' names, nor a list of findings, nor a folder for each "
            "finding. Write a table with a column of the file names and one for each finding"
        )
    masks = Masks(made.classes)
    masks.add_all(found)
    made.understood += masks.understood
    made.questions += masks.questions
    if masks.entries:
        source["masks"] = masks.entries
    if masks.labels:
        source["labels"] = {**source.get("labels", {}), **masks.labels}
    _try(made, found)
    if found.others:
        made.questions.append(
            "not understood, and not used: " + ", ".join(repr(file) for file in found.others[:8])
        )
    return made


def _add_table(made: Draft, found: Survey) -> None:
    """Add the table's columns, or what the folders of the images say."""
    table = found.table
    if table is None:
        _add_folders(made, found)
        return
    columns = {"path": table.path, **table.columns}
    if not table.repeated:
        columns.pop("reader", None)
    made.source["tables"] = [table.file]
    made.understood.append(f"{table.file}: {table.rows} rows, of the images in {table.path!r}")
    for key, column in table.columns.items():
        made.understood.append(f"{table.file}: {key} in {column!r}")
    counts = table.findings
    if table.lists:
        columns["labels"], separator = table.lists
        made.source["separator"] = separator
        common = sorted(counts, key=lambda label: -counts[label])
        common = [label for label in common if counts[label] >= FEWEST_POSITIVES]
        made.classes = common[:MOST_CLASSES]
        rare = [label for label in counts if label not in made.classes]
        if rare:
            made.questions.append(f"findings of few images, which are no classes: {_some(rare)}")
    else:
        made.classes = list(table.labels)
    if table.probabilities:
        made.source["threshold"] = 0.5
        made.questions.append("labels are probabilities: is 0.5 the right `threshold`?")
    if table.repeated:
        made.questions.append("several rows are of one image: one for each reader?")
    made.source["columns"] = columns
    if table.unused:
        made.questions.append(f"columns that are not used: {_some(table.unused)}")
    if "patient" not in table.columns and not _add_patients(made, found):
        made.questions.append(
            "which column says the patient (columns.patient)? Without it, each image counts as a "
            "patient of its own, and images of one patient may be in two splits"
        )
    if not {"view", "projection"} & set(table.columns):
        made.questions.append("no column says the view: are all radiographs frontal?")


def _add_patients(made: Draft, found: Survey) -> bool:
    """Add a template where a folder of each image is called by its patient; return true if so."""
    paths = [PurePosixPath(path).relative_to(found.folder).parts for path in found.images]
    depth = len(paths[0])
    words = ["*"] * depth
    for level in range(depth - 1):
        for word, pattern in FOLDERS.items():
            names = [path[level] for path in paths if len(path) == depth]
            if len(names) == len(paths) and all(re.fullmatch(pattern, name) for name in names):
                words[level] = f"{{{word}}}"
    if "{patient}" not in words:
        return False
    made.source["named"] = "/".join(words)
    made.understood.append(f"the images' folders say {made.source['named']}")
    return True


def _add_folders(made: Draft, found: Survey) -> None:
    """Add a template of the images' folders, where these say split and finding."""
    paths = [PurePosixPath(path).relative_to(found.folder).parts[:-1] for path in found.images]
    words: list[str] = []
    for level in range(max(map(len, paths), default=0)):
        names = [path[level] for path in paths if len(path) > level]
        distinct = set(names)
        if len(names) < len(paths) or len(distinct) > MOST_CLASSES:
            break
        if distinct <= {n for n in distinct if n.lower() in SPLIT_NAMES} and len(distinct) > 1:
            words.append("{split}")
        elif len(distinct) > 1 and "{label}" not in words:
            words.append("{label}")
            made.classes = sorted(distinct)
            counts = Counter(names)
            told = ", ".join(f"{label} ({counts[label]})" for label in made.classes)
            made.understood.append(f"the finding is the folder: {told}")
        else:
            words.append("*")
    if made.classes:
        depth = max(map(len, paths))
        made.source["named"] = "/".join([*words, *["*"] * (depth - len(words)), "*"])
    made.questions.append(
        "no table is there: does a part of the file names say the patient (`{patient}` in `named`)?"
    )


def _try(made: Draft, found: Survey) -> None:
    """Read the data once, to number the images and to choose fractions."""
    has_split = "split" in made.source.get("columns", {}) or "{split}" in (
        made.source.get("named") or ""
    )
    if not has_split:
        made.source["split"] = dict(zip(("train", "tune", "test"), FRACTIONS[0], strict=True))
    source = FolderSource.model_validate(made.source)
    classes = tuple(made.classes)
    source.check(found.root, classes)
    rejected = Rejections(source.name, quarantine=True)
    images = source.read_images(found.root, classes, rejected)
    images = images[images["view"] == "frontal"].reset_index(drop=True)
    sizes = [_size(found.root / path) for path in images["path"]]
    if images.empty:
        raise InputError(f"{found.root}: holds no frontal radiograph")
    images["height"], images["width"] = zip(*sizes, strict=True)
    source = _framed(made, source, found.root, images)
    masks = source.read_masks(found.root, images, rejected)
    splits, keys, enough = divided(source, images, masks, made.classes)
    made.source |= keys
    if not enough:
        made.questions.append(
            "a split has no image with, or without, some class: are there enough patients?"
        )
    made.images = len(images)
    made.sides = sizes
    made.positives = {name: int((images[name] == 1).sum()) for name in classes}
    made.train = int((splits == "train").sum())
    split_of = dict(zip(images["image_id"], splits, strict=True))
    drawn = masks[masks["class"].isin(classes)]
    judged = drawn[drawn["image_id"].map(split_of) == "test"]
    made.masked = [name for name in classes if name in set(judged["class"])]
    tuned = set(drawn.loc[drawn["image_id"].map(split_of) == "tune", "class"])
    made.prior = bool(made.masked) and set(made.masked) <= tuned
    counts = Counter(splits)
    told = ", ".join(f"{counts[split]} {split}" for split in ("train", "tune", "test"))
    made.understood.append(f"images by split: {told}")
    if len(masks):
        where = Counter(drawn["image_id"].map(split_of))
        told = ", ".join(f"{where[split]} {split}" for split in ("train", "tune", "test"))
        made.understood.append(f"masks and boxes by split: {told}")
    made.noticed += [f"left out: {one}" for one in rejected.found[:5]]
    if len(rejected.found) > 5:
        made.noticed.append(f"left out: {len(rejected.found) - 5} more rows, images or masks")


def _framed(made: Draft, source: FolderSource, root: Path, images: pd.DataFrame) -> FolderSource:
    """Return the source with a frame for boxes that do not fit the files as they are.

    Archives that were reduced have boxes in pixels of the originals. The smallest usual frame that
    all of them fit in is taken, and asked about.
    """
    for entry in made.source.get("masks", ()):
        if entry["form"] != "boxes" or {"frame", "unit"} & entry.keys():
            continue
        outside = _outside(source, root, images, entry)
        for side in FRAMES if outside else ():
            framed = {**entry, "frame": [side, side]}
            if 2 * _outside(source, root, images, framed) < outside:
                entry["frame"] = [side, side]
                made.questions.append(
                    f"{entry['file']}: {outside} boxes do not fit the files as they are: were they "
                    f"drawn on images of {side} x {side} pixels (`frame`)?"
                )
                break
    return FolderSource.model_validate(made.source)


def _outside(source: FolderSource, root: Path, images: pd.DataFrame, entry: dict[str, Any]) -> int:
    """Return how many boxes of an entry of masks lie outside their images."""
    rejected = Rejections(source.name, quarantine=True)
    tried = FolderSource.model_validate({**source.model_dump(), "masks": [entry]})
    with Notes():
        tried.read_masks(root, images, rejected)
    return sum("lies outside the image" in one.reason for one in rejected.found)


def _size(path: Path) -> tuple[int, int]:
    """Return height and width of an image by its header; those of a usual one if unreadable."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 1024, 1024


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(map(repr, names[:12])) + more


def quoted(value: Any) -> str:
    """Return a value as YAML within one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)}: {quoted(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(quoted, value)) + "]"
    if isinstance(value, bool) or not isinstance(value, str):
        return json.dumps(value)
    is_plain = re.fullmatch(r"[A-Za-z][\w./ -]*[\w./]|[A-Za-z]", value)
    is_word = value.lower() in ("y", "n", "yes", "no", "true", "false", "on", "off", "null")
    return value if is_plain and not is_word else json.dumps(value, ensure_ascii=False)
