"""Joins of images, labels and masks, of which none is silent: what fits nothing is told or refused.

Classes of masks and of labels, patients with masks that a split sends to training, and masks whose
rows and columns may be swapped are looked at once all sources have been read.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from shamsul import lazy
from shamsul.data.image_list import hashed
from shamsul.data.masks import decode
from shamsul.errors import InputError
from shamsul.labels import MARKER
from shamsul.settings import SPLITS, Split, unknown

if TYPE_CHECKING:
    import pandas as pd

    from shamsul.data.adapter import DiskSource
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

SAME_NAME = 0.85
"""Likeness (`difflib`) from which the name of a class without masks is taken for misspelt."""
USUAL_PLACES = {
    "atelectasis": (0.51, 0.21, 0.57, 0.12),
    "effusion": (0.50, 0.28, 0.56, 0.12),
    "infiltrat": (0.53, 0.18, 0.53, 0.12),
    "opacity": (0.53, 0.18, 0.53, 0.12),
    "mass": (0.51, 0.21, 0.45, 0.12),
    "nodule": (0.53, 0.25, 0.48, 0.15),
    "pneumonia": (0.51, 0.19, 0.56, 0.10),
    "pneumothorax": (0.46, 0.22, 0.33, 0.19),
    "cardiomegaly": (0.58, 0.05, 0.57, 0.07),
}
"""Mean and standard deviation of the centre across and down, as shares of the image, by a part of
the class's name in lower case: from the 984 boxes of ChestX-ray14 (Wang et al., CVPR 2017)."""
FEWEST_MASKS = 8
"""Number of masks of usual places below which nothing is said of them."""
SWAPPED = -0.4
"""Mean difference of the log likelihoods of a mask's centre as drawn and with rows and columns
swapped, below which they are likely to be. Of 8 boxes of one class of ChestX-ray14, hardly any set
is below it as drawn, and most are when swapped."""


def share_of(fractions: Mapping[Split, float], patient_id: str) -> Split:
    """Return the split of a patient, which follows from a hash of the name.

    Parameters
    ----------
    fractions : share of the patients in each split; they need not sum to one.
    """
    at = hashed(patient_id) / 2**64 * sum(fractions.values())
    for split, fraction in fractions.items():
        at -= fraction
        if at < 0:
            return split
    return split  # the fractions' rounding error


def divide(
    source: DiskSource, images: pd.DataFrame, masks: pd.DataFrame, classes: Sequence[str]
) -> list[Split]:
    """Return the split of each image of a source.

    A column `split` of the images wins, for all images of its patient. Other patients go where the
    source's fractions send them; with `prefer_masks`, those with masks go to tune and test alone.

    Parameters
    ----------
    images : rows of `DiskSource.read_images`, perhaps with a column `split`.
    masks : rows of `DiskSource.read_masks`.
    classes : names of the classes; masks of others count for nothing.
    """
    said: dict[str, Split] = {}
    if "split" in images:
        known = images[images["split"].notna()]
        said = dict(zip(known["patient_id"], known["split"], strict=True))
    drawn = set(masks.loc[masks["class"].isin(classes), "image_id"])
    masked = set(images.loc[images["image_id"].isin(drawn), "patient_id"])
    splits: dict[str, Split] = {}
    for patient in dict.fromkeys(images["patient_id"]):
        if patient in said or source.split is None:
            splits[patient] = said[patient]
        elif isinstance(source.split, str):
            splits[patient] = source.split
        else:
            fractions = dict(source.split)
            if source.prefer_masks and patient in masked:
                fractions.pop("train", None)
            splits[patient] = share_of(fractions, patient)
    own: list[Split | None] = images["split"].tolist() if "split" in images else []
    found: list[Split] = [splits[patient] for patient in images["patient_id"]]
    for row, split in enumerate(own):
        if split in SPLITS:
            found[row] = split
    _tell_alike(source.name, list(splits))
    if isinstance(source.split, dict) and not source.prefer_masks:
        _tell_masks_in_train(source.name, {p: splits[p] for p in masked - set(said)})
    return found


def _tell_alike(source: str, patients: Sequence[str]) -> None:
    """Log how many patients' ids are one number in several forms, as `00017`, `17` and `17.0`."""
    numbers: dict[str, int] = {}
    for patient in patients:
        if found := re.fullmatch(r"0*(\d+)(?:\.0+)?", patient):
            numbers[found[1]] = numbers.get(found[1], 0) + 1
    alike = sum(count for count in numbers.values() if count > 1)
    if alike:
        logger.warning(
            "data source %s: ids of %d patients are the same number as another one's, written in "
            "another way (017, 17, 17.0), and count as different patients; write them alike",
            source, alike,
        )  # fmt: skip


def _tell_masks_in_train(source: str, masked: Mapping[str, Split]) -> None:
    """Log how many patients with masks are in train, where no heatmap is judged."""
    counts = {split: sum(found == split for found in masked.values()) for split in SPLITS}
    if counts["train"]:
        logger.warning(
            "data source %s: of %d patients with masks %d are in train, where masks judge no "
            "heatmap, %d in tune and %d in test; `prefer_masks: true` divides them between tune "
            "and test, or name their splits yourself (adapter folder: `columns.split`)",
            source, len(masked), counts["train"], counts["tune"], counts["test"],
        )  # fmt: skip


def check_masks(manifest: pd.DataFrame, masks: pd.DataFrame, classes: Sequence[str]) -> None:
    """Check the masks of all sources against labels and classes.

    Raises
    ------
    InputError
        The class of a mask is a class misspelt, or no mask is of any class.
    """
    _check_classes(manifest, masks, classes)
    _tell_negatives(manifest, masks, classes)
    _tell_swapped(masks)


def _check_classes(manifest: pd.DataFrame, masks: pd.DataFrame, classes: Sequence[str]) -> None:
    """Tell masks of other classes, and classes that nothing names; refuse misspelt ones."""
    counts = masks["class"].value_counts()
    others = {str(n): int(c) for n, c in sorted(counts.items()) if n not in (*classes, MARKER)}
    without = [name for name in classes if name not in counts]
    for name, count in others.items():
        near = _nearest(name, without)
        if near:
            raise InputError(
                f"{count} masks are of {name!r}, which is not among `classes`, and none is of "
                f"{near!r}: write it so in the file of masks, or map it (adapter folder: `labels: "
                f"{{{name}: {near}}}`)"
            )
    if others and len(without) == len(classes):
        name = next(iter(others))
        raise InputError(
            f"no mask is of any class that is predicted: {unknown(name, classes, 'class')}; masks "
            f"are of {', '.join(others)}"
        )
    if others:
        told = ", ".join(f"{name} ({count})" for name, count in others.items())
        close = {name: difflib.get_close_matches(name, without, n=1) for name in others}
        hints = [f"{name!r} for {found[0]!r}" for name, found in close.items() if found]
        hint = f"; is one a class under another name ({', '.join(hints)})?" if hints else ""
        logger.warning(
            "masks of classes that are not among `classes` are left out: %s%s", told, hint
        )
    idle = [name for name in without if name in manifest and not (manifest[name] == 1).any()]
    if idle:
        logger.warning(
            "no label is positive for, and no mask marks: %s; are the names right?",
            ", ".join(idle),
        )


def _nearest(name: str, classes: Sequence[str]) -> str | None:
    """Return the class that a name is a misspelling of, None where there is none."""
    likeness = {
        other: difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio()
        for other in classes
    }
    best = max(likeness, key=lambda other: likeness[other], default=None)
    return best if best is not None and likeness[best] >= SAME_NAME else None


def _tell_negatives(manifest: pd.DataFrame, masks: pd.DataFrame, classes: Sequence[str]) -> None:
    """Log how many masks are of a class that their image is labelled negative for."""
    long = manifest.set_index("image_id")[[name for name in classes if name in manifest]]
    cells = [
        long.at[image_id, name]
        for image_id, name in zip(masks["image_id"], masks["class"], strict=True)
        if name in long and image_id in long.index
    ]
    negative = int((np.asarray(cells, float) == 0).sum())
    if negative:
        logger.warning("%d masks are of a class that the image is labelled negative for", negative)


def _tell_swapped(masks: pd.DataFrame) -> None:
    """Warn where the masks of square images lie as if rows and columns were swapped.

    Sums, shapes and aspects do not show it; the usual places of findings do, which are not the
    same across and down.
    """
    square = masks[(masks["height"] / masks["width"] - 1).abs() <= 0.02]
    gains: list[float] = []
    for row in square.to_dict("records"):
        usual = next(
            (found for part, found in USUAL_PLACES.items() if part in row["class"].lower()), None
        )
        if usual is None or len(gains) >= 400:
            continue
        mask = decode(row)
        if mask.any():
            down, across = (float(np.argwhere(mask.any(axis=a)).mean()) for a in (1, 0))
            x, y = across / row["width"], down / row["height"]
            gains.append(_likelihood(x, y, usual) - _likelihood(y, x, usual))
    if len(gains) >= FEWEST_MASKS and np.mean(gains) < SWAPPED:
        logger.warning(
            "%d masks of square images lie where their findings usually are not, and would if rows "
            "and columns were swapped: look at some of them in the report",
            len(gains),
        )


def _likelihood(x: float, y: float, usual: tuple[float, float, float, float]) -> float:
    """Return the log likelihood of a centre under a normal distribution, but for a constant."""
    across, spread_across, down, spread_down = usual
    return -(((x - across) / spread_across) ** 2 + ((y - down) / spread_down) ** 2) / 2
