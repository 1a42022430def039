"""Arrays as text within a page, which its script reads back."""

from __future__ import annotations

import base64
import io
import zlib
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Precision = Literal["float32", "int16"]
"""Numbers that a map is kept in: its own, or 65,535 levels between its negative and its positive
extreme, in which zero stays zero and no value is further off than half a level."""

_STEPS = 32767


def pack(values: NDArray[np.floating], precision: Precision) -> dict[str, Any]:
    """Return a map as text: `shape`, `precision`, `scale`, and `values` in zlib and base 64.

    Parameters
    ----------
    values : (h, w), finite.
    precision : ``float32`` loses nothing. Under ``int16`` a value is a whole number times `scale`.

    Raises
    ------
    ValueError
        The precision is not known, or a value is not finite.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision {precision!r}: allowed are {', '.join(get_args(Precision))}")
    plain = np.asarray(values, np.float32)
    if not np.isfinite(plain).all():
        raise ValueError("a map in a page must be finite")
    scale = 1.0
    packed: NDArray[Any] = plain.astype("<f4")
    if precision == "int16":
        # The script multiplies in 64 bits and rounds to 32, so `unpack` does the same.
        scale = float(np.abs(plain).max(initial=0)) / _STEPS or 1.0
        packed = np.rint(plain / scale).clip(-_STEPS, _STEPS).astype("<i2")
    text = base64.b64encode(zlib.compress(packed.tobytes(), 6)).decode("ascii")
    return {"shape": list(plain.shape), "precision": precision, "scale": scale, "values": text}


def unpack(packed: dict[str, Any]) -> NDArray[np.float32]:
    """Return the map (h, w) that a text holds, as the page's script reads it."""
    content = zlib.decompress(base64.b64decode(packed["values"]))
    if packed["precision"] == "float32":
        return np.frombuffer(content, "<f4").reshape(packed["shape"])
    codes = np.frombuffer(content, "<i2").reshape(packed["shape"])
    return (codes * packed["scale"]).astype(np.float32)


def png(image: NDArray[np.uint8], longest: int) -> str:
    """Return a radiograph (H, W) as the address of a PNG, no side longer than `longest` pixels."""
    height, width = image.shape
    share = min(1.0, longest / max(height, width))
    shown = Image.fromarray(image)
    if share < 1:
        size = max(round(width * share), 1), max(round(height * share), 1)
        shown = shown.resize(size, Image.Resampling.BOX)
    buffer = io.BytesIO()
    shown.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
