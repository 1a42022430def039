"""Layouts of MIMIC-CXR-JPG, CheXpert Plus, PadChest and PadChest-GR: labels from reports."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shamsul.labels import CLASSES
from shamsul.phantom.lateral import render_lateral
from shamsul.phantom.layouts.case import (
    Case,
    boxes,
    twelve_bits,
    write,
    write_csv,
    write_json,
    write_picture,
)
from shamsul.phantom.patients import reported_labels

MIMIC_PARTS = {"train": "train", "tune": "validate", "test": "test"}
MS_CXR = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Lung Opacity", "Pleural Effusion",
    "Pneumonia", "Pneumothorax",
)  # fmt: skip
"""The eight findings of MS-CXR."""
PADCHEST = {
    "Cardiomegaly": "cardiomegaly",
    "Enlarged Cardiomediastinum": "mediastinal enlargement",
    "Lung Opacity": "infiltrates",
    "Lung Lesion": "nodule",
    "Edema": "pulmonary edema",
    "Consolidation": "consolidation",
    "Pneumonia": "pneumonia",
    "Atelectasis": "laminar atelectasis",
    "Pneumothorax": "pneumothorax",
    "Pleural Effusion": "pleural effusion",
    "Pleural Other": "pleural thickening",
    "Fracture": "rib fracture",
    "Support Devices": "pacemaker",
}
"""Findings of PadChest that phantoms show, by class."""
PADCHEST_PARTS = {"train": "train", "tune": "validation", "test": "test"}
YEAR = 2015
"""Year of all studies of PadChest's layout."""


def mimic(directory: Path, cases: Iterable[Case], height: int) -> None:
    """Write MIMIC-CXR-JPG's packed tables and folders, and MS-CXR's boxes of tune and test.

    Every third study has a lateral view too; labels are of studies.
    """
    labels: list[list[Any]] = []
    metadata: list[list[Any]] = []
    parts: list[list[Any]] = []
    found: list[list[Any]] = []
    for case in cases:
        subject, study = f"1{case.patient:07d}", f"5{case.number:07d}"
        place = f"files/p{subject[:2]}/p{subject}/s{study}"
        views = {case.projection: case.image}
        if case.number % 3 == 0:
            views["LATERAL"] = render_lateral(case.seed, case.study, height)
        said = reported_labels(case.seed, case.study)
        labels.append([subject, study, *(said[name] for name in sorted(CLASSES))])
        for view, image in views.items():
            token = case.token("mimic", view) + case.token("mimic", view, "end")[:8]
            name = "-".join(token[start : start + 8] for start in range(0, 40, 8))
            write_picture(directory / place / f"{name}.jpg", image)
            metadata.append([name, subject, study, view, *image.shape])
            parts.append([name, study, subject, MIMIC_PARTS[case.split]])
            if case.split != "train" and view != "LATERAL":
                found += [
                    [finding, f"{finding} is seen.", f"{place}/{name}.jpg", *box, name,
                     image.shape[1], image.shape[0]]
                    for finding in MS_CXR if finding in case.masks
                    for box in boxes(case.masks[finding])
                ]  # fmt: skip
    names = ["subject_id", "study_id", *sorted(CLASSES)]
    write_csv(directory / "mimic-cxr-2.0.0-chexpert.csv.gz", names, labels)
    names = ["dicom_id", "subject_id", "study_id", "ViewPosition", "Rows", "Columns"]
    write_csv(directory / "mimic-cxr-2.0.0-metadata.csv.gz", names, metadata)
    names = ["dicom_id", "study_id", "subject_id", "split"]
    write_csv(directory / "mimic-cxr-2.0.0-split.csv.gz", names, parts)
    names = ["category_name", "label_text", "path", "x", "y", "w", "h", "dicom_id"]
    names += ["image_width", "image_height"]
    write_csv(directory / "MS_CXR_Local_Alignment_v1.1.0.csv", names, found)


def chexpert_plus(directory: Path, cases: Iterable[Case]) -> None:
    """Write the table with a report in each row, labels as JSON lines, and PNG files.

    Patients of the splits tune and test are in `valid`.
    """
    rows: list[list[Any]] = []
    lines: list[str] = []
    for case in cases:
        part = "train" if case.split == "train" else "valid"
        patient, number = case.study.patient_id, case.study.number
        path = f"{part}/{patient}/study{number}/view1_frontal.jpg"
        write_picture((directory / "PNG" / path).with_suffix(".png"), case.image)
        shown = ", ".join(name for name, value in case.labels.items() if value)
        report = f"FINDINGS:\n\nThere is {shown.lower()}.\n\nIMPRESSION:\n\n1. {shown}."
        age, sex = case.study.age, case.study.build.sex
        rows.append([path, "Frontal", case.projection, patient, report, age, sex, part])
        said = reported_labels(case.seed, case.study)
        lines.append(json.dumps({"path_to_image": path, **said}))
    names = ["path_to_image", "frontal_lateral", "ap_pa", "deid_patient_id", "report", "age"]
    write_csv(directory / "df_chexpert_plus_240401.csv", [*names, "sex", "split"], rows)
    write(directory / "chexbert_labels" / "report_fixed.json", "\n".join(lines).encode())


def padchest(directory: Path, cases: Iterable[Case]) -> None:
    """Write PadChest's table, and PNG files of 16 bits that hold 12."""
    rows: list[list[Any]] = []
    for case in cases:
        name, folder = f"{_number(case)}_{case.token()[:6]}.png", case.number % 2
        write_picture(directory / str(folder) / name, twelve_bits(case.image))
        method = "Physician" if case.number % 4 == 0 else "RNN_model"
        about = [f"{YEAR}0630", _number(case), _patient(case), YEAR - case.study.age, case.sex]
        rows.append([name, folder, *about, case.projection, method, str(_labels(case))])
    names = ["ImageID", "ImageDir", "StudyDate_DICOM", "StudyID", "PatientID", "PatientBirth"]
    names += ["PatientSex_DICOM", "Projection", "MethodLabel", "Labels"]
    write_csv(directory / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", names, rows)


def padchest_gr(directory: Path, cases: Iterable[Case]) -> None:
    """Write grounded reports with two readers' boxes, and PNG files of 16 bits that hold 12."""
    reports: list[dict[str, Any]] = []
    rows: list[list[Any]] = []
    for case in cases:
        name = f"{_number(case)}_{case.token()[:6]}.png"
        write_picture(directory / "PadChest_GR" / name, twelve_bits(case.image))
        findings = [_sentence(case, label) for label in PADCHEST if label in case.masks]
        if not case.labels["Pneumothorax"]:
            findings.append(
                {"sentence_en": "No pneumothorax.", "abnormal": False, "boxes": [],
                 "extra_boxes": [], "labels": ["pneumothorax"]}
            )  # fmt: skip
        reports.append({"StudyID": _number(case), "ImageID": name, "findings": findings})
        rows += [
            [_number(case), name, finding["labels"][0], PADCHEST_PARTS[case.split], _patient(case),
             case.sex, case.study.age]
            for finding in findings
        ]  # fmt: skip
    names = ["StudyID", "ImageID", "label", "split", "PatientID", "PatientSex_DICOM", "PatientAge"]
    write_csv(directory / "master_table.csv", names, rows)
    write_json(directory / "grounded_reports_20240819.json", reports)


def _sentence(case: Case, name: str) -> dict[str, Any]:
    """Return a sentence on a class, with boxes as fractions; the second reader's are smaller."""
    height, width = case.image.shape
    sides = width, height, width, height
    corners = [(x, y, x + across, y + down) for x, y, across, down in boxes(case.masks[name])]
    inner = [
        (left + (right - left) * 0.1, top + (bottom - top) * 0.1, right, bottom)
        for left, top, right, bottom in corners
    ]
    return {
        "sentence_en": f"{name} is seen.",
        "abnormal": True,
        "boxes": [
            [value / side for value, side in zip(box, sides, strict=True)] for box in corners
        ],
        "extra_boxes": [
            [value / side for value, side in zip(box, sides, strict=True)] for box in inner
        ],
        "labels": [PADCHEST[name]],
    }


def _labels(case: Case) -> list[str]:
    """Return PadChest's labels of a case, with blanks as there."""
    shown = [label for name, label in PADCHEST.items() if case.labels[name]]
    normal = ["normal"] if case.labels["No Finding"] else ["unchanged"]
    return [*normal, *(f" {label}" for label in shown)]


def _number(case: Case) -> str:
    return str(int(case.token("study"), 16))


def _patient(case: Case) -> str:
    return str(10**35 + case.patient)
