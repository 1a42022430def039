"""One phantom radiograph: anatomy, findings, detector, marker, masks and evidence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

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
IMAGINED_HEART = "Cardiomegaly", "Enlarged Cardiomediastinum"
"""Findings that a reader sees where heart and great vessels are, whatever their size."""


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
    return Drawing(seed, study, height).radiograph(marker, without)


@dataclass(frozen=True)
class _Projection:
    """The attenuation of a study with some of its findings, and where these are."""

    scene: Scene
    attenuation: Field
    masks: dict[str, Mask]


class Drawing:
    """The radiograph of one study, and what it would be without some of its findings.

    Parameters
    ----------
    seed : seed that with the study's image_id determines every pixel.
    study : study to draw.
    height : nominal height in pixels.
    """

    def __init__(self, seed: int, study: Study, height: int = 320) -> None:
        self.seed, self.study = seed, study
        self.view = View.of(seed, study.image_id, study.ap, height)
        self.canvas = Canvas(self.view)
        self._scenes: dict[tuple[float, float, bool], Scene] = {}

    def radiograph(self, marker: bool = False, without: Collection[str] = ()) -> Radiograph:
        """Return the radiograph, as `render` does."""
        present = {n: s for n, s in self.study.findings.items() if n not in without}
        shown = self._project(present) if without else self._whole
        image = self._image(shown) if without else self._whole_image.copy()
        masks = dict(shown.masks)
        if marker:
            masks[MARKER] = _burn(image, stream(self.seed, self.study.image_id, "marker"))
        ordered = {name: masks[name] for name in (*CLASSES, MARKER) if name in masks}
        return Radiograph(image, with_parents(present), ordered)

    def changes(self) -> dict[str, NDArray[np.uint8]]:
        """Return what each positive class alone changes, in grey levels: (height, width) by class.

        A class is left out with the findings that it is the parent of, all else being equal.
        """
        findings = self.study.findings
        found: dict[str, NDArray[np.uint8]] = {}
        changed: dict[tuple[str, ...], NDArray[np.uint8]] = {}
        for name in self._whole.masks:
            absent = tuple(finding for finding in findings if name in lineage(finding))
            if absent not in changed:
                present = {n: s for n, s in findings.items() if n not in absent}
                other = self._image(self._project(present))
                changed[absent] = np.abs(other - self._whole_image.astype(np.int16)).astype(
                    np.uint8
                )
            found[name] = changed[absent]
        return found

    def evidence(self) -> dict[str, Mask]:
        """Return the pixels that show each positive class: those that it alone changes.

        By more than `EVIDENT` grey levels. A mask as an expert draws it is another: of a large
        heart the whole heart, of which only the rim tells that it is large.

        Returns
        -------
        (height, width) bool for each class that has a mask; empty where a finding is hidden.
        """
        return {name: change > EVIDENT for name, change in self.changes().items()}

    def lungs(self) -> tuple[Mask, Mask]:
        """Return the shadows of the right and the left lung, each (height, width) bool."""
        right, left = (self._whole.scene.lung(side) > 0.5 for side in SIDES)
        return right, left

    def imagined(self, name: str, rng: np.random.Generator) -> Mask:
        """Return a place where a reader might see a finding, be it there or not."""
        scene = self._whole.scene
        if name in IMAGINED_HEART:
            return _heart(scene)[name]
        return FINDINGS[name](scene, rng.uniform(), rng).mask

    @cached_property
    def _whole(self) -> _Projection:
        return self._project(self.study.findings)

    @cached_property
    def _whole_image(self) -> NDArray[np.uint8]:
        return self._image(self._whole)

    @cached_property
    def _curve(self) -> Curve:
        return Curve.of(self._whole.attenuation, self.view)

    def _image(self, projection: _Projection) -> NDArray[np.uint8]:
        noise = stream(self.seed, self.study.image_id, "noise")
        return detect(projection.attenuation, self.view, noise, self._curve)

    def _scene(self, present: dict[str, float], breaks: list[Fracture]) -> Scene:
        """Return the chest with the findings that change the anatomy, and with no others."""
        build, study = self.study.build, self.study
        # The heart lies in front: it is magnified where the beam comes from the front.
        ctr = build.ctr * (1.06 if study.ap else 1)
        if "Cardiomegaly" in present:
            ctr = 0.55 + 0.11 * present["Cardiomegaly"]
        wide = present.get("Enlarged Cardiomediastinum")
        widening = build.aorta if wide is None else 1.75 + 0.6 * wide
        key = ctr, widening, bool(breaks)
        if key not in self._scenes:
            chest = Chest(build, self.view, ctr, widening)
            layers = project(self.canvas, chest, self.seed, study.patient_id, breaks)
            vary(layers, self.canvas, chest, self.seed, study)
            # From the study, not from what is present: leaving an effusion out moves nothing else.
            fluid = study.findings.get("Pleural Effusion")
            hidden = 0 if fluid is None else 0.1 + fluid_height(fluid)
            self._scenes[key] = Scene(self.canvas, chest, layers, hidden)
        return self._scenes[key]

    def _project(self, present: dict[str, float]) -> _Projection:
        patient, breaks = self.study.patient_id, []
        if "Fracture" in present:
            breaks = _breaks(present["Fracture"], stream(self.seed, patient, "Fracture"))
        scene = self._scene(present, breaks)
        layers, masks = scene.layers, _anatomical_masks(scene, breaks, present)
        keep, tissue, add = None, layers.tissue, None
        for name, draw in FINDINGS.items():
            if name not in present:
                continue
            effect = draw(scene, present[name], stream(self.seed, patient, name))
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
        return _Projection(scene, attenuate(depth, self.view, self.canvas), masks)


def _breaks(severity: float, rng: np.random.Generator) -> list[Fracture]:
    """Break three to five neighbouring ribs of one side in one line, most with callus."""
    side, first = int(rng.choice(SIDES)), int(rng.integers(1, 4))
    place = rng.uniform(0.36, 0.62)
    return [
        Fracture(
            rib=first + number,
            side=side,
            place=float(np.clip(place + rng.normal(0, 0.03), 0.3, 0.9)),
            step=rng.uniform(0.13, 0.17),
            callus=rng.uniform(0.1, 0.13) if rng.random() < 0.85 else 0.0,
        )
        for number in range(3 + round(2 * severity))
    ]


def _anatomical_masks(
    scene: Scene, breaks: list[Fracture], present: dict[str, float]
) -> dict[str, Mask]:
    """Return masks of changed anatomy: heart, mediastinum with heart, broken ribs."""
    masks: dict[str, Mask] = {}
    if {"Cardiomegaly", "Enlarged Cardiomediastinum"} & present.keys():
        masks = _heart(scene)
        if "Cardiomegaly" not in present:
            del masks["Cardiomegaly"]
    if breaks:
        spots = [ellipse(*break_point(scene.chest, b), 0.17, 0.13) for b in breaks]
        masks["Fracture"] = scene.canvas.fill(*spots) > 0.5
    return masks


def _heart(scene: Scene) -> dict[str, Mask]:
    """Return the shadows of the heart, and of the mediastinum with it, by what enlarges them."""
    heart, y = scene.layers.heart > 0.5, scene.canvas.grid[1]
    lowest = scene.chest.heart[:, 1].max() - 0.1
    middle = (scene.layers.mediastinum > 0.5) & (y > 0.08) & (y < lowest)
    return {"Cardiomegaly": heart, "Enlarged Cardiomediastinum": middle | heart}


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
