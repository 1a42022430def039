"""Folders as newcomers have them: names of their own, tables, masks and boxes of any form."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("Thorax p.a. {}.jpg", "KS_{:03d}.png", "Bild {} (Kopie).png")
"""Templates of file names, as hospitals and cameras give them."""


def write(folder: Path, radiographs: Sequence[dict]) -> None:
    """Write a folder: `Bilder/`, `labels.csv`, `masken/CLASS/`, `boxes.csv`.

    Parameters
    ----------
    folder : where it is to be; nothing is there yet.
    radiographs : pixels (height, width), patient, sex, age, projection, opacity and fluid (bool),
        mask (height, width) or None, box (x, y, w, h) or None of each.
    """
    (folder / "Bilder").mkdir(parents=True)
    (folder / "masken" / "opacity").mkdir(parents=True)
    rows, boxes = [], []
    for number, one in enumerate(radiographs):
        name = NAMES[number % len(NAMES)].format(number)
        Image.fromarray(one["pixels"]).save(folder / "Bilder" / name)
        words = ["yes" if one[key] else "no" for key in ("opacity", "fluid")]
        about = [one[key] for key in ("patient", "sex", "age", "projection")]
        rows.append([name, *about, *words, "seen by KS"])
        if one["mask"] is not None:
            mask = Image.fromarray(one["mask"].astype(np.uint8) * 255)
            mask.save(folder / "masken" / "opacity" / f"{Path(name).stem}.png")
        if one["box"] is not None:
            x, y, w, h = one["box"]
            boxes.append([name, "fluid", x, y, x + w, y + h])
    header = ["Bild", "Patient ID", "Geschlecht", "Alter", "AP/PA", "opacity", "fluid", "remark"]
    _table(folder / "labels.csv", ";", [header, *rows])
    _table(folder / "boxes.csv", ",", [["image", "finding", "x1", "y1", "x2", "y2"], *boxes])


def _table(file: Path, separator: str, rows: Sequence[Sequence]) -> None:
    with file.open("w", newline="", encoding="utf-16" if separator == ";" else "utf-8") as stream:
        csv.writer(stream, delimiter=separator).writerows(rows)


def of_phantoms(folder: Path, patients: int = 36) -> None:
    """Write a folder of phantoms."""
    rng = np.random.default_rng(3)
    radiographs = []
    for patient in range(patients):
        height, width = 128 + patient % 5, 120
        pixels = rng.normal(110, 12, (height, width))
        opacity, fluid = patient % 2 == 0, patient % 3 == 0
        mask = np.zeros((height, width), bool)
        if opacity:
            y, x = rng.integers(30, 60), rng.choice([20, 70])
            mask[y : y + 25, x : x + 25] = True
            pixels[mask] += 90
        box = None
        if fluid:
            x = int(rng.choice([15, 65]))
            box = (x, 90, 35, 25)
            pixels[90:115, x : x + 35] += 90
        radiographs.append(
            {
                "pixels": np.clip(pixels, 0, 255).astype(np.uint8),
                "patient": f"P-{patient // 2 if patient > 30 else patient} ä",
                "sex": "WM"[patient % 2],
                "age": ["061Y", "58", "018M"][patient % 3],
                "projection": ["AP", "pa", ""][patient % 3],
                "opacity": opacity,
                "fluid": fluid,
                "mask": mask if opacity and patient % 4 == 0 else None,
                "box": box,
            }
        )
    write(folder, radiographs)


def of_nih(folder: Path, data: Path) -> None:
    """Write a folder of 60 real radiographs of ChestX-ray14, with masks drawn from its boxes."""
    source = data / "nih-chestxray14-subset"
    with (source / "Data_Entry_2017.csv").open(newline="") as stream:
        entries = {row["Image Index"]: row for row in csv.DictReader(stream)}
    with (source / "RSNA_boxes.csv").open(newline="") as stream:
        marked: dict[str, list[float]] = {}
        for row in csv.DictReader(stream):
            marked.setdefault(
                row["Image Index"], [float(row[side]) * 384 / 1024 for side in "xywh"]
            )
    present = [name for name in sorted(entries) if (source / "images" / name).exists()]
    boxed = [name for name in present if name in marked][:30]
    plain = [
        name for name in present if name not in marked
        and entries[name]["Finding Labels"] == "No Finding"
    ][:30]  # fmt: skip
    radiographs = []
    for number, name in enumerate(boxed + plain):
        entry = entries[name]
        with Image.open(source / "images" / name) as image:
            pixels = np.asarray(image.convert("L"))
        is_boxed = name in marked
        mask = box = None
        if is_boxed and number % 2:
            x, y, w, h = (round(side) for side in marked[name])
            mask = np.zeros(pixels.shape, bool)
            mask[y : y + h, x : x + w] = True
        elif is_boxed:
            box = tuple(marked[name])
        radiographs.append(
            {
                "pixels": pixels, "patient": entry["Patient ID"], "sex": entry["Patient Gender"],
                "age": entry["Patient Age"], "projection": entry["View Position"],
                "opacity": is_boxed, "fluid": box is not None, "mask": mask, "box": box,
            }
        )  # fmt: skip
    write(folder, radiographs)
