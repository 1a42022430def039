"""Masks as image files: one for each image and finding, or one with a colour for each finding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, field_validator

from shamsul.data.annotations.base import Annotation, AnnotationFile, Pixels
from shamsul.data.annotations.json_files import size_of
from shamsul.data.matching import template
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError, first_line

FORMATS = ("PNG", "TIFF", "BMP", "GIF")
"""Pillow's names of the formats of masks. JPEG is not among them: it blurs the border."""
ENDINGS = frozenset({".png", ".tif", ".tiff", ".bmp", ".gif"})
WORDS = ("image", "label", "reader")
"""Words that a template of mask files may hold in braces."""
MOST_FINDINGS = 8
"""Number of grey values up to which they are findings, and not a smoothed border."""
SEVERAL = (
    "holds the values {}; if each is a finding, say `form: colours`, else make it two-coloured"
)
"""Reason why a mask of several values is left out."""
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]
"""A colour as `#RRGGBB`."""


class ImageFiles(AnnotationFile):
    """Image files of masks in a folder, found by a template of their names."""

    folder: str
    """Folder of the masks, with those in it, relative to `data.root`."""
    files_named: str = "{image}"
    """Template of the masks' paths in the folder. `{image}` stands for the image's name,
    `{label}` for the finding's, `{reader}` for the reader's, `*` for anything."""

    @field_validator("files_named")
    @classmethod
    def _has_an_image(cls, text: str) -> str:
        if "image" not in template(text, WORDS).groupindex:
            raise ValueError(f"{text!r} lacks {{image}}, which stands for the image's name")
        return text

    def files(self) -> list[str]:
        """Return the folder."""
        return [self.folder]

    def inputs(self, root: Path) -> list[Path]:
        """Return all files of masks, so that an edited one is noticed."""
        return [path for path, _ in self._found(root)[0]]

    def _found(self, root: Path) -> tuple[list[tuple[Path, re.Match[str]]], list[Path]]:
        """Return the files that the template fits, each with its match, and the others."""
        folder = root / self.folder
        pattern = template(self.files_named, WORDS)
        fitting, others = [], []
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in ENDINGS or not path.is_file():
                continue
            match = pattern.fullmatch(path.relative_to(folder).as_posix())
            if match:
                fitting.append((path, match))
            else:
                others.append(path)
        return fitting, others

    def _checked(self, root: Path, rejected: Rejections) -> list[tuple[Path, re.Match[str]]]:
        """Return the files that the template fits; reject the others."""
        fitting, others = self._found(root)
        if not fitting:
            raise InputError(
                f"{root / self.folder}: no file of masks is named {self.files_named!r}; there are "
                f"{len(others)} others" + (f", such as {others[0].name!r}" if others else "")
            )
        for path in others:
            rejected.add("mask", path, f"is not named {self.files_named!r}")
        return fitting


class PngMasks(ImageFiles):
    """One mask for each image and finding: pixels that are not black are the finding."""

    form: Literal["png"]
    files_named: str = "{label}/{image}"
    """Template of the masks' paths in the folder. `{image}` stands for the image's name,
    `{label}` for the finding's, `{reader}` for the reader's, `*` for anything."""
    label: str = ""
    """Name of the finding, where the files' names do not say it."""

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield the masks; as `AnnotationFile.read`."""
        for path, match in self._checked(root, rejected):
            found = match.groupdict()
            mask = _pixels(path, rejected)
            if mask is not None:
                grey = mask.max(axis=2) if mask.ndim == 3 else mask
                values = np.unique(grey[grey > 0])
                if 1 < len(values) <= MOST_FINDINGS:
                    rejected.add("mask", path, SEVERAL.format(" ".join(map(str, values))))
                    continue
                # The border may be smoothed: a grey is on the side that it is nearer to.
                drawn = grey > grey.max() // 2
                yield Annotation(
                    path, found["image"], found.get("label") or self.label, Pixels(drawn),
                    reader=found.get("reader") or "",
                )  # fmt: skip


class ColourMasks(ImageFiles):
    """One image of masks for each radiograph, of which each colour is a finding."""

    form: Literal["colours"]
    colours: Annotated[dict[Colour, str], Field(min_length=1)]
    """Finding of each colour, which is written `"#RRGGBB"`; `"#000000"` is the background."""

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield the mask of each colour; as `AnnotationFile.read`."""
        colours = {_number(colour): label for colour, label in self.colours.items()}
        strange: dict[int, tuple[Path, int]] = {}
        for path, match in self._checked(root, rejected):
            pixels = _pixels(path, rejected)
            if pixels is None:
                continue
            rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
            # In place, for the largest mask takes 400 MB here.
            numbers = rgb[..., 0].astype(np.uint32)
            for channel in (1, 2):
                numbers <<= 8
                numbers |= rgb[..., channel]
            found, counts = np.unique(numbers, return_counts=True)
            for number, count in zip(found.tolist(), counts.tolist(), strict=True):
                if number and number not in colours:
                    strange.setdefault(number, (path, count))
            for number, label in colours.items():
                yield Annotation(
                    path, match["image"], label, Pixels(numbers == number),
                    reader=match.groupdict().get("reader") or "",
                )  # fmt: skip
        for number, (path, count) in sorted(strange.items()):
            rejected.add(
                "mask",
                path,
                f"has {count} pixels of colour #{number:06x}, which `colours` does not name",
            )


def _number(colour: str) -> int:
    return int(colour.removeprefix("#"), 16)


def _pixels(path: Path, rejected: Rejections) -> NDArray[np.uint8] | None:
    """Return a mask's pixels: (height, width) of grey or (height, width, 3); None if rejected.

    Transparent pixels are black. Grey of 16 bits stays grey: only black and white matter.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            size_of(image.size[::-1])
            if image.mode.startswith(("I", "F")):
                wide = np.asarray(image, np.float64)
                return (wide * (255 / max(wide.max(), 1))).astype(np.uint8)
            if image.mode == "1":
                return np.asarray(image.convert("L"))
            if image.mode == "L":
                return np.asarray(image).copy()
            colour = np.asarray(image.convert("RGBA"))
            return np.where(colour[..., 3:] > 0, colour[..., :3], 0).astype(np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        rejected.add("mask", path, f"not readable as a mask ({first_line(error)}); replace it")
        return None
