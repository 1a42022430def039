"""The exact way from a radiograph's own pixels to the model's frame, and back.

A `Frame` is the pair of straight lines that takes a point of the radiograph to the model's frame,
``u = scale_x * x + offset_x`` and ``v = scale_y * y + offset_y``, in continuous coordinates where
pixel ``i`` covers the interval ``[i, i + 1)``. Resizing, padding and cropping are all of this form,
so one inverse serves all three and no mask or heatmap is shifted by half a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shamsul.size import Size, pair

Geometry = Literal["stretch", "pad", "crop"]
Resampling = Literal["bilinear", "bicubic", "lanczos", "area", "nearest"]
"""Filter by which a radiograph is brought to the model's frame; all but `nearest` look at every
pixel."""


@dataclass(frozen=True)
class Frame:
    """The place of a radiograph of `height` x `width` pixels in a frame of `size`."""

    height: int
    width: int
    size: Size
    scale_y: float
    scale_x: float
    offset_y: float
    offset_x: float

    @classmethod
    def fit(cls, height: int, width: int, size: int | Size, geometry: Geometry) -> Frame:
        """Return the frame of a radiograph under a geometry; one number is the side of a square.

        ``stretch`` maps each axis by itself (the studies did so); ``pad`` keeps the aspect ratio
        and centres the whole radiograph between black borders; ``crop`` keeps the aspect ratio and
        centres the radiograph so that it fills the frame, losing what lies outside.
        """
        rows, columns = full = pair(size)
        scale_y, scale_x = rows / height, columns / width
        if geometry == "pad":
            # Whole model pixels, so that the border between radiograph and padding is sharp.
            inner_y = max(round(height * min(scale_y, scale_x)), 1)
            inner_x = max(round(width * min(scale_y, scale_x)), 1)
            scale_y, scale_x = inner_y / height, inner_x / width
            offset = (rows - inner_y) // 2, (columns - inner_x) // 2
            return cls(height, width, full, scale_y, scale_x, *offset)
        if geometry == "crop":
            scale_y = scale_x = max(scale_y, scale_x)
        offset_y, offset_x = (rows - scale_y * height) / 2, (columns - scale_x * width) / 2
        return cls(height, width, full, scale_y, scale_x, offset_y, offset_x)

    def at(self, height: int, width: int) -> Frame:
        """Return the frame of the same radiograph in another resolution, as its mask may have."""
        return replace(
            self,
            height=height,
            width=width,
            scale_y=self.scale_y * self.height / height,
            scale_x=self.scale_x * self.width / width,
        )

    @property
    def whole(self) -> bool:
        """True where the frame shows the whole radiograph and nothing else, but for rounding."""
        shown = self.offset_y, self.offset_x, self.scale_y * self.height, self.scale_x * self.width
        return np.allclose(shown, (0, 0, *self.size))

    def filled(self) -> Frame:
        """Return the frame that the same radiograph fills, without padding or cropping."""
        return Frame.fit(self.height, self.width, self.size, "stretch")

    def to_row(self) -> tuple[float, ...]:
        """Return the frame as eight numbers, for storage."""
        lines = self.scale_y, self.scale_x, self.offset_y, self.offset_x
        return (self.height, self.width, *self.size, *lines)

    @classmethod
    def from_row(cls, row: Sequence[float] | NDArray[np.float64]) -> Frame:
        """Return the frame of eight numbers; the inverse of `to_row`."""
        height, width, rows, columns = (int(number) for number in row[:4])
        return cls(height, width, (rows, columns), *(float(number) for number in row[4:]))


_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


def to_model(
    image: NDArray[np.uint8], frame: Frame, resampling: Resampling = "bilinear"
) -> NDArray[np.uint8]:
    """Bring a radiograph to the model's frame with an antialiased filter.

    Parameters
    ----------
    image : (height, width) uint8.
    frame : the frame of that height and width.
    resampling : filter; `area` is Pillow's box filter, the mean of the pixels in each of the
        frame's.

    Returns
    -------
    (rows, columns) uint8; black where the frame reaches beyond the radiograph.
    """
    top, bottom, y0, y1 = _shown(frame.offset_y, frame.scale_y, frame.height, frame.size[0])
    left, right, x0, x1 = _shown(frame.offset_x, frame.scale_x, frame.width, frame.size[1])
    shown = Image.fromarray(image).resize(
        (right - left, bottom - top), _FILTERS[resampling], box=(x0, y0, x1, y1)
    )
    model = np.zeros(frame.size, np.uint8)
    model[top:bottom, left:right] = np.asarray(shown)
    return model


def _shown(offset: float, scale: float, length: int, size: int) -> tuple[int, int, float, float]:
    """Return, along one axis, the model pixels that show the radiograph, and its part in them."""
    first, last = max(round(offset), 0), min(round(offset + scale * length), size)
    start, stop = (first - offset) / scale, (last - offset) / scale
    return first, last, max(start, 0.0), min(stop, float(length))


def to_original(
    heatmap: NDArray[np.floating], frame: Frame, outside: float = 0.0
) -> NDArray[np.float32]:
    """Bring a heatmap back to the radiograph's own pixels by bilinear interpolation.

    Under `stretch` this is ``interpolate(..., mode="bilinear", align_corners=False)`` of torch and
    ``INTER_LINEAR`` of OpenCV.

    Parameters
    ----------
    heatmap : (h, w), of any resolution, covering the model's frame evenly.
    frame : the frame of the radiograph.
    outside : value where a crop kept the radiograph from the model.

    Returns
    -------
    (height, width) float32.
    """
    heatmap = np.asarray(heatmap, np.float32)
    down, across = Line.both(frame, heatmap.shape)
    rows = heatmap[:, across.low] * (1 - across.weight) + heatmap[:, across.high] * across.weight
    weight = down.weight[:, None]
    original = rows[down.low] * (1 - weight)
    original += rows[down.high] * weight
    original[~down.seen] = outside
    original[:, ~across.seen] = outside
    return original


@dataclass(frozen=True)
class Line:
    """Bilinear sampling along one axis: two neighbours, the second one's weight, seen or not."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float32]
    seen: NDArray[np.bool_]

    @classmethod
    def both(cls, frame: Frame, cells: Sequence[int]) -> tuple[Line, Line]:
        """Sample cells (h, w) that cover the frame down and across the radiograph."""
        rows, columns = frame.size
        return (
            cls.along(frame.height, frame.scale_y, frame.offset_y, rows, cells[0]),
            cls.along(frame.width, frame.scale_x, frame.offset_x, columns, cells[1]),
        )

    @classmethod
    def along(cls, length: int, scale: float, offset: float, size: int, cells: int) -> Line:
        """Sample `cells` that cover the `size` of the frame's axis at each of `length` pixels."""
        model = (np.arange(length) + 0.5) * scale + offset
        cell = np.clip(model * (cells / size) - 0.5, 0, cells - 1)
        low = np.floor(cell).astype(np.intp)
        return cls(
            low,
            np.minimum(low + 1, cells - 1),
            (cell - low).astype(np.float32),
            (model >= 0) & (model <= size),
        )

    def beside(self, cell: int) -> Line:
        """Return the same line, its unseen part taken from another cell."""
        return Line(
            np.where(self.seen, self.low, cell),
            np.where(self.seen, self.high, cell),
            np.where(self.seen, self.weight, np.float32(0)),
            np.ones_like(self.seen),
        )
