"""Image files: what is known of each after it has been read once, and its grey values."""

from __future__ import annotations

import hashlib
import logging
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.data.reading import raster
from shamsul.data.reading.formats import HEAD, READ, recognise, refusal
from shamsul.data.reading.picture import (
    LARGEST_FILE,
    LEAST,
    Picture,
    UnreadableError,
    notes_on_shape,
)
from shamsul.errors import InputError, first_line, is_fault

if TYPE_CHECKING:
    from shamsul.data.reading import dicom
else:
    dicom = lazy.load("shamsul.data.reading.dicom")

logger = logging.getLogger(__name__)

SUGGESTION = "replace it, or add it to data.exclude"
"""Remedies for an image file that cannot be read."""


@dataclass(frozen=True)
class Facts:
    """Properties of an image file, found by reading it once.

    Attributes
    ----------
    sha256 : checksum of its content; empty where it could not be read at all.
    height, width : pixels, upright.
    bits : bits in which it stores a grey value.
    own_range : True where it says its range itself; see `Picture`.
    highest : largest stored grey value; 0 where it says its range.
    notes : remarks on it (`Note`), joined by `; `.
    reason : fault for which it is not read; empty where it is.
    """

    sha256: str = ""
    height: int = 0
    width: int = 0
    bits: int = 0
    own_range: bool = True
    highest: int = 0
    notes: str = ""
    reason: str = ""


def content(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises
    ------
    UnreadableError
        There is no such file, it may not be read, or it is no file or larger than `LARGEST_FILE`.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # Opening a pipe would wait for a writer.
            raise UnreadableError("is no regular file")
        if facts.st_size > LARGEST_FILE:
            raise UnreadableError(f"has {facts.st_size} bytes; no radiograph does")
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableError("does not exist") from None
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror})") from None
    except ValueError as error:
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError(f"is no path ({first_line(error)})") from None


def decode(data: bytes) -> Picture:
    """Read a radiograph from the bytes of its file.

    Raises
    ------
    UnreadableError
        It is of a format that is not read, damaged, of several frames (DICOM), of negative or
        floating-point values, or larger than any radiograph.
    """
    kind = _kind(data)
    try:
        return dicom.decode(data) if kind == "DICOM" else raster.decode(data, kind)
    except UnreadableError:
        raise
    except BaseException as error:  # On foreign bytes, decoders raise whatever they meet.
        if not is_fault(error):
            raise
        raise _damaged(kind, error) from None


def load(path: Path, depth: int | None = None) -> NDArray[np.uint8]:
    """Read a radiograph as 8-bit grey values, black 0 and white 255.

    PNG, JPEG, TIFF, WebP or DICOM, recognised by content. Colour is turned to luminance,
    transparency composed on black, and an EXIF orientation obeyed. In DICOM the modality LUT, the
    first VOI LUT or window, MONOCHROME1, padding and shutter are applied.

    Parameters
    ----------
    path : file of the radiograph.
    depth : bits that the grey values of the file's source fill, as the manifest has it; files of
        8 bits and DICOM say it themselves. If absent, those of the file's own largest value, which
        is logged.

    Returns
    -------
    (height, width) uint8.

    Raises
    ------
    InputError
        The file is missing, damaged or of another format.
    """
    try:
        picture = decode(content(path))
    except UnreadableError as error:
        raise InputError(f"{path}: not a readable image: it {error}") from None
    if depth is None and not picture.own_range:
        depth = max(int(picture.grey.max()).bit_length(), LEAST)
        logger.warning(
            "%s: grey values up to %d are taken as of %d bits", path, picture.grey.max(), depth
        )
    return picture.full_range(depth or LEAST)


def examine(path: Path) -> Facts:
    """Read an image file once, to its end, and return its facts; no fault of it is an error."""
    checksum = ""
    try:
        data = content(path)
        checksum = hashlib.sha256(data).hexdigest()
        facts = _jpeg(data) if _kind(data) == "JPEG" else _decoded(data)
    except UnreadableError as error:
        return Facts(checksum, reason=str(error))
    notes = "; ".join(filter(None, [facts.notes, *notes_on_shape(facts.height, facts.width)]))
    return replace(facts, sha256=checksum, notes=notes)


def _jpeg(data: bytes) -> Facts:
    """Return the facts of a JPEG: an eighth of its rows and columns shows that it is whole."""
    try:
        with raster.opened(data, "JPEG") as image:
            turned = raster.orientation(image) >= 5
            width, height = image.size[::-1] if turned else image.size
            notes = "; ".join(raster.notes_of(image))
            image.draft("L", (1, 1))
            lowest, highest = image.convert("L").getextrema()
    except UnreadableError:
        raise
    except Exception as error:
        raise _damaged("JPEG", error) from None
    if lowest == highest:
        notes = "; ".join(filter(None, [notes, "one grey value everywhere"]))
    return Facts(height=height, width=width, bits=8, notes=notes)


def _decoded(data: bytes) -> Facts:
    picture = decode(data)
    height, width = picture.grey.shape
    highest = int(picture.grey.max())
    notes: list[str] = list(picture.notes)
    if highest == picture.grey.min():
        notes.append("one grey value everywhere")
    return Facts(
        height=height,
        width=width,
        bits=picture.bits,
        own_range=picture.own_range,
        highest=0 if picture.own_range else highest,
        notes="; ".join(notes),
    )


def _kind(data: bytes) -> str:
    kind = recognise(data[:HEAD])
    if kind not in READ:
        raise UnreadableError(refusal(data[:HEAD]))
    return kind


def _damaged(kind: str, error: BaseException) -> UnreadableError:
    if isinstance(error, AttributeError | TypeError):  # Python's own words for an element.
        missing = getattr(error, "name", None) or "an element of its usual kind"
        return UnreadableError(f"is a {kind} that cannot be read (its header lacks {missing})")
    return UnreadableError(f"is a {kind} that cannot be read ({first_line(error)[:200]})")
