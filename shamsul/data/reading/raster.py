"""Radiographs from PNG, JPEG, TIFF and WebP, of any depth and colour."""

from __future__ import annotations

import importlib
import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from shamsul.data.reading.picture import Note, Picture, UnreadableError, check_size

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

# On damaged EXIF data, which are looked at for the orientation alone.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# The class of a format and not Pillow's `open`: it tries no other format, some of which start
# programs, and has a limit of its own on pixels, which it tells in two lines.
CLASSES: dict[str, type[ImageFile]] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "TIFF": TiffImageFile,
    "WebP": WebPImageFile,
}
"""Pillow's class of a file by the name of its format."""
_ORIENTATION, _PHOTOMETRIC = 0x0112, 262
_WHITE_IS_ZERO = 0
_UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: a.T[:, ::-1],
    7: lambda a: a.T[::-1, ::-1],
    8: lambda a: a.T[::-1],
}
"""Ways to turn an array upright, by the EXIF orientation of its image; 1 is upright."""


def opened(content: bytes, kind: str) -> ImageFile:
    """Read the header of an image.

    Parameters
    ----------
    content : bytes of the file.
    kind : name of its format, a key of `CLASSES`.

    Raises
    ------
    UnreadableError
        The image is larger than any radiograph. Pillow has errors of its own for damaged files.
    """
    image = CLASSES[kind](io.BytesIO(content))
    check_size(image.height, image.width)
    return image


def decode(content: bytes, kind: str) -> Picture:
    """Read a radiograph; parameters and errors as `opened`.

    Colour becomes luminance (ITU-R 601-2), transparency is composed on black, an EXIF orientation
    is obeyed, and of several frames the first is taken.
    """
    with opened(content, kind) as image:
        wide_colour = _is_wide_colour(image)  # Before anything else has Pillow decode it.
        notes = notes_of(image)
        bits, inverted = 8, False
        grey: NDArray[np.integer]
        if wide_colour:
            grey, bits = _wide_colour(content), 16
        elif image.mode.startswith("I") or image.mode == "F":
            inverted = _white_is_zero(image)
            grey, bits = _wide_grey(image)
        else:
            grey = _narrow(image)
        turn = _UPRIGHT.get(orientation(image))
    if turn:
        grey = np.ascontiguousarray(turn(grey))
    return Picture(grey, bits, bits == 8, inverted, notes)


def orientation(image: ImageFile) -> int:
    """Return the EXIF orientation of an image: 1 to 8, of which 1 is upright."""
    found = image.getexif().get(_ORIENTATION, 1)
    return found if found in _UPRIGHT else 1


def notes_of(image: ImageFile) -> tuple[Note, ...]:
    """Return what is to be said of an image by its header."""
    found: list[Note] = []
    if orientation(image) != 1:
        found.append("turned upright as its EXIF orientation says")
    if getattr(image, "n_frames", 1) > 1:
        found.append("first of several frames")
    if image.has_transparency_data:
        found.append("transparency composed on black")
    return tuple(found)


def _narrow(image: ImageFile) -> NDArray[np.integer]:
    """Return the grey values of an image of at most 8 bits a channel."""
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"))
    full = image.convert("RGBA")
    return _composed(np.asarray(full.convert("L")), np.asarray(full.getchannel("A")), 255)


def _composed(
    grey: NDArray[np.integer], alpha: NDArray[np.integer], highest: int
) -> NDArray[np.integer]:
    """Return grey values laid over black: grey * alpha / highest, rounded half up."""
    laid = (grey.astype(np.uint64) * alpha + highest // 2) // highest
    return laid.astype(grey.dtype)


def _wide_grey(image: ImageFile) -> tuple[NDArray[np.integer], int]:
    """Return the values of an image of one channel of more than 8 bits, and their bits."""
    if image.mode == "F":
        raise UnreadableError("has floating-point values, whose range nobody knows")
    values = np.asarray(image)
    if values.min() < 0:
        raise UnreadableError("has negative values, whose range nobody knows")
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        values = np.where(values == clear, 0, values)
    # A 16-bit image may be opened as one of 32 bits.
    return values, 16 if values.max() < 2**16 else 32


def _white_is_zero(image: ImageFile) -> bool:
    """Return whether low values of a TIFF file of one channel are white; Pillow turns 8 bits."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _is_wide_colour(image: ImageFile) -> bool:
    """Return whether Pillow would cut 16 bits a channel to the upper 8."""
    return not image.mode.startswith("I") and any(";16" in str(tile.args) for tile in image.tile)


def _wide_colour(content: bytes) -> NDArray[np.integer]:
    """Return the luminance of an image of several channels of 16 bits, composed on black."""
    # Not by an import: these files are decoded without loss, whatever the version, so that another
    # one of OpenCV reruns nothing.
    cv2 = importlib.import_module("cv2")
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise UnreadableError("is damaged, or has 16 bits a channel in an unusual form")
    blue, green, red = (values[..., channel].astype(np.uint32) for channel in range(3))
    # Pillow's weights of ITU-R 601-2, in 1/65536.
    wide = (19595 * red.astype(np.uint64) + 38470 * green + 7471 * blue + 0x8000) >> 16
    grey = wide.astype(np.uint16)
    return _composed(grey, values[..., 3], 65535) if values.shape[2] == 4 else grey
