"""Radiographs of some patients with their findings, as every layout writes them, and files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import find_objects, label

from shamsul.phantom.findings import Mask
from shamsul.phantom.patients import Study, studies
from shamsul.phantom.radiograph import Drawing
from shamsul.settings import Split
from shamsul.storage.files import replacing

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


@dataclass(frozen=True)
class Case:
    """A radiograph and the truth about it.

    Attributes
    ----------
    number : number of the case, from 1.
    patient : number of the patient, from 1.
    image : (height, width) uint8, dense is bright.
    masks : (height, width) bool by class.
    lungs : right and left lung, (height, width) bool.
    """

    seed: int
    number: int
    patient: int
    split: Split
    study: Study
    image: NDArray[np.uint8]
    masks: Mapping[str, Mask]
    lungs: tuple[Mask, Mask]

    @property
    def labels(self) -> dict[str, int]:
        """Labels of the 14 classes, 1 or 0."""
        return self.study.labels

    @property
    def sex(self) -> str:
        """Sex as `F` or `M`."""
        return self.study.build.sex[0]

    @property
    def projection(self) -> str:
        """Projection as `AP` or `PA`."""
        return "AP" if self.study.ap else "PA"

    def token(self, *purpose: object) -> str:
        """Return 32 hexadecimal digits that only this case has for a purpose."""
        text = "/".join(map(str, (self.seed, self.study.image_id, *purpose)))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def squared(self, side: int) -> Case:
        """Return the case stretched to a square: masks stay what they are, pixel by pixel."""
        shape = (side, side)

        def stretched(mask: Mask) -> Mask:
            small = Image.fromarray(mask.astype(np.uint8))
            return np.asarray(small.resize(shape, Image.Resampling.NEAREST)) > 0

        image = np.asarray(Image.fromarray(self.image).resize(shape, Image.Resampling.BILINEAR))
        masks = {name: stretched(mask) for name, mask in self.masks.items()}
        right, left = map(stretched, self.lungs)
        return replace(self, image=image, masks=masks, lungs=(right, left))


def cases(names: Mapping[Split, Sequence[str]], seed: int, height: int) -> Iterator[Case]:
    """Yield the radiographs of all studies of patients, by split.

    Parameters
    ----------
    names : names of the patients of each split.
    seed : seed of everything.
    height : nominal height in pixels.
    """
    number = patient = 0
    for split, patients in names.items():
        for name in patients:
            patient += 1
            for study in studies(seed, name):
                number += 1
                drawing = Drawing(seed, study, height)
                drawn = drawing.radiograph()
                yield Case(
                    seed, number, patient, split, study, drawn.image, drawn.masks, drawing.lungs()
                )


def components(mask: Mask) -> list[Mask]:
    """Return the connected parts of a mask, from top to bottom."""
    parts, count = label(mask, np.ones((3, 3)))
    return [parts == number for number in range(1, count + 1)]


def boxes(mask: Mask) -> list[Box]:
    """Return the smallest box about each connected part of a mask."""
    parts, _ = label(mask, np.ones((3, 3)))
    return [
        (across.start, down.start, across.stop - across.start, down.stop - down.start)
        for down, across in find_objects(parts)
    ]


def twelve_bits(image: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return grey values of 8 bits as the same of 12 bits."""
    return ((image.astype(np.uint32) * 4095 + 127) // 255).astype(np.uint16)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file, packed where its name ends in `.gz`; equal rows give equal bytes."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows(["" if cell is None else cell for cell in row] for row in rows)
    content = text.getvalue().encode()
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    write(path, content)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file."""
    write(path, json.dumps(content).encode())


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_picture(path: Path, pixels: NDArray[Any]) -> None:
    """Write grey values or a mask in the format of the path's suffix, JPEG or PNG."""
    shown = pixels.astype(np.uint8) * np.uint8(255) if pixels.dtype == bool else pixels
    kind, options = ("JPEG", {"quality": 95}) if path.suffix == ".jpg" else ("PNG", {})
    with replacing(path) as temporary:
        Image.fromarray(shown).save(temporary, format=kind, **options)
