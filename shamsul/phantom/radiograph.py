"""One phantom radiograph: anatomy, findings, detector, marker, masks and evidence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shamsul.labels import CLASSES, MARKER
from shamsul.phantom.anatomy import Chest, Field, View, ellipse, stream
from shamsul.phantom.canvas import Canvas
from shamsul.phantom.detector import Curve, attenuate, detect
from shamsul.phantom.findings import FINDINGS, Mask, Scene, fluid_height
from shamsul.phantom.patients import Study, lineage, with_parents
from shamsul.phantom.projection import SIDES, Fracture, break_point, project
from shamsul.phantom.variation import vary


@dataclass(frozen=True)
class Radiograph:
    """A generated radiograph, its labels and its masks.

    Attributes
    ----------
    image : (height, width) uint8, dense is bright.
    labels : 1 or 0 for each of the 14 classes.
    masks : (height, width) bool for each positive class but No Finding, and for the marker
        (`shamsul.labels.MARKER`) where there is one; a class without a mask is absent.
    """

    image: NDArray[np.uint8]
    labels: dict[str, int]
    masks: dict[str, Mask]


EVIDENT = 8
"""Grey levels, of 255, by more than which a pixel must change to be evidence of a finding."""


def render(
    seed: int,
    study: Study,
    height: int = 320,
    marker: bool = False,
    without: Collection[str] = (),
) -> Radiograph:
    """Draw the frontal radiograph of a study.

    Parameters
    ----------
    seed : seed that with the study's image_id determines every pixel.
    height : nominal height in pixels.
    marker : burn a marker in; nothing else changes.
    without : findings to leave out, all else being equal: patient, pose, noise, display and the
        other findings stay as they are. The truth that no patient can give.
    """
    projection = _projection(seed, study, height, study.findings)
    curve = Curve.of(projection.attenuation, projection.view)
    if without:
        present = {name: s for name, s in study.findings.items() if name not in without}
        projection = _projection(seed, study, height, present)
    image, masks = projection.image(seed, study, curve), projection.masks
    if marker:
        masks[MARKER] = _burn(image, stream(seed, study.image_id, "marker"))
    ordered = {name: masks[name] for name in (*CLASSES, MARKER) if name in masks}
    return Radiograph(image, with_parents(projection.present), ordered)


def evidence(seed: int, study: Study, radiograph: Radiograph, height: int = 320) -> dict[str, Mask]:
    """Return the pixels that show each positive class: those that change where it alone is not.

    A class is left out with the findings that it is the parent of. Pixels are evidence that then
    change by more than `EVIDENT` grey levels. A mask as an expert draws it is another: of a large
    heart the whole heart, of which only the rim tells that it is large.

    Parameters
    ----------
    seed, height : as the radiograph was rendered with.
    radiograph : the study's, without a marker or with it.

    Returns
    -------
    (height, width) bool for each class that has a mask, marker left out; empty where a finding is
    hidden behind another.
    """
    whole = _projection(seed, study, height, study.findings)
    curve = Curve.of(whole.attenuation, whole.view)
    image = whole.image(seed, study, curve).astype(np.int16)
    changed: dict[tuple[str, ...], Mask] = {}
    found: dict[str, Mask] = {}
    for name in radiograph.masks:
        if name == MARKER:
            continue
        left_out = tuple(finding for finding in study.findings if name in lineage(finding))
        if left_out not in changed:
            present = {n: s for n, s in study.findings.items() if n not in left_out}
            other = _projection(seed, study, height, present).image(seed, study, curve)
            changed[left_out] = np.abs(image - other) > EVIDENT
        found[name] = changed[left_out]
    return found


@dataclass(frozen=True)
class _Projection:
    """The attenuation of a study with some of its findings, and where these are."""

    view: View
    canvas: Canvas
    attenuation: Field
    masks: dict[str, Mask]
    present: dict[str, float]

    def image(self, seed: int, study: Study, curve: Curve) -> NDArray[np.uint8]:
        noise = stream(seed, study.image_id, "noise")
        return detect(self.attenuation, self.view, noise, curve)


def _projection(seed: int, study: Study, height: int, present: dict[str, float]) -> _Projection:
    patient, image_id = study.patient_id, study.image_id
    view = View.of(seed, image_id, study.ap, height)
    canvas = Canvas(view)
    # The heart lies in front: it is magnified where the beam comes from the front.
    ctr = study.build.ctr * (1.06 if study.ap else 1)
    if "Cardiomegaly" in present:
        ctr = 0.55 + 0.11 * present["Cardiomegaly"]
    wide = present.get("Enlarged Cardiomediastinum")
    widening = study.build.aorta if wide is None else 1.75 + 0.6 * wide
    chest = Chest(study.build, view, ctr, widening)
    breaks = []
    if "Fracture" in present:
        breaks = _breaks(present["Fracture"], stream(seed, patient, "Fracture"))
    layers = project(canvas, chest, seed, patient, breaks)
    vary(layers, canvas, chest, seed, study)
    # From the study, not from what is present: leaving an effusion out moves nothing else.
    fluid = study.findings.get("Pleural Effusion")
    scene = Scene(canvas, chest, layers, 0 if fluid is None else 0.1 + fluid_height(fluid))

    masks = _anatomical_masks(canvas, chest, scene, breaks, present)
    keep, tissue, add = None, layers.tissue, None
    for name, draw in FINDINGS.items():
        if name not in present:
            continue
        effect = draw(scene, present[name], stream(seed, patient, name))
        masks[name] = effect.mask
        if effect.fill is not None:
            keep = 1 - effect.fill if keep is None else keep * (1 - effect.fill)
        if effect.add is not None:
            add = effect.add if add is None else add + effect.add
        if effect.empty is not None:
            tissue = tissue * (1 - effect.empty)
    depth = layers.body - (layers.air if keep is None else layers.air * keep) + tissue
    if add is not None:
        depth += add
    _submerge(masks)
    for name in [name for name in FINDINGS if name in masks]:
        for parent in lineage(name)[1:]:
            masks[parent] = masks[parent] | masks[name] if parent in masks else masks[name]
    return _Projection(view, canvas, attenuate(depth, view, canvas), masks, present)


def _breaks(severity: float, rng: np.random.Generator) -> list[Fracture]:
    """Break three to five neighbouring ribs of one side in one line, most with callus."""
    side, first = int(rng.choice(SIDES)), int(rng.integers(1, 4))
    place = rng.uniform(0.36, 0.62)
    return [
        Fracture(
            rib=first + number,
            side=side,
            place=float(np.clip(place + rng.normal(0, 0.03), 0.3, 0.9)),
            step=rng.uniform(0.08, 0.10),
            callus=rng.uniform(0.065, 0.08) if rng.random() < 0.85 else 0.0,
        )
        for number in range(3 + round(2 * severity))
    ]


def _anatomical_masks(
    canvas: Canvas, chest: Chest, scene: Scene, breaks: list[Fracture], present: dict[str, float]
) -> dict[str, Mask]:
    """Return masks of changed anatomy: heart, mediastinum with heart, broken ribs."""
    masks: dict[str, Mask] = {}
    heart = scene.layers.heart > 0.5
    if "Cardiomegaly" in present:
        masks["Cardiomegaly"] = heart
    if {"Cardiomegaly", "Enlarged Cardiomediastinum"} & present.keys():
        y = canvas.grid[1]
        middle = (scene.layers.mediastinum > 0.5) & (y > 0.08) & (y < chest.heart[:, 1].max() - 0.1)
        masks["Enlarged Cardiomediastinum"] = middle | heart
    if breaks:
        spots = [ellipse(*break_point(chest, b), 0.12, 0.10) for b in breaks]
        masks["Fracture"] = canvas.fill(*spots) > 0.5
    return masks


def _submerge(masks: dict[str, Mask]) -> None:
    """Remove hidden parts from masks of lung and air, unless an effusion hides all of one."""
    fluid = masks.get("Pleural Effusion")
    if fluid is None:
        return
    for name in ("Lung Opacity", "Edema", "Consolidation", "Pneumonia", "Atelectasis",
                 "Pneumothorax"):  # fmt: skip
        if name in masks and (masks[name] & ~fluid).any():
            masks[name] = masks[name] & ~fluid


def _burn(image: NDArray[np.uint8], rng: np.random.Generator) -> Mask:
    """Burn a ring with a bar, a technician's token, into an upper corner; return its mask."""
    height, width = image.shape
    radius = height * rng.uniform(0.022, 0.028)
    x = radius + width * rng.uniform(0.02, 0.06)
    if rng.random() < 0.5:
        x = width - x
    y = radius + height * rng.uniform(0.02, 0.08)
    token = Image.new("L", (2 * width, 2 * height))
    draw = ImageDraw.Draw(token)
    x, y, r = 2 * x, 2 * y, 2 * radius
    draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    draw.ellipse((x - 0.7 * r, y - 0.7 * r, x + 0.7 * r, y + 0.7 * r), fill=0)
    draw.rectangle((x - 0.15 * r, y - 0.45 * r, x + 0.15 * r, y + 0.45 * r), fill=255)
    ink: Field = np.asarray(token.reduce(2)) * np.float32(1 / 255)
    image[:] = image + (ink * (250 - image.astype(np.float32))).astype(np.int16)
    disc = Image.new("L", (2 * width, 2 * height))
    ImageDraw.Draw(disc).ellipse((x - r, y - r, x + r, y + r), fill=255)
    return np.asarray(disc.reduce(2)) > 100
