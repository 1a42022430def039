"""A simple lateral radiograph, so that a tree has views that a frontal study must leave out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shamsul.phantom.anatomy import View, curve, ellipse, stream, tube
from shamsul.phantom.canvas import Canvas
from shamsul.phantom.detector import Curve, attenuate, detect
from shamsul.phantom.patients import Study


def render_lateral(seed: int, study: Study, height: int = 320) -> NDArray[np.uint8]:
    """Draw the lateral radiograph of a study, the patient facing left: (height, width) uint8.

    Only the heart's size follows the study's findings; nothing else of them is drawn.
    """
    name = f"{study.patient_id}_study{study.number}_view2_lateral"
    build, view = study.build, View.of(seed, name, ap=False, height=height)
    canvas, base = Canvas(view), study.build.lung - view.inspiration
    fat = build.fat
    body = curve((-0.2, -1.0), (-0.25, -0.4), (-0.62, -0.1), (-0.85 - fat, 0.6), (-0.9 - fat, 1.4),
                 (-0.85 - fat, 3.0), (0.9 + fat, 3.0), (0.95 + fat, 1.2), (0.85 + fat, 0.2),
                 (0.45, -0.35), (0.35, -1.0))  # fmt: skip
    lung = curve((0.0, 0.0), (-0.3, 0.2), (-0.6, 0.6), (-0.72, 1.1), (-0.7, base + 0.05),
                 (-0.3, base - 0.02), (0.2, base + 0.05), (0.75, base + 0.4), (0.8, 1.0),
                 (0.62, 0.35), (0.3, 0.02), (0.0, 0.0))  # fmt: skip
    size = (0.62 if "Cardiomegaly" in study.findings else build.ctr) / 0.45
    heart = ellipse(-0.3, base - 0.32, 0.36 * size, 0.38 * size)
    bodies, _ = canvas.rounded(body, edge=0.15, depth=0.3)
    air, _ = canvas.rounded(lung, edge=0.35, depth=0.16)
    muscle, _ = canvas.rounded(heart, edge=0.5, depth=0.12)
    depth = bodies * 3.4 - 2.2 * air * (1 - 0.8 * muscle)
    y = np.arange(-0.9, 2.8, 0.175)
    middle = 0.62 + 0.12 * np.sin(1.5 * y)
    vertebra = np.array([(-0.12, -0.07), (0.12, -0.07), (0.12, 0.07), (-0.12, 0.07)])
    blocks = vertebra + np.stack([middle, y], 1)[:, None]
    bones = [(blocks, 170)]
    for number in range(9):
        top = 0.1 + build.spacing * number
        rib = curve((0.6, top), (0.2, top + 0.12), (-0.3, top + 0.32), (-0.65, top + 0.4))
        bones.append((tube(rib, 0.06), 60))
    depth += 0.6 * build.bone * canvas.field(*bones)
    attenuation = attenuate(depth, view, canvas)
    noise = stream(seed, name, "noise")
    return detect(attenuation, view, noise, Curve.of(attenuation, view))
