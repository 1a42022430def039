"""A simulated reader of the phantoms, in the place of CheXlocalize's human benchmark.

Three radiologists drew CheXlocalize's test set a second time and named the most representative
point of each finding (Saporta et al., Nature Machine Intelligence 2022). Readers disagree about a
finding's outline, sometimes about its place, and about its presence. This one does so as much as
readers of VinDr-CXR do who marked the same finding on the same radiograph (`AGREEMENT`). It is no
human: what a method lacks to it says nothing of radiologists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shamsul.phantom.anatomy import stream
from shamsul.phantom.findings import Mask
from shamsul.phantom.radiograph import Drawing, Radiograph

Points = dict[str, list[list[float]]]
"""Points [x, y] in pixels, by class."""

AGREEMENT: dict[str, tuple[float, float]] = {
    "Enlarged Cardiomediastinum": (0.691, 0.987),
    "Cardiomegaly": (0.744, 0.998),
    "Lung Lesion": (0.588, 0.864),
    "Lung Opacity": (0.465, 0.781),
    "Edema": (0.541, 0.888),
    "Consolidation": (0.602, 0.902),
    "Atelectasis": (0.518, 0.852),
    "Pneumothorax": (0.701, 0.916),
    "Pleural Effusion": (0.509, 0.894),
    "Support Devices": (0.438, 0.955),
}
"""Agreement of two readers who both marked a finding: IoU and hit rate of boxes, in [0, 1].

From the boxes of 17 readers of VinDr-CXR's 15,000 training radiographs, three to each; a hit is the
centre of the larger box inside the other reader's. VinDr-CXR says "aortic enlargement" where
CheXpert has the cardiomediastinum, "nodule/mass" for a lesion and "infiltration" for what is
nearest to edema. It has no devices: theirs are IoU of masks and hit rate of CheXlocalize's human
benchmark, as first published.
"""
OVERLOOKED = 0.15
"""Share of the findings that the reader does not see; assumed, the agreement above has none."""
FALSE_ALARM = 0.04
"""Share of the classes that a radiograph does not show, of which the reader sees one; assumed."""


@dataclass(frozen=True)
class Habit:
    """The habits of the reader with one class, fitted to `AGREEMENT`.

    Attributes
    ----------
    placed : probability in [0, 1] of marking the place of the finding, not another.
    hand : disagreement about an outline, as a fraction of the size of its parts: the standard
        deviation of its shift along either axis, and of its growth on all sides.
    """

    placed: float
    hand: float


HABITS: dict[str, Habit] = {
    "Enlarged Cardiomediastinum": Habit(1.0, 0.09),
    "Cardiomegaly": Habit(1.0, 0.08),
    "Lung Lesion": Habit(0.82, 0.08),
    "Lung Opacity": Habit(0.66, 0.127),
    "Edema": Habit(0.7, 0.13),
    "Consolidation": Habit(0.865, 0.098),
    "Atelectasis": Habit(0.85, 0.127),
    "Pneumothorax": Habit(0.84, 0.08),
    "Pleural Effusion": Habit(0.85, 0.127),
    "Support Devices": Habit(1.0, 0.066),
}
"""Habits of the reader by class."""


def second_reading(
    drawing: Drawing, radiograph: Radiograph, classes: Sequence[str]
) -> tuple[Radiograph, Points]:
    """Draw a radiograph's findings as the simulated reader sees them.

    Parameters
    ----------
    drawing : drawing of the study; its seed, the image and the class decide alone.
    radiograph : radiograph of the study.
    classes : classes that the reader looks for.

    Returns
    -------
    radiograph : the same with the reader's masks; a class of which none was seen is absent.
    points : the one that represents each finding best; in the middle of a pixel.
    """
    masks: dict[str, Mask] = {}
    points: Points = {}
    for name in classes:
        rng = stream(drawing.seed, drawing.study.image_id, "reader", name)
        seen, placed = rng.random(2)
        truth = radiograph.masks.get(name)
        if seen < FALSE_ALARM if truth is None else seen > OVERLOOKED:
            right = truth is not None and placed < HABITS[name].placed
            finding = truth if right else drawing.imagined(name, rng)
            assert finding is not None
            if finding.any():
                masks[name], points[name] = _drawn(finding, HABITS[name].hand, rng)
    return replace(radiograph, masks=masks), points


def _drawn(finding: Mask, hand: float, rng: np.random.Generator) -> tuple[Mask, list[list[float]]]:
    """Return the reader's mask of a finding, with at least one pixel, and its innermost point."""
    # Here, because it is slow to import.
    from scipy.ndimage import distance_transform_edt, gaussian_filter, label, shift

    parts = label(finding, np.ones((3, 3)))[1]
    size = hand * np.sqrt(finding.sum() / parts)
    inside: NDArray[np.float64] = distance_transform_edt(np.pad(finding, 1))[1:-1, 1:-1]
    depth = np.where(finding, inside - 0.5, 0.5 - distance_transform_edt(~finding))
    wave = gaussian_filter(rng.standard_normal(finding.shape), 0.04 * len(finding))
    depth = shift(depth, rng.normal(0, size, 2), order=1, mode="nearest")
    depth += rng.normal(0, size) + 0.5 * size * wave / wave.std()
    # Whatever the hand does, a finding that was seen is drawn.
    mask = depth > min(0.0, 0.5 * depth.max() if depth.max() > 0 else depth.max() - 1)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return mask, [[float(x) + 0.5, float(y) + 0.5]]
