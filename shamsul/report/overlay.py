"""Small pictures of radiographs, outlines and heatmaps, as JPEG data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shamsul.geometry import Frame, to_original

WIDTH = 240
"""Length of a picture's longer side, in pixels."""
OUTLINE = np.array([92, 224, 116], float)
"""Colour of the expert's mask: a green that neither colour map nor radiograph has."""
OTHER = np.array([86, 190, 255], float)
"""Colour of the outlines of another reader or a segmenting method."""

SEQUENTIAL = np.array(
    [(20, 11, 53), (101, 21, 110), (187, 55, 84), (249, 142, 9), (252, 255, 164)], float
)
"""Dark to light through violet, red and yellow; lightness grows throughout."""
DIVERGING = np.array(
    [(33, 102, 172), (103, 169, 207), (247, 247, 247), (239, 138, 98), (178, 24, 43)], float
)
"""Blue for evidence against the class, red for evidence for it."""

Picture = NDArray[np.float64]
"""(h, w, 3), 0-255."""


def thumbnail_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width of a radiograph's picture."""
    scale = WIDTH / max(height, width)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def radiograph(image: NDArray[np.uint8]) -> Picture:
    """Return the picture of a radiograph: (height, width) uint8 -> (h, w, 3)."""
    height, width = thumbnail_size(*image.shape)
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
    return np.repeat(np.asarray(small, float)[:, :, None], 3, axis=2)


def outline(picture: Picture, mask: NDArray[np.bool_], colour: Picture = OUTLINE) -> Picture:
    """Return the picture with the outline of a mask of any resolution."""
    height, width = picture.shape[:2]
    small = Image.fromarray(mask.astype(np.uint8) * 255).resize(
        (width, height), Image.Resampling.BOX
    )
    # Any part of a pixel counts, so that a small lesion does not vanish.
    inside = np.pad(np.asarray(small) > 0, 1)
    around = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    drawn = picture.copy()
    drawn[inside[1:-1, 1:-1] & ~around] = colour
    return drawn


def overlay(picture: Picture, heatmap: NDArray[np.floating], frame: Frame, signed: bool) -> Picture:
    """Return the picture under a heatmap, which is brought to the radiograph's frame.

    Parameters
    ----------
    picture : picture of the radiograph.
    heatmap : (h, w), covering the model's frame.
    frame : frame of the radiograph.
    signed : True colours negative relevance too; else negative values count as zero.
    """
    height, width = picture.shape[:2]
    coarse = frame.at(height, width)
    if signed:
        values = to_original(heatmap, coarse)
        values = values / (np.abs(values).max() or 1)
        share, opacity = (values + 1) / 2, np.abs(values) * 0.9
        colours = DIVERGING
    else:
        values = to_original(np.maximum(heatmap, 0), coarse)
        values = (values - values.min()) / ((values.max() - values.min()) or 1)
        share, opacity, colours = values, 0.1 + 0.6 * values, SEQUENTIAL
    colour = look_up(colours, share)
    return picture + opacity[:, :, None] * (colour - picture)


def look_up(colours: Picture, share: NDArray[np.floating]) -> Picture:
    """Return colours for shares in [0, 1], interpolated between the stops: (...) -> (..., 3)."""
    stops = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(share, stops, colours[:, c]) for c in range(3)], axis=-1)


def data_uri(picture: Picture) -> str:
    """Return the picture as a JPEG within an address."""
    buffer = io.BytesIO()
    Image.fromarray(picture.round().clip(0, 255).astype(np.uint8)).save(
        buffer, "JPEG", quality=82, subsampling=0, optimize=True
    )
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
