"""CheXlocalize's JSON: run lengths or polygons by image and class (Saporta et al., 2022)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from shamsul.data.annotations.base import Annotation, AnnotationFile, Pixels, Polygons
from shamsul.data.annotations.json_files import read_object, size_of
from shamsul.data.annotations.programs import FAULTS
from shamsul.data.masks import decode
from shamsul.data.rejected import Rejections
from shamsul.errors import first_line
from shamsul.labels import CHEXLOCALIZE_NAMES


class ChexlocalizeFile(AnnotationFile):
    """CheXlocalize's JSON: `gt_segmentations` (run lengths) or `gt_annotations` (polygons)."""

    form: Literal["chexlocalize"]
    file: str
    """JSON file, relative to `data.root`."""

    def files(self) -> list[str]:
        """Return the file."""
        return [self.file]

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield the mask of each image and class; as `AnnotationFile.read`."""
        file = root / self.file
        for image, entry in read_object(file).items():
            try:
                size = size_of(entry["img_size"]) if "img_size" in entry else None
                named = [(name, about) for name, about in entry.items() if name != "img_size"]
            except FAULTS as error:
                rejected.add("mask", file, f"{image}: {first_line(error)}", field=image)
                continue
            for name, about in named:
                try:
                    shape = _run_lengths(about) if size is None else _polygons(about)
                except FAULTS as error:
                    said = f"lacks {error}" if isinstance(error, KeyError) else first_line(error)
                    rejected.add("mask", file, f"{image}, {name}: {said}", field=image)
                    continue
                label = CHEXLOCALIZE_NAMES.get(name, name)
                yield Annotation(file, image, label, shape, size=size, field=image)


def _run_lengths(about: dict[str, Any]) -> Pixels:
    height, width = size_of(about["size"])
    return Pixels(decode({"height": height, "width": width, "counts": about["counts"]}))


def _polygons(about: list[Any]) -> Polygons:
    return Polygons([np.asarray(polygon, float).reshape(-1, 2) for polygon in about])
