"""A second reader of the phantoms, in the place of CheXlocalize's human benchmark.

Three radiologists drew CheXlocalize's test set a second time and named the most representative
point of each finding (Saporta et al., Nature Machine Intelligence 2022). Between readers there is
disagreement: this one outlines more smoothly, more or less generously and a little off, and
overlooks some findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shamsul.phantom.anatomy import stream
from shamsul.phantom.findings import Mask
from shamsul.phantom.radiograph import Radiograph

Points = dict[str, list[list[float]]]
"""Points [x, y] in pixels, by class."""

OVERLOOKED = 0.1
"""Share of the findings that the reader does not see."""
HAND = 0.012
"""Standard deviation of the reader's hand, and of the smoothing of an outline, as a fraction of the
radiograph's height."""
GENEROSITY = 0.25, 0.65
"""Smallest and largest level at which the reader ends the smoothed finding, as a fraction of its
highest value."""


def second_reading(
    seed: int, image_id: str, radiograph: Radiograph, classes: Sequence[str]
) -> tuple[Radiograph, Points]:
    """Draw a radiograph's findings as the second reader sees them.

    Parameters
    ----------
    seed : seed of everything; with it the image and the class decide alone.
    classes : classes that the reader looks for.

    Returns
    -------
    radiograph : the same with the reader's masks; a finding that was overlooked is absent.
    points : the one that represents each finding best; in the middle of a pixel.
    """
    from scipy.ndimage import gaussian_filter, shift  # Here, because it is slow to import.

    masks: dict[str, Mask] = {}
    points: Points = {}
    width = HAND * radiograph.image.shape[0]
    for name in classes:
        rng = stream(seed, image_id, "reader", name)
        if name not in radiograph.masks or rng.random() < OVERLOOKED:
            continue
        finding = gaussian_filter(radiograph.masks[name].astype(np.float32), width)
        seen = shift(finding, rng.normal(0, width, 2), order=1)
        masks[name] = seen > rng.uniform(*GENEROSITY) * seen.max()
        y, x = np.unravel_index(seen.argmax(), seen.shape)
        points[name] = [[float(x) + 0.5, float(y) + 0.5]]
    return replace(radiograph, masks=masks), points
