"""Hardware on and in the chest: midlines, widths and densities of its parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shamsul.phantom.anatomy import LEFT, RIGHT, Chest, Points, curve

Part = tuple[Points, float, int]
"""A part of a device: midline in chest coordinates, width, and grey value (255 the densest)."""


def tracheal_tube(chest: Chest, rng: np.random.Generator) -> list[Part]:
    """Draw an endotracheal tube: two walls, ending above the carina."""
    x, tip = -chest.view.turn, rng.uniform(0.3, 0.45)
    return [(curve((x + side, -0.9), (x + side, tip)), 0.03, 190) for side in (-0.028, 0.028)]


def central_line(chest: Chest, rng: np.random.Generator) -> list[Part]:
    """Draw a catheter from the neck, the subclavian vein or the arm (PICC) to the vena cava."""
    tip = (-0.14 - chest.view.turn, rng.uniform(0.7, 0.95))
    way = [
        [(-0.3, -0.5), (-0.24, -0.1), (-0.18, 0.25)],
        [(-0.9, 0.12), (-0.6, 0.02), (-0.35, 0.08), (-0.19, 0.28)],
        [(-1.35, 0.9), (-1.2, 0.35), (-0.8, 0.06), (-0.4, 0.07), (-0.19, 0.3)],
        [(0.9, 0.12), (0.55, 0.02), (0.25, 0.12), (-0.05, 0.28), (-0.15, 0.42)],
    ][int(rng.integers(4))]
    return [(curve(*way, tip), 0.036, 200)]


def pacemaker(chest: Chest, rng: np.random.Generator) -> list[Part]:
    """Draw a generator under the left clavicle, one or two leads to the heart."""
    x, y = rng.uniform(0.66, 0.8), rng.uniform(0.22, 0.36)
    box = curve((x - 0.1, y), (x - 0.05, y), (x + 0.05, y), (x + 0.1, y), steps=2)
    top = rng.uniform(-0.03, 0.03)
    route = [(x - 0.08, y - 0.06), (0.4, 0.05 + top), (0.12, 0.2), (-0.13, 0.5), (-0.18, 0.95)]
    base = chest.dome(LEFT)
    leads: list[Part] = [(curve(*route, (-0.05, base - 0.16), (0.34, base - 0.08)), 0.03, 220)]
    if rng.random() < 0.5:
        leads.append((curve(*route, (-0.2, base - 0.38)), 0.03, 220))
    return [*leads, (box, 0.19, 235)]


def electrodes(chest: Chest, rng: np.random.Generator) -> list[Part]:
    """Draw ECG electrodes with snaps and wires that leave over the body."""
    parts: list[Part] = []
    for x, y in ((-0.75, 0.2), (0.75, 0.2), (-0.7, 1.45), (0.72, 1.5), (0.1, 0.75)):
        x, y = x + rng.normal(0, 0.07), y + rng.normal(0, 0.07)
        parts.append((curve((x - 0.045, y), (x + 0.045, y), steps=3), 0.085, 215))
        end = (x + np.sign(x) * rng.uniform(0.2, 0.5), y + rng.uniform(0.5, 1.0))
        parts.append((curve((x, y), (x + rng.normal(0, 0.15), y + 0.35), end), 0.024, 130))
    return parts


def chest_tube(chest: Chest, rng: np.random.Generator) -> list[Part]:
    """Draw a drain from the lateral wall up to the apex."""
    side = int(rng.choice((RIGHT, LEFT)))
    tip = rng.uniform(0.25, 0.5)
    line = curve((1.25, 1.45), (0.98, 1.2), (0.78, 0.9), (0.62, 0.55), (0.45, tip))
    return [(line * (side, 1), 0.05, 165)]


def gastric_tube(chest: Chest, rng: np.random.Generator) -> list[Part]:
    """Draw a feeding tube down the oesophagus into the stomach."""
    x, base = 0.04 - chest.view.turn, chest.dome(LEFT)
    end = (rng.uniform(0.35, 0.5), base + 0.3)
    return [(curve((x, -0.9), (x, 0.3), (x + 0.02, 1.0), (0.1, base + 0.05), end), 0.036, 190)]


Device = Callable[[Chest, np.random.Generator], list[Part]]
IN_BED: tuple[Device, ...] = (
    tracheal_tube, central_line, central_line, pacemaker, electrodes, chest_tube, gastric_tube,
)  # fmt: skip
ON_FOOT: tuple[Device, ...] = (pacemaker, central_line)
