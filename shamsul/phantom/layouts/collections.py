"""Layouts of ChestX-ray14, ChestX-Det, JSRT, Montgomery and COVID-QU-Ex: PNG files and lists."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from shamsul.data.adapters import covid_qu_ex as covid_adapter
from shamsul.data.adapters import jsrt as jsrt_adapter
from shamsul.phantom.export import outlines
from shamsul.phantom.layouts.case import (
    Case,
    boxes,
    components,
    write,
    write_csv,
    write_json,
    write_picture,
)

NIH = {
    "Cardiomegaly": "Cardiomegaly",
    "Lung Lesion": "Mass",
    "Edema": "Edema",
    "Consolidation": "Consolidation",
    "Pneumonia": "Pneumonia",
    "Atelectasis": "Atelectasis",
    "Pneumothorax": "Pneumothorax",
    "Pleural Effusion": "Effusion",
    "Pleural Other": "Pleural_Thickening",
}
"""Findings of ChestX-ray14 that phantoms show, by class."""
NIH_BOXED = ("Cardiomegaly", "Lung Lesion", "Pneumonia", "Atelectasis", "Pneumothorax",
             "Pleural Effusion")  # fmt: skip
"""Those of them that NIH boxed."""
CHESTX_DET = {
    "Cardiomegaly": "Cardiomegaly",
    "Lung Lesion": "Mass",
    "Consolidation": "Consolidation",
    "Atelectasis": "Atelectasis",
    "Pneumothorax": "Pneumothorax",
    "Pleural Effusion": "Effusion",
    "Pleural Other": "Pleural Thickening",
    "Fracture": "Fracture",
}
"""Findings of ChestX-Det that phantoms show, by class."""
SIDE = 1024
"""Height and width in pixels of ChestX-ray14's radiographs."""
COVID_PARTS = {"train": "Train", "tune": "Val", "test": "Test"}


def nih(directory: Path, cases: Iterable[Case]) -> None:
    """Write ChestX-ray14's table, patient lists, boxes of the test list, and files."""
    rows: list[list[Any]] = []
    found: list[list[Any]] = []
    lists: dict[str, list[str]] = {"train_val_list.txt": [], "test_list.txt": []}
    for case in (case.squared(SIDE) for case in cases):
        name = f"{case.patient:08d}_{case.study.number - 1:03d}.png"
        write_picture(directory / "images" / name, case.image)
        shown = "|".join(label for own, label in NIH.items() if case.labels[own]) or "No Finding"
        about = [case.study.number - 1, case.patient, case.study.age, case.sex, case.projection]
        rows.append([name, shown, *about])
        lists["test_list.txt" if case.split == "test" else "train_val_list.txt"].append(name)
        if case.split == "test":
            found += [
                [name, NIH[own], *box, "", "", ""]
                for own in NIH_BOXED if own in case.masks
                for box in boxes(case.masks[own])
            ]  # fmt: skip
    names = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age"]
    names += ["Patient Gender", "View Position"]
    write_csv(directory / "Data_Entry_2017.csv", names, rows)
    header = ["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", ""]
    write_csv(directory / "BBox_List_2017.csv", header, found)
    for file, images in lists.items():
        write(directory / file, "".join(f"{name}\n" for name in images).encode())


def chestx_det(directory: Path, cases: Iterable[Case]) -> None:
    """Write ChestX-Det's parts; patients of the splits train and tune are in `train_data`."""
    entries: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for case in (case.squared(SIDE) for case in cases):
        part = "test" if case.split == "test" else "train"
        name = f"{30000 + case.number}.png"
        write_picture(directory / f"{part}_data" / name, case.image)
        shapes = [
            (label, *box, polygon)
            for own, label in CHESTX_DET.items() if own in case.masks
            for part_of in components(case.masks[own])
            for box, polygon in zip(boxes(part_of), list(outlines(part_of))[:1], strict=True)
        ]  # fmt: skip
        entries[part].append({
            "file_name": name,
            "syms": [label for label, *_ in shapes],
            "boxes": [[x, y, x + width, y + height] for _, x, y, width, height, _ in shapes],
            "polygons": [polygon for *_, polygon in shapes],
        })  # fmt: skip
    for part, listed in entries.items():
        write_json(directory / f"ChestX_Det_{part}.json", listed)


def jsrt(directory: Path, cases: Iterable[Case]) -> None:
    """Write JSRT's tables without header, converted files, and SCR's lungs.

    A radiograph has the largest of its lesions; those with other findings alone are left out.
    """
    tables: dict[str, list[str]] = {"CLNDAT_EN.txt": [], "CNNDAT_EN.TXT": []}
    for case in (case.squared(SIDE) for case in cases):
        sex, age = case.study.build.sex, case.study.age
        lesion = case.masks.get("Lung Lesion")
        if lesion is None and not case.labels["No Finding"]:
            continue
        name = f"JPC{'NN' if lesion is None else 'LN'}{case.number:03d}"
        write_picture(directory / "images" / f"{name}.png", case.image)
        if lesion is None:
            tables["CNNDAT_EN.TXT"].append(f"{name}.IMG\t{age}\t{sex}\tnon-nodule")
        else:
            left, top, width, height = max(boxes(lesion), key=lambda box: box[2] * box[3])
            scale = jsrt_adapter.SIDE / SIDE
            x, y = (left + width / 2) * scale, (top + height / 2) * scale
            size = max(width, height) * scale * jsrt_adapter.SPACING
            cells = (f"{name}.IMG", 3, f"{size:.2f}", age, sex, f"{x:g}", f"{y:g}")
            told = "\t".join(map(str, (*cells, "malignant", "l.upper lobe", "lung cancer")))
            tables["CLNDAT_EN.txt"].append(told)
        fold = directory / "scratch" / f"fold{1 + case.number % 2}" / "masks"
        right, left_lung = case.lungs
        write_picture(fold / "right lung" / f"{name}.png", right)
        write_picture(fold / "left lung" / f"{name}.png", left_lung)
    for file, lines in tables.items():
        write(directory / file, "".join(f"{line}\n" for line in lines).encode("latin-1"))


def tuberculosis(directory: Path, cases: Iterable[Case]) -> None:
    """Write Montgomery's files and lung masks; a lung opacity counts as tuberculosis."""
    for case in cases:
        ill = case.labels["Lung Opacity"]
        name = f"MCUCXR_{case.number:04d}_{ill}"
        write_picture(directory / "CXR_png" / f"{name}.png", case.image)
        text = f"Patient's Sex: {case.sex}\r\nPatient's Age: {case.study.age:03d}Y\r\n"
        text += "consistent with active tuberculosis" if ill else "normal"
        write(directory / "ClinicalReadings" / f"{name}.txt", text.encode())
        for side, lung in zip(("right", "left"), case.lungs, strict=True):
            write_picture(directory / "ManualMask" / f"{side}Mask" / f"{name}.png", lung)


def covid_qu_ex(directory: Path, cases: Iterable[Case]) -> None:
    """Write the folders of COVID-QU-Ex; a consolidation counts as COVID-19.

    Another lung opacity is other pneumonia; radiographs with other findings alone are left out.
    """
    for part in COVID_PARTS.values():
        for kind in covid_adapter.CovidQuExSource.FINDINGS:
            for folder in ("images", "lung masks", covid_adapter.INFECTION):
                (directory / part / kind / folder).mkdir(parents=True, exist_ok=True)
    for case in (case.squared(256) for case in cases):
        kind = covid_adapter.NORMAL
        if case.labels["Consolidation"]:
            kind = covid_adapter.COVID
        elif case.labels["Lung Opacity"]:
            kind = covid_adapter.OTHER
        elif not case.labels["No Finding"]:
            continue
        place = directory / COVID_PARTS[case.split] / kind
        file = f"{kind.lower().replace('-', '_')}_{case.number}.png"
        write_picture(place / "images" / file, case.image)
        write_picture(place / "lung masks" / file, np.logical_or(*case.lungs))
        blank = np.zeros(case.image.shape, bool)
        ill = case.masks.get("Consolidation", blank) if kind == covid_adapter.COVID else blank
        write_picture(place / covid_adapter.INFECTION / file, ill)
