"""Radiographs from DICOM files, and what their headers say of the image.

The way from stored values to what a viewer shows is that of the standard (PS3.3, C.11): modality
LUT or rescale, VOI LUT or window, presentation. pydicom does these steps; its decoders read
compressed files (`shamsul[dicom]`).
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import dcmread
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels import pixel_array as decoded
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from shamsul.data.reading.picture import Note, Picture, UnreadableError, check_size
from shamsul.errors import InputError, first_line

if TYPE_CHECKING:
    from pydicom import Dataset

# Values that the standard would have otherwise are many, and the warnings show them: names, dates.
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
"""Years in a unit of an age (PS3.5, 6.2: AS)."""
_FRONTAL, _LATERAL = ("AP", "PA"), ("LL", "RL", "LATERAL", "LLD", "RLD")
_TAGS = (
    *("ViewPosition", "ImageLaterality", "Laterality", "PatientOrientation", "PatientSex"),
    *("PatientAge", "Modality", "BodyPartExamined", "PatientID", "StudyInstanceUID"),
)


@dataclass(frozen=True)
class Header:
    """Statements of a DICOM file's header on its image and patient.

    Attributes
    ----------
    view : `frontal` or `lateral`; empty where it is not said.
    projection : `AP` or `PA`; empty where it is not said.
    laterality : `L`, `R` or `B`, the side or both sides of the body; empty where it is not said.
    sex : `F` or `M`; empty where it is another or not said.
    age : years; NaN where it is not said.
    patient_id, study_id : names of patient and study; empty unless they were asked for.
    """

    view: Literal["frontal", "lateral", ""]
    projection: Literal["AP", "PA", ""]
    laterality: Literal["L", "R", "B", ""]
    sex: Literal["F", "M", ""]
    age: float
    patient_id: str = ""
    study_id: str = ""


def header(path: Path, identity: bool = False) -> Header:
    """Read what the header of a DICOM file says; pixels are not read.

    Parameters
    ----------
    path : DICOM file.
    identity : True to read the names of patient and study too.

    Raises
    ------
    InputError
        The file is missing, or its header is damaged.
    """
    try:
        dataset = dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
        position = _text(dataset, "ViewPosition")
        side = _text(dataset, "ImageLaterality") or _text(dataset, "Laterality")
        sex = _text(dataset, "PatientSex")
        age = _age(_text(dataset, "PatientAge"))
        names = (_plain(dataset, "PatientID"), _plain(dataset, "StudyInstanceUID"))
    except Exception as error:  # pydicom raises whatever it meets on foreign bytes.
        raise InputError(f"{path}: not a readable DICOM file ({first_line(error)[:200]})") from None
    return Header(
        "frontal" if position in _FRONTAL else "lateral" if position in _LATERAL else "",
        position if position in _FRONTAL else "",  # type: ignore[arg-type]
        side if side in ("L", "R", "B") else "",  # type: ignore[arg-type]
        sex if sex in ("F", "M") else "",  # type: ignore[arg-type]
        age,
        *(names if identity else ("", "")),
    )


def _age(text: str) -> float:
    """Return years from an age string such as `045Y` or `018M`; NaN from anything else."""
    found = re.fullmatch(r"(\d{1,3})([YMWD])", text)
    return int(found[1]) * _YEARS[found[2]] if found else float("nan")


def decode(content: bytes) -> Picture:
    """Read a radiograph as a viewer shows it, black where nothing was absorbed.

    Parameters
    ----------
    content : bytes of the file.

    Raises
    ------
    UnreadableError
        The file has no pixels, several frames, or values whose range it does not say. pydicom has
        errors of its own for damaged files, and for a compression that no installed decoder reads.
    """
    dataset = dcmread(io.BytesIO(content), force=True)
    _check(dataset)
    if "TransferSyntaxUID" not in dataset.file_meta:  # As old files without a preamble have it.
        implicit, _ = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    stored = _stored(dataset)
    if stored.ndim == 3 or dataset.PhotometricInterpretation == "PALETTE COLOR":
        grey = _luminance(stored, dataset)
    else:
        grey = _presented(stored, dataset)
    notes = _blacken(grey, stored, dataset)
    return Picture(grey, int(dataset.BitsStored), own_range=True, notes=notes)


def _stored(dataset: Dataset) -> NDArray[Any]:
    """Return the stored values; name the decoders that a compressed file needs where none is."""
    try:
        return decoded(dataset)
    except RuntimeError as error:
        if "missing dependencies" not in str(error):
            raise
        form = dataset.file_meta.TransferSyntaxUID.name
        raise UnreadableError(
            f"is a DICOM compressed as {form}, for which no decoder is installed: pip install "
            "'shamsul[dicom]'"
        ) from None


def _check(dataset: Dataset) -> None:
    """Raise an UnreadableError where the header already says that the file is no radiograph."""
    if "PixelData" not in dataset:
        raise UnreadableError("is a DICOM without pixels, such as a report or a presentation state")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnreadableError(f"is a DICOM of {frames} frames; export the one that is meant")
    check_size(int(dataset.Rows), int(dataset.Columns))
    if "HighBit" in dataset and dataset.HighBit != dataset.BitsStored - 1:
        raise UnreadableError(
            f"is a DICOM whose {dataset.BitsStored} stored bits end at bit {dataset.HighBit}"
        )


def _presented(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    """Return stored values after modality LUT, VOI LUT or window, and presentation, as uint8."""
    values = apply_voi_lut(apply_modality_lut(stored, dataset), dataset).astype(np.float64)
    low, high = _range(dataset)
    share = np.clip((values - low) / (high - low), 0, 1)
    dark = dataset.PhotometricInterpretation == "MONOCHROME1"
    if dark or dataset.get("PresentationLUTShape") == "INVERSE":
        share = 1 - share
    return (share * 255 + 0.5).astype(np.uint8)


def _range(dataset: Dataset) -> tuple[float, float]:
    """Return the values that black and white have after the VOI LUT or window (C.11.2)."""
    if _has_voi_lut(dataset):
        return 0, 2 ** _lut_bits(dataset.VOILUTSequence[0]) - 1
    if dataset.get("ModalityLUTSequence"):
        return 0, 2 ** _lut_bits(dataset.ModalityLUTSequence[0]) - 1
    bits = int(dataset.BitsStored)
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else None
    low, high = ends or (0, 2**bits - 1)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is not None and intercept is not None:
        low, high = sorted(float(end * slope + intercept) for end in (low, high))
    if low == high:
        raise UnreadableError("is a DICOM whose rescale slope is 0")
    return low, high


def _has_voi_lut(dataset: Dataset) -> bool:
    return bool(dataset.get("VOILUTSequence")) and "LUTData" in dataset.VOILUTSequence[0]


def _lut_bits(item: Dataset) -> int:
    return int(item.LUTDescriptor[2])


def _luminance(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    """Return the luminance of a picture in colour (ITU-R 601-2), as uint8."""
    bits = int(dataset.BitsStored)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
        bits = 8 * stored.dtype.itemsize
    if bits != 8:
        stored = np.minimum(stored * (255 / (2**bits - 1)) + 0.5, 255)
    return np.array(Image.fromarray(stored.astype(np.uint8)).convert("L"))


def _blacken(grey: NDArray[np.uint8], stored: NDArray[Any], dataset: Dataset) -> tuple[Note, ...]:
    """Make padding and what lies outside the shutter black, in place; return what is to be said."""
    notes: list[Note] = []
    if stored.ndim == 2 and (padding := _padding(stored, dataset)) is not None and padding.any():
        grey[padding] = 0
        notes.append("padding of the DICOM file made black")
    if "ShutterShape" in dataset:
        outside = ~_shutter(grey.shape, dataset)
        if outside.any():
            grey[outside] = 0
            notes.append("outside of the DICOM shutter made black")
    if any(element.tag.group & 0xFF01 == 0x6000 for element in dataset):
        notes.append("overlay of the DICOM file not drawn")
    if dataset.get("BurnedInAnnotation") == "YES":
        notes.append("text is burnt in, says the DICOM header")
    if stored.ndim == 2 and not _has_voi_lut(dataset) and "WindowWidth" not in dataset:
        notes.append("no window in the DICOM header: all stored bits are the range")
    return tuple(notes)


def _padding(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_] | None:
    """Return the pixels that are padding (C.7.5.1.1.2), None where the header names none."""
    if "PixelPaddingValue" not in dataset:
        return None
    value = int(dataset.PixelPaddingValue)
    limit = int(dataset.get("PixelPaddingRangeLimit", value))
    return (stored >= min(value, limit)) & (stored <= max(value, limit))


def _shutter(shape: tuple[int, ...], dataset: Dataset) -> NDArray[np.bool_]:
    """Return the pixels inside the shutter: rectangle, circle and polygon together (C.7.6.11)."""
    shapes = dataset.ShutterShape
    inside = np.ones(shape, bool)
    rows, columns = np.indices(shape, sparse=True)
    for name in shapes if isinstance(shapes, MultiValue) else [shapes]:
        if name == "RECTANGULAR":
            inside &= (rows >= dataset.ShutterUpperHorizontalEdge - 1) & (
                rows <= dataset.ShutterLowerHorizontalEdge - 1
            )
            inside &= (columns >= dataset.ShutterLeftVerticalEdge - 1) & (
                columns <= dataset.ShutterRightVerticalEdge - 1
            )
        elif name == "CIRCULAR":
            row, column = dataset.CenterOfCircularShutter
            far = (rows - (row - 1)) ** 2 + (columns - (column - 1)) ** 2
            inside &= far <= dataset.RadiusOfCircularShutter**2
        elif name == "POLYGONAL":
            inside &= _polygon(shape, list(dataset.VerticesOfThePolygonalShutter))
    return inside


def _polygon(shape: tuple[int, ...], vertices: list[int]) -> NDArray[np.bool_]:
    """Return the pixels of a polygon, whose vertices are row and column in turn, from 1."""
    height, width = shape
    drawn = Image.new("1", (width, height))
    points = [(x - 1, y - 1) for y, x in zip(vertices[::2], vertices[1::2], strict=True)]
    ImageDraw.Draw(drawn).polygon(points, fill=1)
    return np.array(drawn)


def _plain(dataset: Dataset, name: str) -> str:
    value = dataset.get(name)
    return "" if value is None else str(value).strip()


def _text(dataset: Dataset, name: str) -> str:
    return _plain(dataset, name).upper()
