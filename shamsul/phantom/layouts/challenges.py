"""Layouts of VinDr-CXR, RSNA's and SIIM's challenges: DICOM files, boxes and run lengths."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from shamsul.data.adapters import rsna as rsna_adapter
from shamsul.data.adapters import siim as siim_adapter
from shamsul.phantom.anatomy import stream
from shamsul.phantom.findings import Mask
from shamsul.phantom.layouts.case import Case, boxes, components, twelve_bits, write_csv, write_json
from shamsul.phantom.layouts.dicom import write_dicom

VINDR = {
    "Cardiomegaly": "Cardiomegaly",
    "Lung Opacity": "Lung Opacity",
    "Lung Lesion": "Nodule/Mass",
    "Edema": "Edema",
    "Consolidation": "Consolidation",
    "Atelectasis": "Atelectasis",
    "Pneumothorax": "Pneumothorax",
    "Pleural Effusion": "Pleural effusion",
    "Pleural Other": "Pleural thickening",
    "Fracture": "Rib fracture",
}
"""Findings of VinDr-CXR that phantoms show, by class."""
READERS = ("R1", "R2", "R3")
"""The first sees the truth, the second draws other boxes, the third overlooks."""
LOOSE = 0.1
"""Largest displacement of an edge by the second reader, as a fraction of the box."""
OVERLOOKED = 0.25
"""Probability that the third reader overlooks a finding."""


def vindr(directory: Path, cases: Iterable[Case]) -> None:
    """Write `train` with three readers and `test` with their consensus, every third file inverted.

    Patients of the splits train and tune are in `train`.
    """
    tables: dict[str, list[list[object]]] = {"train": [], "test": []}
    for case in cases:
        part = "test" if case.split == "test" else "train"
        name = case.token()
        file = directory / part / f"{name}.dicom"
        write_dicom(file, case, twelve_bits(case.image), name, inverted=case.number % 3 == 0)
        for reader in READERS if part == "train" else READERS[:1]:
            readings = list(_read(case, reader))
            named = [name] if part == "test" else [name, reader]
            tables[part] += [[*named, finding, *box] for finding, box in readings]
            if not readings:
                tables[part].append([*named, "No finding", "", "", "", ""])
    corners = ["class_name", "x_min", "y_min", "x_max", "y_max"]
    folder = directory / "annotations"
    write_csv(folder / "annotations_train.csv", ["image_id", "rad_id", *corners], tables["train"])
    write_csv(folder / "annotations_test.csv", ["image_id", *corners], tables["test"])


def _read(case: Case, reader: str) -> Iterator[tuple[str, list[float]]]:
    """Yield findings and corners as one reader has them."""
    rng = stream(case.seed, case.study.image_id, "vindr", reader)
    height, width = case.image.shape
    for name, finding in VINDR.items():
        overlooked = reader == "R3" and rng.random() < OVERLOOKED
        if name not in case.masks or overlooked:
            continue
        for left, top, across, down in boxes(case.masks[name]):
            corners = np.array([left, top, left + across, top + down], float)
            if reader == "R2":
                corners += rng.uniform(-LOOSE, LOOSE, 4) * (across, down, across, down)
                corners = np.clip(corners, 0, [width, height, width, height]).round(1)
            yield finding, corners.tolist()


def rsna(directory: Path, cases: Iterable[Case]) -> None:
    """Write the tables of stage 2, RSNA's mappings, and files of 1024 x 1024 pixels."""
    targets: list[list[object]] = []
    details: list[list[object]] = []
    mappings: list[dict[str, str]] = []
    for case in (case.squared(rsna_adapter.SIDE) for case in cases):
        name = str(uuid.UUID(case.token()))
        write_dicom(directory / "stage_2_train_images" / f"{name}.dcm", case, case.image, name)
        found = boxes(case.masks["Lung Opacity"]) if "Lung Opacity" in case.masks else []
        kind = rsna_adapter.NORMAL if case.labels["No Finding"] else rsna_adapter.OTHER
        targets += [[name, *box, 1] for box in found] or [[name, "", "", "", "", 0]]
        details += [[name, rsna_adapter.OPACITY if found else kind]] * max(len(found), 1)
        known = f"{case.patient:08d}_{case.study.number:03d}.png"
        mappings.append({"subset_img_id": name, "img_id": known})
    columns = ["patientId", "x", "y", "width", "height", "Target"]
    write_csv(directory / "stage_2_train_labels.csv", columns, targets)
    write_csv(directory / "stage_2_detailed_class_info.csv", ["patientId", "class"], details)
    write_json(directory / "pneumonia-challenge-dataset-mappings_2018.json", mappings)


def siim(directory: Path, cases: Iterable[Case]) -> None:
    """Write one row for each pneumothorax, and files in folders of their own."""
    rows: list[list[object]] = []
    base = "1.2.276.0.7230010.3.1"
    for case in (case.squared(siim_adapter.SIDE) for case in cases):
        end = f"{case.number}.1517875160.{int(case.token('time')[:5], 16)}"
        name = f"{base}.4.8323329.{end}"
        folder = directory / "dicom-images-train" / f"{base}.2.{end}" / f"{base}.3.{end}"
        write_dicom(folder / f"{name}.dcm", case, case.image, case.token("patient"))
        parts = components(case.masks["Pneumothorax"]) if "Pneumothorax" in case.masks else []
        rows += [[name, f" {relative_run_lengths(part)}"] for part in parts] or [[name, " -1"]]
    write_csv(directory / "train-rle.csv", ["ImageId", " EncodedPixels"], rows)


def relative_run_lengths(mask: Mask) -> str:
    """Return gaps and lengths of a mask down its columns, each gap from the end of the run before.

    The last gap, which ends no run, is left out.
    """
    flat = mask.T.ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    return " ".join(map(str, np.diff(np.concatenate([[0], edges])).tolist()))
