"""Files of annotations in a folder: which program or archive has written a JSON or XML file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from shamsul.data.annotations.base import AnnotationFile
from shamsul.data.annotations.chexlocalize import ChexlocalizeFile
from shamsul.data.annotations.coco import CocoFile
from shamsul.data.annotations.json_files import read_json
from shamsul.data.annotations.programs import CvatFile, LabelmeFiles, LabelStudioFile, ViaFile
from shamsul.data.matching import Names
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError


@dataclass
class Annotations:
    """Annotations of one form.

    Attributes
    ----------
    entry : entry of `masks`, without defaults.
    labels : number of annotations of each finding.
    images : number of the folder's images that they are of.
    readers : number of readers.
    """

    entry: dict[str, Any]
    labels: dict[str, int] = field(default_factory=dict)
    images: int = 0
    readers: int = 1


def look_at(root: Path, files: list[str], names: Names) -> tuple[list[Annotations], list[str]]:
    """Return the annotations in JSON and XML files, and the files that are of no known form.

    Parameters
    ----------
    root : folder of the files.
    files : paths of the files in it.
    names : paths of the images, by what files call them.
    """
    forms: dict[str, str] = {}
    unknown: list[str] = []
    for file in files:
        form = _form(root / file)
        if form:
            forms[file] = form
        else:
            unknown.append(file)
    # Labelme writes a file for each image: those of a folder are one entry.
    labelme = {str(PurePosixPath(f).parent) for f, form in forms.items() if form == "labelme"}
    entries = [{"form": "labelme", "file": folder} for folder in sorted(labelme)]
    entries += [{"form": form, "file": file} for file, form in forms.items() if form != "labelme"]
    classes: dict[str, type[AnnotationFile]] = {
        "coco": CocoFile,
        "chexlocalize": ChexlocalizeFile,
        "via": ViaFile,
        "labelme": LabelmeFiles,
        "cvat": CvatFile,
        "label_studio": LabelStudioFile,
    }
    found = []
    for entry in entries:
        if entry["form"] == "via":
            entry |= _label_key(root / entry["file"])
        reader = classes[entry["form"]].model_validate(entry)
        labels: Counter[str] = Counter()
        images, readers = set(), set()
        try:
            for one in reader.read(root, Rejections("init", quarantine=True)):
                labels[one.label] += 1
                images.update(names.find(one.image))
                readers.add(one.reader)
        except InputError:
            unknown.append(entry["file"])
            continue
        found.append(Annotations(entry, dict(labels), len(images), max(1, len(readers))))
    return found, unknown


def _form(path: Path) -> str | None:
    """Return the form of a JSON or XML file, None where it is none that is known."""
    if path.suffix.lower() == ".xml":
        with path.open("rb") as file:
            return "cvat" if b"<annotations" in file.read(4096) else None
    try:
        content = read_json(path)
    except InputError:
        return None
    if isinstance(content, list):
        first = content[0] if content else None
        is_task = isinstance(first, dict) and {"annotations", "data"} <= first.keys()
        return "label_studio" if is_task else None
    if not isinstance(content, dict):
        return None
    if {"images", "annotations", "categories"} <= content.keys():
        return "coco"
    if {"shapes", "imagePath"} <= content.keys():
        return "labelme"
    entries = content.get("_via_img_metadata", content)
    first = next(iter(entries.values()), None) if isinstance(entries, dict) else None
    if isinstance(first, dict) and first and entries is content:
        masks = [about for name, about in first.items() if name != "img_size"]
        runs = all(isinstance(m, dict) and {"size", "counts"} <= m.keys() for m in masks)
        if "img_size" in first or (masks and runs):
            return "chexlocalize"
    is_region = isinstance(first, dict) and {"filename", "regions"} <= first.keys()
    return "via" if is_region else None


def _label_key(path: Path) -> dict[str, str]:
    """Return the attribute of VIA's regions that names the finding: the one that most have."""
    content = read_json(path)
    counts: Counter[str] = Counter()
    for entry in content.get("_via_img_metadata", content).values():
        regions = entry.get("regions", [])
        for region in regions.values() if isinstance(regions, dict) else regions:
            counts.update(region.get("region_attributes", {}).keys())
    best = counts.most_common(1)
    return {"label_key": best[0][0]} if best and best[0][0] != "label" else {}
