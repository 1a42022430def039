"""The pixels that a phantom is drawn on: smooth outlines, rounded bodies and noise."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array

from shamsul.phantom.anatomy import Field, Points, View


class Canvas:
    """Draws chest coordinates on the pixels of one radiograph, antialiased."""

    def __init__(self, view: View) -> None:
        self.shape = view.height, view.width
        cos, sin = np.cos(view.angle) * view.scale, np.sin(view.angle) * view.scale
        self._matrix = np.array([[cos, sin], [-sin, cos]])
        # The point between the lungs lies in the middle of the radiograph.
        centre = np.array([view.width / 2 + view.shift_x, view.height / 2 + view.shift_y])
        self._offset = centre - np.array([0.0, 0.9]) @ self._matrix
        self.scale = view.scale

    @cached_property
    def grid(self) -> tuple[Field, Field]:
        """The chest coordinates (x, y) of the pixels' centres."""
        inverse = np.linalg.inv(self._matrix).astype(np.float32)
        rows = np.arange(self.shape[0], dtype=np.float32) + np.float32(0.5 - self._offset[1])
        columns = np.arange(self.shape[1], dtype=np.float32) + np.float32(0.5 - self._offset[0])
        x = columns * inverse[0, 0] + (rows * inverse[1, 0])[:, None]
        y = columns * inverse[0, 1] + (rows * inverse[1, 1])[:, None]
        return x, y

    def pixels(self, points: Points) -> Points:
        """Turn chest coordinates (..., 2) into continuous pixel coordinates x, y."""
        return points @ self._matrix + self._offset

    def layer(self, *shapes: tuple[Points, int]) -> Image.Image:
        """Fill outlines (n, 2), or many (m, n, 2), each with a grey value, later ones on top.

        Drawn at twice the resolution and averaged, so that edges are smooth.
        """
        image = Image.new("L", (2 * self.shape[1], 2 * self.shape[0]))
        draw = ImageDraw.Draw(image)
        for points, grey in shapes:
            # PIL counts from pixels' centres.
            place = (2 * self.pixels(points) - 0.5).reshape(-1, 2 * points.shape[-2]).tolist()
            for outline in place:
                draw.polygon(outline, fill=grey)
        return image.reduce(2)

    def field(self, *shapes: tuple[Points, int], weight: float = 1) -> Field:
        """Return `layer` as numbers; grey value 255 is `weight`."""
        return np.asarray(self.layer(*shapes)) * np.float32(weight / 255)

    def fill(self, *outlines: Points) -> Field:
        """Return 1 within the outlines, 0 outside, a value between at the edge."""
        return self.field(*((outline, 255) for outline in outlines))

    def rounded(self, *outlines: Points, edge: float, depth: float) -> tuple[Field, Field]:
        """Return the path length through a rounded body, and the mask of its shadow.

        Full resolution at the edge, where it is a share `edge` of its thickness; that grows
        inwards over about the distance `depth`.
        """
        layer = self.layer(*((outline, 255) for outline in outlines))
        coarse = 4 if depth < 0.1 else 8
        inner = np.asarray(layer.reduce(coarse)) * np.float32(1 / 255)
        inner = gaussian_filter(inner, depth * self.scale / coarse, mode="nearest", truncate=2)
        profile = edge + (1 - edge) * np.sqrt(np.clip(2 * inner - 1, 0, 1))
        mask = np.asarray(layer) * np.float32(1 / 255)
        path = self.enlarged(profile, coarse)
        path *= mask
        return path, mask

    def enlarged(self, coarse: Field, pixel: int) -> Field:
        """Spread a coarse field, whose pixels have that size, smoothly over the radiograph."""
        # Sparse, not BLAS: its threads would get in each other's way and may round differently.
        across = _spread(self.shape[1], coarse.shape[1], pixel) @ coarse.T
        return _spread(self.shape[0], coarse.shape[0], pixel) @ np.ascontiguousarray(across.T)

    def cloud(self, rng: np.random.Generator, size: float) -> Field:
        """Draw smooth noise of about unit variance, whose grains have that size."""
        pixel = max(round(size * self.scale), 1)
        rows, columns = (n // pixel + 2 for n in self.shape)
        grains = rng.standard_normal((rows, columns), dtype=np.float32)
        return self.enlarged(grains * np.float32(1.7), pixel)


@lru_cache(maxsize=4096)
def _spread(length: int, cells: int, pixel: int) -> csr_array:
    """Return weights of quadratic B-splines, sparse (length, cells); the ends are repeated."""
    place = (np.arange(length) + 0.5) / pixel - 0.5
    nearest = np.floor(place + 0.5)
    t = place - nearest
    weights = np.stack([(0.5 - t) ** 2 / 2, 0.75 - t**2, (0.5 + t) ** 2 / 2], axis=1)
    around = np.clip(nearest[:, None] + (-1, 0, 1), 0, cells - 1)
    starts = np.arange(0, 3 * length + 1, 3)
    values = weights.ravel().astype(np.float32), around.ravel().astype(np.int32), starts
    return csr_array(values, shape=(length, cells))
