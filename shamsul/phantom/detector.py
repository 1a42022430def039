"""The detector, and the processing that makes a picture of what it has counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.special import erfinv

from shamsul.phantom.anatomy import Field, View
from shamsul.phantom.canvas import Canvas

GREYS = np.array([0, 10, 35, 60, 82, 115, 144, 165, 181, 193, 203, 213, 220, 232], np.float32)
"""Grey values that a displayed radiograph reaches at `SHARES`, on average."""
SHARES = np.array([0, 2, 7, 13, 19, 29, 39, 49, 59, 69, 79, 89, 95, 100], np.float32) / 100
"""Shares of the patient's pixels, in [0, 1], that are darker than `GREYS`."""
DIRECT = 0.12
"""Attenuation below which the beam has met no patient."""
_STEPS = 2048
"""Steps of attenuation, from 0 to `_DENSEST`, that are told apart before the eight bits."""
_DENSEST = 5.0
_NORMAL = (np.sqrt(2) * erfinv((np.arange(256) + 0.5) / 128 - 1)).astype(np.float32)
"""Quantiles of the normal distribution: a random byte draws one, ten times as fast as the exact."""


@dataclass(frozen=True)
class Curve:
    """The curve by which one radiograph's attenuation is displayed.

    Radiography systems find it in the image's own histogram, the direct beam left out, so that
    every patient is displayed with about the same greys. Disease that makes a lung denser does
    therefore not make the picture brighter.

    Attributes
    ----------
    table : (2048,) uint8, grey value at each step of attenuation.
    """

    table: NDArray[np.uint8]

    @classmethod
    def of(cls, attenuation: Field, view: View) -> Curve:
        """Fit the curve to an attenuation without noise, (height, width), as `attenuate` has it."""
        steps = _steps(attenuation[::2, ::2])
        counts = np.bincount(steps.ravel(), minlength=_STEPS).astype(np.float64)
        counts[: int(DIRECT / _DENSEST * _STEPS)] = 0
        darker = np.cumsum(counts) / counts.sum()
        grey = np.interp(darker, SHARES, GREYS / 255) ** view.gamma
        grey = view.black + (view.white - view.black) * grey
        return cls(np.where(darker > 0, 255 * grey, 0).astype(np.uint8))

    def display(self, attenuation: Field) -> NDArray[np.uint8]:
        """Return grey values (height, width) of an attenuation; dense is bright."""
        return np.take(self.table, _steps(attenuation))


def _steps(attenuation: Field) -> NDArray[np.uint16]:
    scaled = attenuation * np.float32(_STEPS / _DENSEST)
    return np.clip(scaled, 0, _STEPS - 1).astype(np.uint16)


def attenuate(depth: Field, view: View, canvas: Canvas) -> Field:
    """Return the attenuation that a detector would measure without noise: Beer-Lambert and scatter.

    Parameters
    ----------
    depth : (height, width), sum of path lengths times attenuation coefficients.

    Returns
    -------
    (height, width), minus the logarithm of the signal over that of the direct beam.
    """
    primary = np.exp(-np.clip(depth, 0, 6))
    coarse = np.ascontiguousarray(primary[::8, ::8])
    veil = gaussian_filter(
        np.minimum(coarse, 0.5), 0.3 * view.scale / 8, mode="nearest", truncate=2
    )
    measured: Field = -np.log(primary + view.scatter * canvas.enlarged(veil, 8))
    return measured


def detect(
    attenuation: Field, view: View, rng: np.random.Generator, curve: Curve
) -> NDArray[np.uint8]:
    """Return the radiograph of an attenuation: quantum noise, sharpness, and the display's curve.

    Parameters
    ----------
    attenuation : (height, width), as `attenuate` has it.
    rng : random generator of the noise.
    curve : curve of the display.

    Returns
    -------
    (height, width) uint8; dense is bright.
    """
    draws = np.frombuffer(rng.bytes(attenuation.size), np.uint8)
    noise = np.take(_NORMAL, draws).reshape(attenuation.shape)
    # Relative error of a count falls with the root of the signal.
    seen = attenuation + noise * np.float32(view.noise) * np.exp(0.5 * attenuation)
    # Systems sharpen or smooth detail of about this size.
    size = max(3, round(0.02 * view.height) | 1)
    smooth = uniform_filter(seen, size, mode="nearest")
    return curve.display(seen + np.float32(view.detail) * (seen - smooth))
