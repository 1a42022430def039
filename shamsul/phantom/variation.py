"""Differences between healthy radiographs that look like disease to who counts greys and edges.

Lungs are darker or lighter, muscles, breasts and folds of skin lie over them, their markings are
fine or coarse, and buttons, necklaces and zips are left on. None of it is a finding. Without it the
greys alone, wherever they are, would tell some findings from their absence.
"""

from __future__ import annotations

import numpy as np

from shamsul.phantom.anatomy import LEFT, RIGHT, Chest, curve, ellipse, stream, tube
from shamsul.phantom.canvas import Canvas
from shamsul.phantom.patients import Study
from shamsul.phantom.projection import Layers


def vary(layers: Layers, canvas: Canvas, chest: Chest, seed: int, study: Study) -> None:
    """Change the layers of a healthy chest in place; the same way whatever its findings are."""
    aerate(layers, canvas, stream(seed, study.image_id, "aeration"))
    mark(layers, canvas, stream(seed, study.patient_id, "markings"))
    cover(layers, canvas, chest, stream(seed, study.patient_id, "cover"))
    bowel(layers, canvas, chest, stream(seed, study.image_id, "bowel"))
    dress(layers, canvas, chest, stream(seed, study.image_id, "dress"))


def aerate(layers: Layers, canvas: Canvas, rng: np.random.Generator) -> None:
    """Fill the lungs with more or less air, each side and zone by itself."""
    x, y = canvas.grid
    tilt, slope = rng.normal(0, 0.06), rng.normal(0, 0.10)
    level = 1 - rng.gamma(2.0, 0.08) + tilt * np.tanh(x / 0.2) + slope * (y - np.float32(0.8))
    layers.air *= np.clip(level, 0.45, 1.15).astype(np.float32)


def mark(layers: Layers, canvas: Canvas, rng: np.random.Generator) -> None:
    """Add coarser markings of the lungs, as smokers and the old have them."""
    inside = np.minimum(layers.air, 1)
    layers.tissue *= np.float32(rng.uniform(0.6, 1.5))
    for size, most in ((0.03, 0.07), (0.06, 0.09), (0.12, 0.08)):
        amount = most * rng.random() ** 2
        layers.tissue += np.float32(amount) * canvas.cloud(rng, size) * inside


def cover(layers: Layers, canvas: Canvas, chest: Chest, rng: np.random.Generator) -> None:
    """Lay muscle, fat and folds of skin over the chest."""
    x, y = canvas.grid
    for side in (RIGHT, LEFT):
        # Pectoral muscle: over the upper and outer lung, its lower edge slanting to the armpit.
        muscle = rng.gamma(1.5, 0.06)
        edge = 0.75 + rng.uniform(-0.2, 0.25) - 0.5 * (x * side - 0.5)
        layers.body += (
            np.float32(muscle)
            * np.clip((edge - y) / 0.12, 0, 1)
            * (np.clip(x * side - 0.15, 0, 0.3) / 0.3).astype(np.float32)
        )
    layers.body += np.float32(rng.gamma(2.0, 0.03)) * canvas.cloud(rng, 0.45)
    layers.body += np.float32(rng.gamma(2.0, 0.02)) * canvas.cloud(rng, 0.2)
    folds = []
    for _ in range(int(rng.choice(3, p=[0.6, 0.25, 0.15]))):
        side, top = int(rng.choice((RIGHT, LEFT))), rng.uniform(0.1, 0.9)
        start = rng.uniform(0.4, 1.0)
        line = curve((start, top), (start - rng.uniform(-0.1, 0.2), top + 0.35),
                     (start - rng.uniform(-0.1, 0.3), top + 0.75))  # fmt: skip
        folds.append((tube(line * (side, 1), rng.uniform(0.02, 0.05)), int(rng.uniform(60, 160))))
    if folds:
        layers.body += canvas.field(*folds, weight=0.5)


def bowel(layers: Layers, canvas: Canvas, chest: Chest, rng: np.random.Generator) -> None:
    """Put gas into the bowel under the diaphragm, and folds of a gown and sheet over everything."""
    x, y = canvas.grid
    below = np.clip((y - np.float32(chest.dome(LEFT) + 0.2)) / np.float32(0.15), 0, 1)
    below *= np.abs(x) < 0.9
    gas = np.clip(canvas.cloud(rng, 0.11) - np.float32(rng.uniform(0.6, 3.0)), 0, 1)
    layers.body -= np.float32(0.8) * gas * below
    layers.body += np.float32(rng.uniform(0, 0.025)) * canvas.cloud(rng, 0.04)


def dress(layers: Layers, canvas: Canvas, chest: Chest, rng: np.random.Generator) -> None:
    """Leave on buttons, clips, a necklace, a bra's wires, a zip; none is a device."""
    things = []
    if rng.random() < 0.2:
        x, step = rng.uniform(-0.15, 0.15), rng.uniform(0.25, 0.4)
        for number in range(int(rng.integers(2, 6))):
            things.append((ellipse(x, 0.1 + step * number, 0.04, 0.04), 130))
    if rng.random() < 0.2:
        depth, wide = rng.uniform(0.0, 0.35), rng.uniform(0.2, 0.4)
        chain = curve((-wide, -0.35), (-0.6 * wide, depth - 0.1), (0, depth + 0.1),
                      (0.6 * wide, depth - 0.1), (wide, -0.35))  # fmt: skip
        things.append((tube(chain, 0.018), 150))
    if rng.random() < 0.25:
        for _ in range(int(rng.integers(1, 5))):
            x, y = rng.uniform(-0.9, 0.9), rng.uniform(0.1, 1.7)
            angle = rng.uniform(0, np.pi)
            end = (x + 0.06 * np.cos(angle), y + 0.06 * np.sin(angle))
            things.append((tube(curve((x, y), end, steps=3), 0.025), 200))
    if chest.build.breast and rng.random() < 0.4:
        low, wide = 1.2 + 0.4 * chest.build.breast, rng.uniform(0.28, 0.38)
        arc = curve((0.16, low - 0.12), (0.2 + wide / 3, low + 0.04), (0.2 + wide, low + 0.06),
                    (0.2 + 1.7 * wide, low - 0.08), (0.2 + 1.9 * wide, low - 0.3))  # fmt: skip
        things += [(tube(arc * (side, 1), 0.026), 190) for side in (RIGHT, LEFT)]
    if rng.random() < 0.12:
        x, top = rng.uniform(-0.12, 0.12), rng.uniform(-0.2, 0.3)
        things.append((tube(curve((x, top), (x, top + 1.0), (x, 2.6)), 0.035), 130))
    if things:
        layers.body += canvas.field(*things, weight=1.6)
