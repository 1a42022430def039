"""Attenuation of a healthy chest along the beam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shamsul.phantom.anatomy import (
    LEFT,
    RIGHT,
    Chest,
    Field,
    Points,
    curve,
    ellipse,
    stream,
    tube,
)
from shamsul.phantom.canvas import Canvas

SIDES = (RIGHT, LEFT)


@dataclass(frozen=True)
class Fracture:
    """A broken rib: its place on the rib's line (0-1), the gap of its ends, size of its callus."""

    rib: int
    side: int
    place: float
    step: float
    callus: float


@dataclass
class Layers:
    """Optical depths of a radiograph, kept apart so that disease can change each.

    Attributes
    ----------
    body : soft tissue and bone, all but lungs.
    air : attenuation that the lungs' air takes away from it.
    tissue : vessels and texture of the lungs, part of `air`'s region.
    lungs : 0-1, shadow of both lungs, what heart and mediastinum hide included.
    heart, mediastinum : 0-1, their shadows.
    """

    body: Field
    air: Field
    tissue: Field
    lungs: Field
    heart: Field
    mediastinum: Field


def project(
    canvas: Canvas, chest: Chest, seed: int, patient_id: str, breaks: list[Fracture]
) -> Layers:
    """Project all layers of a chest without disease of lung and pleura."""
    depth, lungs = canvas.rounded(*(chest.lung(side) for side in SIDES), edge=0.35, depth=0.16)
    heart_depth, heart = canvas.rounded(chest.heart, edge=0.6, depth=0.16)
    middle_depth, middle = canvas.rounded(chest.mediastinum, edge=0.55, depth=0.08)
    heart_depth *= 0.92
    middle_depth *= 0.9
    air = depth
    air *= 2.1 * (1 - np.maximum(heart_depth, middle_depth, out=heart_depth))
    tissue = vessels(canvas, chest, stream(seed, patient_id, "vessels"))
    tissue += 0.025 * canvas.cloud(stream(seed, patient_id, "texture"), 0.05)
    tissue *= np.minimum(2 * air, 1)
    body = _soft_tissue(canvas, chest)
    body += _skeleton(canvas, chest, breaks)
    body -= _airways(canvas, chest, stream(seed, patient_id, "stomach"))
    return Layers(body, air, tissue, lungs, heart, middle)


def _soft_tissue(canvas: Canvas, chest: Chest) -> Field:
    build, fat = chest.build, chest.build.fat
    half = curve((0.36, -1.2), (0.34, -0.62), (0.40, -0.42), (0.72, -0.27), (1.02, -0.16),
                 (1.34, 0.02), (1.38, 0.35), (1.12 + fat, 0.8), (1.05 + fat, 1.4),
                 (1.06 + 1.2 * fat, 2.2), (1.08 + 1.4 * fat, 3.4))  # fmt: skip
    arm = curve((0.9, -0.14), (1.28, -0.1), (1.52, 0.1), (1.56 + fat / 2, 0.7),
                (1.68 + fat, 1.7), (1.85 + fat, 3.2), (1.45 + fat, 3.2), (1.34 + fat, 1.8),
                (1.22 + fat / 2, 0.9), (1.12, 0.5), (0.9, 0.3))  # fmt: skip
    torso = np.concatenate([half, half[::-1] * (-1, 1)])
    trunk, _ = canvas.rounded(torso, edge=0.12, depth=0.28)
    arms, _ = canvas.rounded(arm, arm * (-1, 1), edge=0.2, depth=0.12)
    # The neck is thin, the abdomen dense and thick. It changes slowly: every eighth pixel will do.
    y = canvas.grid[1][::8, ::8]
    thickness = 2.75 + 0.9 * fat - 0.8 * np.clip(0.1 - y, 0, 1)
    thickness += 0.35 * np.clip(y - chest.dome(RIGHT), 0, 1)
    trunk *= canvas.enlarged(thickness, 8)
    arms *= 1.9
    body = np.maximum(trunk, arms, out=trunk)
    if build.breast:
        size = 0.26 + 0.16 * build.breast
        breasts = [ellipse(s * 0.56, 1.16 + 0.3 * build.breast, size * 1.25, size) for s in SIDES]
        shadow, _ = canvas.rounded(*breasts, edge=0.1, depth=0.12)
        shadow *= 0.12 + 0.28 * build.breast
        body += shadow
    return body


def _skeleton(canvas: Canvas, chest: Chest, breaks: list[Fracture]) -> Field:
    build, turn = chest.build, chest.view.turn
    lines, width = chest.ribs
    back = lines[:, :, :26]
    whole = np.ones(back.shape[:2], bool)
    behind: list[tuple[Points, int]] = []
    for number, side in {(b.rib, b.side) for b in breaks}:
        index = number, SIDES.index(side)
        whole[index] = False
        broken = [b for b in breaks if (b.rib, b.side) == (number, side)]
        for piece in _pieces(back[index], broken):
            behind += _hollow(piece, width[number], 110, 180)
    each = np.broadcast_to(width[:, None], whole.shape)
    behind += _hollow(back[whole], each[whole][:, None, None], 110, 180)
    front = _hollow(lines[:7, :, 24:], 1.1 * width[:7, None, None, None], 65, 110)
    bones = canvas.field(*behind, weight=0.55)
    bones += canvas.field(*front, weight=0.55)
    if breaks:
        bones += canvas.field(*((_callus(chest, b), 255) for b in breaks if b.callus), weight=1.3)

    y = np.arange(-0.9, 2.8, 0.175)
    middle = build.scoliosis * np.sin(2.2 * y) + turn
    half = 0.105 + 0.02 * np.maximum(y, 0)
    corners = np.array([(-1, -1), (-0.82, 0), (-1, 1), (1, 1), (0.82, 0), (1, -1)])
    centre, size = np.stack([middle, y], 1)[:, None], np.stack([half, 0 * y + 0.072], 1)[:, None]
    pedicles = [ellipse(0, 0, 0.026, 0.036) + centre + side * size * (0.6, 0) for side in SIDES]
    spine = [(corners * size + centre, 185), (corners * (size - 0.014) + centre, 140),
             *((pedicle, 180) for pedicle in pedicles)]  # fmt: skip

    out = 0.16 if chest.view.ap else 0.0
    girdle: list[tuple[Points, int]] = [(tube(curve((-turn, 0.08), (-turn, 1.2)), 0.2), 30)]
    blade = curve((1.2, 0.02), (1.08 - out, 0.0), (0.95 - out, 0.28), (1.04 - out, 0.88),
                  (1.13 - out, 0.8), (1.16, 0.4), (1.24, 0.15))  # fmt: skip
    humerus = curve((1.33, 0.06), (1.37, 0.3), (1.44, 0.9), (1.58, 2.0), (1.7, 3.2))
    clavicle = curve((0.13, 0.10), (0.32, 0.09), (0.55, 0.0), (0.8, -0.07), (1.1, -0.1))
    for side in SIDES:
        girdle += [(blade * (side, 1), 60), (tube(blade, -0.04) * (side, 1), 70)]
        girdle += _hollow(humerus * (side, 1), 0.13, 90, 190)
        girdle.append((ellipse(side * 1.32, 0.06, 0.13, 0.14), 130))
        collar = clavicle * (side, 1) - (0.6 * turn, 0.03 if chest.view.ap else 0)
        girdle += _hollow(collar, 0.085, 110, 165)
    bones += canvas.field(*girdle, *spine, weight=0.5)
    bones *= build.bone
    return bones


def _hollow(line: Points, width: Any, marrow: int, cortex: int) -> list[tuple[Points, int]]:
    """Draw a long bone: its edges, where the beam runs along the cortex, are denser.

    Or many of them: lines (..., n, 2), widths that broadcast with (..., 1, 1).
    """
    return [(tube(line, width), cortex), (tube(line, width - 0.026), marrow)]


def _pieces(line: Points, broken: list[Fracture]) -> list[Points]:
    """Cut a rib's line where it is broken; the outer end drops away from the inner one."""
    start, pieces, line = 0, [], line.copy()
    for fracture in sorted(broken, key=lambda b: b.place):
        cut = round(fracture.place * (len(line) - 1))
        pieces.append(line[start:cut])
        start = cut + 1
        away = np.hypot(*(line[start:] - line[cut]).T)
        line[start:, 1] += fracture.step * np.exp(-away / 0.1)
    return [*pieces, line[start:]]


def break_point(chest: Chest, fracture: Fracture) -> tuple[float, float]:
    """Return the point where a rib is broken, in chest coordinates."""
    lines, _ = chest.ribs
    x, y = lines[fracture.rib, SIDES.index(fracture.side), round(fracture.place * 25)]
    return x, y + fracture.step / 2


def _callus(chest: Chest, fracture: Fracture) -> Points:
    return ellipse(*break_point(chest, fracture), fracture.callus * 1.5, fracture.callus * 0.75)


def _airways(canvas: Canvas, chest: Chest, rng: np.random.Generator) -> Field:
    """Draw windpipe, main bronchi and the bubble of the stomach: air outside the lungs."""
    turn = chest.view.turn
    trachea = tube(curve((-turn, -1.2), (-turn - 0.01, 0.3), (-turn - 0.02, 0.62)), 0.115)
    right = tube(curve((-turn - 0.02, 0.58), (-0.1, 0.68), (-0.2, 0.8)), 0.075)
    left = tube(curve((-turn - 0.02, 0.58), (0.1, 0.68), (0.22, 0.76)), 0.065)
    shapes = [(trachea, 165), (right, 100), (left, 100)]
    bubble = ellipse(rng.uniform(0.35, 0.6), chest.dome(LEFT) + rng.uniform(0.2, 0.3),
                     rng.uniform(0.09, 0.2), rng.uniform(0.06, 0.11))  # fmt: skip
    if rng.random() < 0.6:
        shapes.append((bubble, 230))
    return canvas.field(*shapes, weight=0.75)


def vessels(canvas: Canvas, chest: Chest, rng: np.random.Generator) -> Field:
    """Draw pulmonary vessels: branches that leave the hila, taper, and divide."""
    shapes: list[tuple[Points, int]] = []
    for side in SIDES:
        hilum = chest.hilum(side)
        heading = np.linspace(-1.25, 1.35, 9) + rng.normal(0, 0.1, 9)
        start = np.array(hilum) + rng.normal(0, 0.03, (9, 2))
        length, width = rng.uniform(0.2, 0.34, 9), 0.03
        for generation in range(3):
            bend = heading[:, None] + rng.normal(0, 0.35, (len(heading), 1)) * np.linspace(0, 1, 5)
            bend = bend + 0.12 * (bend > 0.3)  # gravity: lower vessels hang
            step = np.stack([side * np.cos(bend), np.sin(bend)], 2) * (length / 5)[:, None, None]
            lines = start[:, None] + np.concatenate([0 * step[:, :1], step.cumsum(1)], 1)
            taper = np.linspace(width, width * 0.72, 6)[:, None]
            shapes.append((tube(lines, taper), 150 - 24 * generation))
            children = 2
            fork = rng.uniform(0.25, 0.55, (children, len(heading))) * np.array([[1], [-1]])
            heading = (bend[:, -1] + fork).ravel()
            start = np.tile(lines[:, -1], (children, 1))
            length = np.tile(length, children) * rng.uniform(0.6, 0.9, len(heading))
            width *= 0.68
        shapes.append((_hilum(hilum, side), 95))
    return canvas.field(*shapes, weight=0.5)


def _hilum(place: tuple[float, float], side: int) -> Points:
    x, y = place
    return tube(curve((x, y - 0.14), (x + side * 0.05, y), (x + side * 0.03, y + 0.2)), 0.1)
