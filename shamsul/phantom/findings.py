"""Drawing of each finding on a radiograph, and the mask of exactly where it is.

A finding acts on the layers of a healthy chest: it fills air with water or tissue, adds attenuation
of its own, or takes lung tissue away. Its mask is made with it. Two findings change the anatomy
instead, before projection (a large heart, a wide mediastinum); so does a fracture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shamsul.phantom.anatomy import (
    LEFT,
    RIGHT,
    Chest,
    Field,
    Points,
    curve,
    tube,
    wall,
)
from shamsul.phantom.canvas import Canvas
from shamsul.phantom.projection import SIDES, Layers
from shamsul.phantom.support_devices import IN_BED, ON_FOOT

Mask = NDArray[np.bool_]


@dataclass
class Effect:
    """The marks that a finding leaves on a radiograph.

    Attributes
    ----------
    mask : (height, width) bool, where it is.
    fill : share 0-1 of the lung's air that it replaces.
    add : optical depth of its own.
    empty : share 0-1 of vessels and texture that are gone, lung being away.
    """

    mask: Mask
    fill: Field | None = None
    add: Field | None = None
    empty: Field | None = None


@dataclass
class Scene:
    """A healthy chest on its canvas, for findings to act on."""

    canvas: Canvas
    chest: Chest
    layers: Layers
    fluid: float = 0.0
    """Height of an effusion above the diaphragm; whatever it would hide lies above it."""

    def floor(self, side: int) -> float:
        """Return the lowest height at which something in the lung can be seen."""
        return max(self.chest.dome(side) - self.fluid, 0.85)

    @property
    def aerated(self) -> Field:
        """Lung that is not hidden behind heart and mediastinum, 0-1."""
        return np.minimum(self.layers.air * np.float32(1.6), 1)

    def lung(self, side: int) -> Field:
        """Return the shadow of the lung of one side, 0-1."""
        return self.layers.lungs * (self.canvas.grid[0] * side > 0)

    def blob(
        self, x: float, y: float, rx: float, ry: float, rng: np.random.Generator, soft: float,
        rough: float = 0.25,
    ) -> Field:  # fmt: skip
        """Draw an irregular patch, 0-1, whose edge is `soft` of its radius wide."""
        across, down = self.canvas.grid
        radius = np.hypot((across - np.float32(x)) / rx, (down - np.float32(y)) / ry)
        radius += rough * self.canvas.cloud(rng, 0.5 * min(rx, ry))
        return np.clip((1 - radius) / np.float32(soft) + 0.5, 0, 1)


def visible(shadow: Field, scene: Scene, least: float) -> Mask:
    """Return where a shadow in the lungs has that strength; all of it if it is hidden whole."""
    mask = shadow * scene.aerated > least
    return mask if mask.any() else shadow > min(least, shadow.max() / 2)


class Finding(Protocol):
    """A function that draws a finding of a severity 0-1."""

    def __call__(self, scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
        """Return the finding's effect on a scene; all its randomness is from `rng`."""
        ...


def consolidation(scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
    """Draw one lobe, homogeneously dense, cut off by its fissure; vessels vanish in it."""
    side, upper = int(rng.choice(SIDES)), rng.random() < 0.45
    size, dome = 0.95 + 0.35 * severity, scene.chest.dome(side)
    y = 0.45 if upper else dome - 0.18
    lobe = scene.blob(side * rng.uniform(0.5, 0.62), y, 0.38 * size, 0.32 * size, rng, 0.2, 0.1)
    x, down = scene.canvas.grid
    fissure = (0.78 if upper else dome - 0.42) + 0.06 * np.abs(x)
    edge = (fissure - down) if upper else (down - fissure)
    lobe = lobe * np.clip(edge / np.float32(0.02), 0, 1) * scene.lung(side)
    density = rng.uniform(0.8, 0.92)
    return Effect(visible(lobe, scene, 0.5), fill=density * lobe, empty=0.8 * lobe)


def pneumonia(scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
    """Draw several lobules filled unevenly, running together, with air left in the bronchi."""
    floor, patches = scene.floor(RIGHT), np.zeros(scene.canvas.shape, np.float32)
    bronchi: list[tuple[Points, int]] = []
    first = int(rng.choice(SIDES))
    for side, count in ((first, 4 + round(2 * severity)), (-first, int(rng.integers(1, 4)))):
        hilum = np.array(scene.chest.hilum(side))
        centre = rng.uniform(0.7, max(floor - 0.3, 0.75))
        for _ in range(count):
            x, y = side * rng.uniform(0.38, 0.82), centre + rng.uniform(-0.32, 0.32)
            size = rng.uniform(0.10, 0.16)
            patches = np.maximum(patches, scene.blob(x, y, size, size, rng, 0.9, 0.25))
            start = 0.5 * hilum + 0.5 * np.array([x, y])
            for bend in (-0.09, 0.09):
                line = curve(tuple(start), (x, y + bend / 2), (x + side * 0.14, y + 1.4 * bend))
                bronchi.append((tube(line, 0.018), 255))
    mottle = np.clip(1 + 0.25 * scene.canvas.cloud(rng, 0.035), 0.3, 1.3)
    inside = patches * scene.layers.lungs
    fill = 0.72 * inside * mottle * (1 - scene.canvas.field(*bronchi, weight=0.7))
    return Effect(visible(inside, scene, 0.5), fill=np.minimum(fill, 0.95), empty=0.6 * inside)


def edema(scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
    """Draw haze about the hila, one more than the other, and Kerley's lines in the bases."""
    x, y = scene.canvas.grid
    reach, centre = 0.30 + 0.08 * severity, np.float32(rng.uniform(0.65, 1.0))
    wing = np.exp(
        -(((np.abs(x) - 0.38) / reach) ** 2) - ((y - centre) / np.float32(1.45 * reach)) ** 2
    )
    spared = rng.uniform(0.3, 1.0)
    wing *= 1 - np.float32(spared) * (x * int(rng.choice(SIDES)) > 0)
    grain = np.clip(1 + 0.3 * scene.canvas.cloud(rng, 0.05), 0.2, 2)
    haze = wing * scene.layers.lungs
    lines = []
    for side in SIDES:
        for height in scene.chest.angle(side) - 0.22 - 0.075 * np.arange(6):
            end = wall(height) - 0.02
            kerley = curve((end, height), (end - rng.uniform(0.12, 0.2), height - 0.02))
            lines.append((tube(kerley * (side, 1), 0.016), 255))
    mask = visible(haze, scene, 0.22)
    add = 0.24 * scene.canvas.field(*lines) * scene.layers.lungs
    return Effect(mask, fill=np.minimum((0.37 + 0.16 * severity) * haze * grain, 0.9), add=add)


def atelectasis(scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
    """Draw plates of collapsed lung: long dense bands across the lower zones."""
    bands = []
    sides = SIDES if rng.random() < 0.35 else (int(rng.choice(SIDES)),)
    for side in sides:
        y, tilt = scene.floor(side) - rng.uniform(0.12, 0.2), rng.uniform(-0.05, 0.12)
        for _ in range(1 + int(rng.random() < 0.5 + 0.4 * severity)):
            # Beside the heart, which reaches further to the left.
            start = rng.uniform(0.24, 0.34) + 0.12 * (side == LEFT)
            width = rng.uniform(0.06, 0.075) + 0.025 * severity
            end = min(start + rng.uniform(0.42, 0.58), 0.9)
            band = curve((start, y - tilt / 2), ((start + end) / 2, y - 0.03), (end, y + tilt))
            # Thickest in the middle, tapering to its ends.
            taper = np.sin(np.linspace(0.25, np.pi - 0.25, len(band)))[:, None] ** 0.5
            bands.append(tube(band * (side, 1), width * taper))
            y -= rng.uniform(0.13, 0.22)
    drawn = scene.canvas.fill(*bands) * scene.layers.lungs
    return Effect(visible(drawn, scene, 0.5), fill=(0.65 + 0.2 * severity) * drawn)


def lung_opacity(scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
    """Draw a faint ill-defined shadow that is none of the named ones."""
    side = int(rng.choice(SIDES))
    x, y = side * rng.uniform(0.45, 0.65), rng.uniform(0.5, scene.floor(side) - 0.3)
    size = 0.28 + 0.08 * severity
    cloud = scene.blob(x, y, size, 1.15 * size, rng, 1.1, 0.25) * scene.layers.lungs
    return Effect(visible(cloud, scene, 0.4), fill=(0.36 + 0.14 * severity) * cloud)


def lung_lesion(scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
    """Draw nodules or a mass: round, dense, sharp."""
    x, y = scene.canvas.grid
    add = np.zeros(scene.canvas.shape, np.float32)
    mask = np.zeros(scene.canvas.shape, bool)
    for number in range(1 + int(rng.choice(4, p=[0.3, 0.25, 0.25, 0.2]))):
        radius = rng.uniform(0.115, 0.14) + 0.06 * severity * (number == 0)
        side, height = int(rng.choice(SIDES)), rng.uniform(0.25, scene.floor(LEFT) - 0.15)
        middle = side * rng.uniform(0.38, wall(height) - 0.12)
        squared = ((x - middle) ** 2 + (y - height) ** 2) / np.float32(radius**2)
        add += rng.uniform(1.5, 1.8) * np.sqrt(np.clip(1.05 - squared, 0, 1))
        mask |= squared < 1
    return Effect(mask & (scene.layers.lungs > 0.5), add=add * scene.layers.lungs)


def pneumothorax(scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
    """Draw air between chest wall and lung: dark, without vessels, behind a thin pleural line."""
    side = int(rng.choice(SIDES))
    hilum, outline = np.array(scene.chest.hilum(side)), scene.chest.lung(side)
    left = (0.78 - 0.22 * severity, 0.80 - 0.16 * severity)
    collapsed = (outline - hilum) * left + hilum
    # The lung hangs on its hilum and rests on the diaphragm.
    collapsed[:, 1] += 0.06 * (collapsed[:, 1] > hilum[1])
    inner = scene.canvas.fill(collapsed)
    x, y = scene.canvas.grid
    base = np.clip((scene.chest.dome(side) - 0.1 - y) / np.float32(0.1), 0, 1)
    lateral = np.clip((np.abs(x) - 0.16) / np.float32(0.05), 0, 1)
    away = (1 - inner) * scene.lung(side) * base * lateral
    line = scene.canvas.fill(tube(collapsed[7:36], 0.02)) * scene.lung(side) * base * lateral
    mask = (away > 0.5) & (scene.layers.lungs > 0.5)
    return Effect(mask, add=0.75 * line - 0.7 * away, empty=away)


def fluid_height(severity: float) -> float:
    """Return the height of an effusion above the dome of the diaphragm."""
    return 0.4 * severity


def pleural_effusion(scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
    """Draw fluid at the base: it fills the costophrenic angle and climbs along the wall."""
    x, y = scene.canvas.grid
    both = rng.random() < 0.35
    first = int(rng.choice(SIDES))
    fluid = np.zeros(scene.canvas.shape, np.float32)
    for side in (first, -first) if both else (first,):
        depth = (0.31 + fluid_height(severity)) * (1 if side == first else rng.uniform(0.7, 1))
        climb = (0.22 + 0.14 * severity) * np.clip((np.abs(x) - 0.35) / np.float32(0.6), 0, 1) ** 2
        surface = scene.chest.angle(side) - depth - climb
        fluid += np.clip((y - surface) / np.float32(0.05) + 0.5, 0, 1) * scene.lung(side)
    return Effect((fluid > 0.5) & (scene.layers.lungs > 0.5), fill=0.92 * fluid, empty=0.9 * fluid)


def pleural_other(scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
    """Draw thickened, partly calcified pleura along the chest wall."""
    bands = []
    first = int(rng.choice(SIDES))
    for side in (first, -first) if rng.random() < 0.7 else (first,):
        start = rng.uniform(0.4, 0.65)
        y = np.linspace(start, start + rng.uniform(0.5, 0.65) + 0.15 * severity, 24)
        swell = np.sin(np.linspace(0, np.pi, 24)) ** 0.5 * (1 + 0.2 * rng.standard_normal(24))
        line = np.stack([side * (wall(y) - 0.08), y], 1)
        bands.append(tube(line, ((0.16 + 0.05 * severity) * swell)[:, None]))
    drawn = scene.canvas.fill(*bands) * scene.layers.lungs
    lime = np.clip(1 + 0.3 * scene.canvas.cloud(rng, 0.03), 0.4, 1.6)
    return Effect(drawn > 0.5, add=(1.4 + 0.3 * severity) * drawn * lime)


def support_devices(scene: Scene, severity: float, rng: np.random.Generator) -> Effect:
    """Draw tubes, lines, leads and boxes; more of them in the bedridden (AP)."""
    kinds = IN_BED if scene.chest.view.ap else ON_FOOT
    count = (
        1
        + int(rng.random() < 0.25 + 0.4 * scene.chest.view.ap)
        + int(rng.random() < 0.4 * scene.chest.view.ap)
    )
    chosen = rng.choice(len(kinds), min(count, len(kinds)), replace=False)
    pieces = [piece for index in sorted(chosen) for piece in kinds[index](scene.chest, rng)]
    drawn = scene.canvas.field(*((tube(line, width), grey) for line, width, grey in pieces))
    # A reader's outline is a little wider than the wire.
    mask = scene.canvas.fill(*(tube(line, width + 0.02) for line, width, _ in pieces)) > 0.5
    return Effect(mask, add=2.5 * drawn)


FINDINGS: dict[str, Finding] = {
    "Lung Opacity": lung_opacity,
    "Lung Lesion": lung_lesion,
    "Edema": edema,
    "Consolidation": consolidation,
    "Pneumonia": pneumonia,
    "Atelectasis": atelectasis,
    "Pneumothorax": pneumothorax,
    "Pleural Effusion": pleural_effusion,
    "Pleural Other": pleural_other,
    "Support Devices": support_devices,
}
"""Findings that act on the projected layers, in the order of drawing."""
