"""Generated radiographs as a CheXpert and CheXlocalize tree, with the published names and traps.

``shamsul phantom export DIR`` writes what somebody who has both archives finds on disk:
`val_labels.csv` says ``CheXpert-v1.0/valid/...`` and the folder is ``CheXpert/val``;
CheXlocalize says "Airspace Opacity" for "Lung Opacity" and lists only images with a finding.
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from skimage.measure import find_contours

from shamsul.data.adapters.phantom import PHANTOM_FILES, Confounder, PhantomSource
from shamsul.errors import InputError
from shamsul.job.progress import track
from shamsul.labels import CHEXLOCALIZE_NAMES, CLASSES, LOCALISED, MARKER
from shamsul.phantom.anatomy import stream
from shamsul.phantom.findings import Mask
from shamsul.phantom.lateral import render_lateral
from shamsul.phantom.patients import Study, reported_labels, studies
from shamsul.phantom.radiograph import Drawing, Radiograph
from shamsul.phantom.second_reader import Points, second_reading
from shamsul.settings import SPLITS, Split, unknown
from shamsul.storage.files import replacing

logger = logging.getLogger(__name__)

FIRST_PATIENT: dict[Split, int] = {"train": 1, "tune": 80_001, "test": 90_001}
"""Number of each split's first patient. Numbers go up to the next split's, or to five digits."""
FOLDER: dict[Split, tuple[str, str]] = {
    "train": ("CheXpert-v1.0-small/train", "CheXpert-v1.0-small/train"),
    "tune": ("CheXpert/val", "CheXpert-v1.0/valid"),
    "test": ("CheXpert/test", "test"),
}
"""Folder of a split's images on disk, and its name in the CSV file."""
ABOUT = ("Sex", "Age", "Frontal/Lateral", "AP/PA")

_TO_CHEXLOCALIZE = {ours: theirs for theirs, ours in CHEXLOCALIZE_NAMES.items()}


def patient_names(split: Split, count: int) -> list[str]:
    """Return the names of a split's patients; no two splits share one.

    Raises
    ------
    InputError
        More patients than the split has numbers for.
    """
    first = FIRST_PATIENT[split]
    end = min([n for n in FIRST_PATIENT.values() if n > first], default=100_000)
    if count > end - first:
        raise InputError(f"patients.{split}: {count} patients; at most {end - first} are possible")
    return [f"patient{number:05d}" for number in range(first, first + count)]


def has_marker(seed: int, study: Study, split: Split, confounder: Confounder | None) -> bool:
    """Return whether a radiograph bears the confounding marker."""
    if confounder is None:
        return False
    if split != "test":
        shown = study.labels[confounder.class_name]
        probability = confounder.with_class if shown else confounder.without_class
    else:
        probability = confounder.broken
    return bool(stream(seed, study.image_id, "confounder").random() < probability)


def export(
    directory: str | Path,
    seed: int,
    source: PhantomSource,
    lateral: bool = False,
    annotations: bool = False,
    workers: int = 1,
) -> None:
    """Write the phantoms of a source as a CheXpert and CheXlocalize tree.

    The files are those of `PHANTOM_FILES`, and the JPEG images that they name; a split without
    patients has its files, without entries. Equal arguments give equal bytes, whatever the number
    of workers.

    Parameters
    ----------
    directory : made if need be; files of the same name are replaced, each at once.
    seed : seed of everything; it is not taken from the source.
    lateral : add a lateral view to every third study. Laterals have no masks.
    annotations : add `gt_annotations_*.json`, the masks as polygons. A polygon cannot express a
        hole: it is filled there.
    workers : processes.

    Raises
    ------
    InputError
        An unknown class in the confounder, or too many patients.
    """
    directory = Path(directory)
    if source.confounder is not None and source.confounder.class_name not in CLASSES:
        raise InputError(f"confounder.class_name: {unknown(source.confounder.class_name, CLASSES)}")
    names = {split: patient_names(split, source.patients.get(split, 0)) for split in SPLITS}
    for split in SPLITS:
        course = [study for name in names[split] for study in studies(seed, name)]
        make = partial(_write_study, directory, seed, split, source, lateral, annotations)
        if workers > 1:
            with ProcessPoolExecutor(workers) as pool:
                done = pool.map(make, course, chunksize=8)
                written = list(track(done, f"phantom {split}", len(course)))
        else:
            written = [make(study) for study in track(course, f"phantom {split}")]
        if hidden := [place for one in written for place in one.hidden]:
            logger.warning(
                "phantom %s: %d findings change no pixel visibly, such as %s; they have an outline "
                "and no evidence", split, len(hidden), hidden[0],
            )  # fmt: skip
        _write_tables(directory, split, written, annotations)


@dataclass(frozen=True)
class _Written:
    """The entries of one study in the tables."""

    image_id: str
    rows: list[dict[str, Any]]
    segmentations: dict[str, Any] | None = None
    evidence: dict[str, Any] | None = None
    marker: dict[str, Any] | None = None
    polygons: dict[str, Any] | None = None
    reader: dict[str, Any] | None = None
    points: Points | None = None
    hidden: tuple[str, ...] = ()


def _write_study(
    directory: Path,
    seed: int,
    split: Split,
    source: PhantomSource,
    lateral: bool,
    annotations: bool,
    study: Study,
) -> _Written:
    marked = has_marker(seed, study, split, source.confounder)
    drawing = Drawing(seed, study, source.height)
    radiograph = drawing.radiograph(marked)
    if split == "train":
        labels = reported_labels(seed, study)
    else:
        labels = {name: float(value) for name, value in study.labels.items()}
    folder, called = FOLDER[split]
    place = f"{study.patient_id}/study{study.number}"
    frontal = f"{place}/view1_frontal.jpg"
    about = {"Sex": study.build.sex, "Age": study.age, **labels}
    view = {"Frontal/Lateral": "Frontal", "AP/PA": "AP" if study.ap else "PA"}
    _write_jpeg(radiograph.image, directory / folder / frontal)
    rows = [{"Path": f"{called}/{frontal}", **about, **view}]
    if lateral and (int(study.patient_id.removeprefix("patient")) + study.number) % 3 == 0:
        side = f"{place}/view2_lateral.jpg"
        _write_jpeg(render_lateral(seed, study, source.height), directory / folder / side)
        rows.append({"Path": f"{called}/{side}", **about, "Frontal/Lateral": "Lateral"})
    if split == "train":
        return _Written(study.image_id, rows)
    positive = any(name in radiograph.masks for name in LOCALISED)
    evidence = drawing.evidence() if positive else {}
    shown = replace(radiograph, masks=evidence)
    hidden = (name for name in LOCALISED if name in evidence and not evidence[name].any())
    reader, points = human_benchmark(drawing, radiograph) if split == "test" else (None, None)
    return _Written(
        study.image_id,
        rows,
        segmentations=segmentations(radiograph, LOCALISED) if positive else None,
        evidence=segmentations(shown, LOCALISED) if positive else None,
        marker=segmentations(radiograph, (MARKER,)) if marked else None,
        polygons=polygons(radiograph) if annotations and positive else None,
        reader=reader,
        points=points,
        hidden=tuple(f"{name} of {study.image_id}" for name in hidden),
    )


def human_benchmark(drawing: Drawing, radiograph: Radiograph) -> tuple[dict[str, Any], Points]:
    """Return the simulated reader's masks and points, as CheXlocalize's human benchmark has them.

    Unlike there, radiographs without a finding are read too, so that false alarms are known.
    """
    again, points = second_reading(drawing, radiograph, LOCALISED)
    named = {_TO_CHEXLOCALIZE.get(name, name): xy for name, xy in points.items()}
    return segmentations(again, LOCALISED), named


def segmentations(radiograph: Radiograph, classes: Sequence[str]) -> dict[str, Any]:
    """Return masks as CheXlocalize's `gt_segmentations` has them: COCO run lengths by class."""
    masks = np.zeros((*radiograph.image.shape, len(classes)), np.uint8, order="F")
    for index, name in enumerate(classes):
        if name in radiograph.masks:
            masks[:, :, index] = radiograph.masks[name]
    return {
        _TO_CHEXLOCALIZE.get(name, name): {
            "size": list(radiograph.image.shape),
            "counts": run["counts"].decode(),
        }
        for name, run in zip(classes, coco.encode(masks), strict=True)
    }


def polygons(radiograph: Radiograph) -> dict[str, Any]:
    """Return masks as CheXlocalize's `gt_annotations` has them: positive classes only."""
    drawn = {
        _TO_CHEXLOCALIZE.get(name, name): list(outlines(radiograph.masks[name]))
        for name in LOCALISED
        if name in radiograph.masks
    }
    return {"img_size": list(radiograph.image.shape), **drawn}


def outlines(mask: Mask) -> Iterator[list[list[float]]]:
    """Yield polygons [[x, y], ...] through the outermost pixels of each part of a mask.

    PIL draws them back with ``polygon(outline=1, fill=1)``; holes are filled.
    """
    padded = np.pad(mask, 1).astype(np.float32)
    # Just outside the pixels of the mask, so that rounding gives those pixels themselves.
    for contour in find_contours(padded, 0.99, fully_connected="high"):
        points = np.round(contour[:, ::-1]) - 1
        points = points[np.r_[True, (np.diff(points, axis=0) != 0).any(axis=1)]]
        x, y = contour[:, 1], contour[:, 0]
        if np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) < 0:
            continue  # runs the other way round: the edge of a hole
        yield [[float(x), float(y)] for x, y in (points if len(points) > 2 else [*points] * 3)]


def _write_jpeg(image: NDArray[np.uint8], path: Path) -> None:
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="JPEG", quality=95)


def _write_tables(
    directory: Path, split: Split, written: list[_Written], annotations: bool
) -> None:
    files = PHANTOM_FILES[split]
    columns = ("Path", *ABOUT, *CLASSES) if split == "train" else ("Path", *CLASSES, *ABOUT)
    with replacing(directory / files["labels"]) as temporary, temporary.open("w") as file:
        table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(row for study in written for row in study.rows)
    if split == "train":
        return
    contents = {
        files["masks"]: {w.image_id: w.segmentations for w in written if w.segmentations},
        files["evidence"]: {w.image_id: w.evidence for w in written if w.evidence},
        files["markers"]: {w.image_id: w.marker for w in written if w.marker},
    }
    if split == "test":
        contents[files["reader"]] = {w.image_id: w.reader for w in written if w.reader}
        contents[files["points"]] = {w.image_id: w.points for w in written if w.points}
    if annotations:
        name = files["masks"].replace("gt_segmentations", "gt_annotations")
        contents[name] = {w.image_id: w.polygons for w in written if w.polygons}
    for name, content in contents.items():
        with replacing(directory / name) as temporary:
            temporary.write_text(json.dumps(content))
