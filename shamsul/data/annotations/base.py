"""Annotation of an image: a finding with boxes, polygons or pixels, as its file has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from shamsul.data.annotations.runs import Runs
from shamsul.data.readers import Readers
from shamsul.data.rejected import Rejections
from shamsul.settings import Section


@dataclass(frozen=True)
class Boxes:
    """Bounding boxes.

    Attributes
    ----------
    corners : (N, 4) of left, top, right and bottom.
    """

    corners: NDArray[np.float64]


@dataclass(frozen=True)
class Polygons:
    """Polygons, which are united.

    Attributes
    ----------
    vertices : an array (N, 2) of x and y for each polygon.
    """

    vertices: list[NDArray[np.float64]]


@dataclass(frozen=True)
class Pixels:
    """Pixels of a mask.

    Attributes
    ----------
    mask : (height, width), True where the finding is.
    """

    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Annotation:
    """One finding in one image, as one reader has drawn it.

    Attributes
    ----------
    file, row, field : place that it was read from; row 0 and no field where there is none.
    image : name of the image, as the file writes it.
    label : name of the finding, as the file writes it.
    shape : boxes, polygons, pixels or run lengths.
    unit : unit of coordinates: pixels of `size`, or a share of the image's sides.
    size : height and width of the image that it was drawn on; None where the file does not say.
    reader : name of the reader; empty where the file has none.
    """

    file: Path
    image: str
    label: str
    shape: Boxes | Polygons | Pixels | Runs
    unit: Literal["pixels", "fraction"] = "pixels"
    size: tuple[int, int] | None = None
    reader: str = ""
    row: int = 0
    field: str = ""


class AnnotationFile(Section):
    """An entry of `masks`. A subclass declares `form: Literal["..."]`, its name."""

    form: str
    """Name of the form that the file has."""
    labels: dict[str, str] = {}
    """Classes by the name that the file gives them; those of the source where absent."""
    reader: str = ""
    """Name of the reader, where the file names none."""
    readers: Readers = "apart"
    """Treatment of several readers of an image: `apart` keeps a mask of each, and judges heatmaps
    by the first by name; `union` unites them; `majority` takes the pixels that more than half have
    marked."""

    NAMELESS: ClassVar[str] = "expert"
    """Name of a reader whom nobody names."""

    def files(self) -> list[str]:
        """Return the files and folders that must exist, relative to the source's folder."""
        raise NotImplementedError

    def inputs(self, root: Path) -> list[Path]:
        """Return the files that the masks are read from."""
        return [root / file for file in self.files()]

    def check(self, root: Path) -> None:
        """Check what can be checked before any job starts; raise an InputError on a fault."""

    def read(self, root: Path, rejected: Rejections) -> Iterator[Annotation]:
        """Yield what the files hold.

        Parameters
        ----------
        root : the source's folder.
        rejected : takes what cannot be read.

        Raises
        ------
        InputError
            A file has another form: names file and key or row.
        """
        raise NotImplementedError
