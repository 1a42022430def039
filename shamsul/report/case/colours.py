"""Colour scales of heatmaps: uniform to the eye, and told apart without red and green."""

from __future__ import annotations

import base64
import functools

import numpy as np
from numpy.typing import NDArray

SCALES = {"sequential": "inferno", "diverging": "berlin"}
"""Scales by their use, as Matplotlib names them. Inferno grows in lightness throughout. The
diverging scale is dark in the middle and as light at one end as at the other."""


@functools.cache
def table(scale: str) -> NDArray[np.uint8]:
    """Return the colours of a scale, (256, 3), from its lowest value to its highest."""
    from matplotlib import colormaps  # Here: it is slow to import.

    colours = colormaps[SCALES[scale]](np.arange(256))
    return np.rint(colours[:, :3] * 255).astype(np.uint8)


def tables() -> dict[str, str]:
    """Return the colours of all scales as text in base 64."""
    return {name: base64.b64encode(table(name).tobytes()).decode("ascii") for name in SCALES}
