"""The healthy part of a phantom: a patient's build, the exposure, and the outlines of the organs.

Everything is drawn in chest coordinates: the unit is half the inner width of the thorax, ``x``
grows to the image's right (the patient's left), ``y`` grows downwards from the lung apices. A
`shamsul.phantom.canvas.Canvas` carries them to pixels. Layers are path lengths times attenuation
coefficients, and the detector sees ``exp(-sum)`` plus scatter plus quantum noise (Beer and
Lambert).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""Values of a radiograph's pixels, (height, width) float32."""
Points = NDArray[np.float64]
"""Points in chest coordinates, (n, 2) float64: x and y."""

RIGHT, LEFT = -1, 1
"""The patient's sides, as the sign of x in the image."""


def stream(seed: int, *names: object) -> np.random.Generator:
    """Return a random generator for one purpose, independent of how much others draw."""
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


def curve(*points: tuple[float, float], steps: int = 8) -> Points:
    """Draw a smooth open line (Catmull-Rom spline) through the points."""
    p = np.array([points[0], *points, points[-1]], float)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    line = b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.concatenate([line.swapaxes(0, 1).reshape(-1, 2), p[-1:]])


def tube(line: Points, width: float | NDArray[np.float64]) -> Points:
    """Return the outline of a band of that width about a line, or about each of (..., n, 2)."""
    along = np.empty_like(line)
    along[..., 1:-1, :] = line[..., 2:, :] - line[..., :-2, :]
    along[..., 0, :] = line[..., 1, :] - line[..., 0, :]
    along[..., -1, :] = line[..., -1, :] - line[..., -2, :]
    normal = along[..., ::-1] * (-1, 1)
    normal *= width / 2 / np.maximum(np.hypot(along[..., :1], along[..., 1:]), 1e-9)
    return np.concatenate([line + normal, (line - normal)[..., ::-1, :]], axis=-2)


def ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    """Return the outline of an upright ellipse."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], 1)


@dataclass(frozen=True)
class Build:
    """The traits of a patient that stay the same from study to study."""

    sex: str
    age: int
    lung: float
    """Depth of the right diaphragm dome below the apices, in full inspiration."""
    fat: float
    breast: float
    spacing: float
    """Distance between neighbouring ribs at the spine."""
    tilt: float
    """Height by which a rib falls from the spine to its front end."""
    ctr: float
    """Cardiothoracic ratio when healthy, in a PA projection."""
    knob: float
    """Half width of the aortic knob."""
    aorta: float
    """Factor on the width of the upper mediastinum when healthy; the aorta unfolds with age."""
    scoliosis: float
    bone: float
    """Bone mineral, which falls with age."""

    @classmethod
    def of(cls, seed: int, patient_id: str) -> Build:
        """Return the build of a patient, from seed and name alone."""
        rng = stream(seed, patient_id, "build")
        sex = "Female" if rng.random() < 0.45 else "Male"
        age = int(np.clip(rng.normal(58, 18), 18, 90))
        return cls(
            sex=sex,
            age=age,
            lung=rng.uniform(1.5, 1.72) - 0.04 * (sex == "Female"),
            fat=float(np.clip(rng.gamma(3, 0.05), 0.05, 0.4)),
            breast=rng.uniform(0.5, 1.0) if sex == "Female" else 0.0,
            spacing=rng.uniform(0.172, 0.192),
            tilt=rng.uniform(0.9, 1.15),
            ctr=rng.uniform(0.38, 0.471),
            knob=rng.uniform(0.20, 0.23) + 0.03 * max(age - 50, 0) / 40,
            aorta=rng.uniform(1.0, 1.3) + 0.15 * max(age - 50, 0) / 40,
            scoliosis=rng.normal(0, 0.015),
            bone=rng.uniform(0.7, 1.3) - 0.25 * max(age - 50, 0) / 40,
        )


@dataclass(frozen=True)
class View:
    """One exposure: the size of the radiograph, the pose, the beam and the window."""

    height: int
    width: int
    ap: bool
    scale: float
    angle: float
    shift_x: float
    shift_y: float
    inspiration: float
    """Height of the diaphragm above its place in full inspiration."""
    raised: tuple[float, float]
    """Height by which each dome of the diaphragm, right and left, stands above that."""
    turn: float
    """Displacement of the spine against the front of the chest, by a turn of the patient."""
    scatter: float
    noise: float
    detail: float
    """Gain of fine detail in the display: negative smooths, positive sharpens."""
    black: float
    white: float
    gamma: float

    @classmethod
    def of(cls, seed: int, image_id: str, ap: bool, height: int) -> View:
        """Return the exposure of an image, from seed and name alone."""
        rng = stream(seed, image_id, "view")
        rows = round(height * rng.uniform(0.9, 1.1))
        columns = round(rows * rng.uniform(0.82, 1.25))
        fit = min(rows / 2.55, columns / 2.25)
        loose = 1.6 if ap else 1.0
        return cls(
            height=rows,
            width=columns,
            ap=ap,
            scale=fit * rng.uniform(0.77, 1.06),
            angle=np.deg2rad(np.clip(rng.normal(0, 2.5 * loose), -8, 8)),
            shift_x=np.clip(rng.normal(0, 0.04 * loose), -0.1, 0.1) * columns,
            shift_y=np.clip(rng.normal(0, 0.04 * loose), -0.1, 0.1) * rows,
            inspiration=rng.uniform(0.0, 0.3) + 0.04 * ap,
            raised=tuple(np.clip(rng.normal(-0.02, 0.18, 2), 0, 0.38).tolist()),
            turn=float(np.clip(rng.normal(0, 0.02 * loose), -0.07, 0.07)),
            scatter=rng.uniform(0.18, 0.28) + 0.06 * ap,
            noise=0.008 * 4 ** rng.random(),
            detail=rng.uniform(-0.5, 1.0),
            black=rng.uniform(0.0, 0.06),
            white=rng.uniform(0.9, 1.0),
            gamma=rng.uniform(0.8, 1.25),
        )


def wall(y: NDArray[np.floating] | float) -> Any:
    """Return the distance from the midline to the inner chest wall at a height."""
    t = np.clip(1 - np.asarray(y) / 1.35, 0, 1)
    return 0.36 + 0.625 * np.sqrt(1 - t**2.3)


@dataclass(frozen=True)
class Chest:
    """Outlines of one patient's organs in one projection, in chest coordinates."""

    build: Build
    view: View
    ctr: float
    """Cardiothoracic ratio as projected."""
    widening: float
    """Factor on the width of the upper mediastinum."""

    def dome(self, side: int) -> float:
        """Return the height of the diaphragm; the right one stands higher, over the liver."""
        raised = self.view.raised[0 if side == RIGHT else 1]
        return self.build.lung - self.view.inspiration - raised + (0.07 if side == LEFT else 0.0)

    def angle(self, side: int) -> float:
        """Return the height of the costophrenic angle."""
        return self.dome(side) + 0.30

    def diaphragm(self, side: int) -> Points:
        """Return the line from the costophrenic angle over the dome to the midline."""
        dome = self.dome(side)
        line = curve(
            (0.985, dome + 0.30), (0.83, dome + 0.1), (0.5, dome), (0.24, dome + 0.03),
            (0.03, dome + 0.13),
        )  # fmt: skip
        return line * (side, 1)

    def lung(self, side: int) -> Points:
        """Return the outline of a lung, hidden partly by the mediastinum."""
        y = np.concatenate([np.linspace(0, 1, 16) ** 2.2 * 0.5, np.linspace(0.56, 1.35, 12)])
        lateral = np.stack([wall(y), y], 1)
        apex = curve((0.04, 0.3), (0.15, 0.09), (0.26, 0.015), steps=4)
        return np.concatenate([apex * (side, 1), lateral * (side, 1), self.diaphragm(side)])

    @property
    def heart(self) -> Points:
        """Return the outline of the heart, resting on the diaphragm."""
        line = curve(
            (0.02, 0.70), (-0.17, 0.86), (-0.29, 1.06), (-0.335, 1.28), (-0.28, 1.5), (-0.1, 1.62),
            (0.22, 1.68), (0.48, 1.63), (0.57, 1.47), (0.535, 1.25), (0.40, 1.0), (0.25, 0.82),
            (0.14, 0.71), (0.02, 0.70),
        )  # fmt: skip
        size = self.ctr / 0.46
        base = self.dome(LEFT) + 0.10
        return (line - (0, 1.65)) * (size, size**0.6) + (-self.view.turn, base)

    @property
    def mediastinum(self) -> Points:
        """Return the outline of the great vessels and the middle of the chest, neck to heart."""
        knob, wide = self.build.knob, self.widening
        right = curve((-0.13, -0.6), (-0.13, -0.1), (-0.17, 0.25), (-0.185, 0.6), (-0.19, 0.9),
                      (-0.16, 1.2), (-0.14, 1.9))  # fmt: skip
        left = curve((0.13, 1.9), (0.16, 1.2), (0.23, 0.9), (0.215, 0.76), (0.17, 0.67),
                     (knob + 0.02, 0.53), (knob, 0.42), (0.15, 0.31), (0.14, 0.1), (0.13, -0.1),
                     (0.13, -0.6))  # fmt: skip
        line = np.concatenate([right, left])
        # Widest at the height of the arch, unchanged at the neck and behind the heart.
        if wide > 1:
            bulge = 0.16 * wide * np.exp(-(((line[:, 1] - 0.5) / 0.42) ** 4))
            line[:, 0] = np.sign(line[:, 0]) * np.maximum(np.abs(line[:, 0]), bulge)
        return line - (self.view.turn, 0)

    def hilum(self, side: int) -> tuple[float, float]:
        """Return the point that the vessels of a lung come from."""
        return side * 0.2, 0.74 if side == RIGHT else 0.69

    @cached_property
    def ribs(self) -> tuple[Points, NDArray[np.float64]]:
        """Return midlines of the ribs as tilted rings seen from the front, and their widths.

        Lines are (10, 2, 40, 2): from the top, right and left, 24 points behind and the rest in
        front, x and y; widths are (10,).
        """
        angle = np.concatenate([np.linspace(0.05, 1, 24), np.linspace(1.04, 1.62, 16)]) * np.pi / 2
        number = np.arange(10)[:, None]
        start = -0.16 + self.build.spacing * number
        fall = (0.30 + 0.048 * number) * self.build.tilt
        reach = wall(np.maximum(start + fall / 2, 0.02)) + 0.02
        x = 0.1 + (reach - 0.1) * np.sin(angle) ** 0.85
        y = start + fall * (1 - np.cos(angle)) / 2 - 0.05 * np.sin(2 * angle)
        lines = np.stack([np.stack([side * x, y], -1) for side in (RIGHT, LEFT)], 1)
        return lines, 0.072 + 0.003 * np.minimum(number[:, 0], 6)
