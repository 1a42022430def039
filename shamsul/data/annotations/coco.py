"""COCO's JSON of instances: polygons, run lengths and boxes (Lin et al., ECCV 2014)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from shamsul.data.annotations.base import Annotation, AnnotationFile, Boxes, Pixels, Polygons
from shamsul.data.annotations.json_files import read_object, said, size_of
from shamsul.data.annotations.runs import uncompressed
from shamsul.data.masks import decode
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.settings import unknown


class CocoFile(AnnotationFile):
    """COCO's JSON: `images`, `categories` and `annotations`."""

    form: Literal["coco"]
    file: str
    """JSON file, relative to `data.root`."""
    reader_key: str = ""
    """Key of an annotation that names its reader, where there are several."""

    def files(self) -> list[str]:
        """Return the file."""
        return [self.file]

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield the annotations, a box where there is no outline; as `AnnotationFile.read`."""
        file = root / self.file
        content = read_object(file, "`images`, `categories` and `annotations`")
        for key in ("images", "categories", "annotations"):
            if not isinstance(content.get(key), list):
                raise InputError(f"{file}: no COCO file: {unknown(key, content, 'key')}")
        images = _by_id(file, content["images"], "images", "file_name")
        labels = _by_id(file, content["categories"], "categories", "name")
        for number, one in enumerate(content["annotations"]):
            place = f"annotations[{number}]"
            try:
                image = images[one["image_id"]]
                label = str(labels[one["category_id"]]["name"])
                sides = (image.get("height"), image.get("width"))
                size = None if None in sides else size_of(sides)
                shape = _shape(one, size)
                reader = str(one.get(self.reader_key) or "") if self.reader_key else ""
            except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
                unknown_id = isinstance(error, KeyError)
                told = f"is missing or unknown: {error}" if unknown_id else said(error)
                rejected.add("mask", file, told, field=place)
                continue
            name = str(image["file_name"])
            yield Annotation(file, name, label, shape, size=size, reader=reader, field=place)


def _by_id(file: Path, entries: list[Any], key: str, name: str) -> dict[Any, dict[str, Any]]:
    """Return the entries of a list by their id; one without, or an id twice, is an InputError."""
    found: dict[Any, dict[str, Any]] = {}
    names: set[str] = set()
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or "id" not in entry or name not in entry:
            raise InputError(f"{file}: {key}[{number}]: needs `id` and `{name}`")
        if not isinstance(entry["id"], int | float | str):
            raise InputError(f"{file}: {key}[{number}]: `id` is neither a number nor a text")
        if entry["id"] in found or str(entry[name]) in names:
            raise InputError(
                f"{file}: {key}[{number}]: id {entry['id']!r} or {name} {entry[name]!r} is there "
                "twice; give each its own"
            )
        found[entry["id"]] = entry
        names.add(str(entry[name]))
    return found


def _shape(one: dict[str, Any], size: tuple[int, int] | None) -> Boxes | Polygons | Pixels:
    """Return the outline of an annotation, or its box where it has no other."""
    outline = one.get("segmentation")
    if isinstance(outline, dict):
        return Pixels(_run_lengths(outline, size))
    if outline:
        polygons = outline if isinstance(outline[0], list) else [outline]
        if any(len(polygon) % 2 for polygon in polygons):
            raise ValueError("a polygon has an odd number of coordinates")
        return Polygons([np.asarray(p, float).reshape(-1, 2) for p in polygons])
    x, y, width, height = (float(number) for number in one["bbox"])
    return Boxes(np.array([[x, y, x + width, y + height]]))


def _run_lengths(outline: dict[str, Any], size: tuple[int, int] | None) -> Any:
    """Return the mask of run lengths, compressed (a text) or not (a list of numbers)."""
    height, width = size_of(outline["size"])
    if size is not None and (height, width) != size:
        raise ValueError(f"its mask is {height} x {width}, its image {size[0]} x {size[1]} pixels")
    counts = outline["counts"]
    if isinstance(counts, str):
        return decode({"height": height, "width": width, "counts": counts})
    return uncompressed(counts, height, width)
