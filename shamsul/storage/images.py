"""Image shards: the radiographs as the model sees them, and the way back to their own pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shamsul.geometry import Frame
from shamsul.storage import shards

VERSION = 5
"""Version of the content of an image shard."""


@dataclass(frozen=True)
class Images:
    """Radiographs of one shard at the model's resolution, in the order of its manifest.

    Attributes
    ----------
    image : (N, H, W) uint8, grey values 0-255.
    image_id : (N,) str.
    frames : N frames; the way back to each radiograph's own pixels.
    """

    image: NDArray[np.uint8]
    image_id: list[str]
    frames: list[Frame]

    def __len__(self) -> int:
        return len(self.image_id)


def write_images(images: Images, path: str | Path) -> None:
    """Write an image shard: datasets `image`, `image_id` and `frame` (N, 7 float64)."""
    with shards.created(path, VERSION) as file:
        file.create_dataset("image", data=images.image)
        shards.write_names(file, images.image_id)
        shards.write_frames(file, images.frames)


def read_images(path: str | Path) -> Images:
    """Read an image shard.

    Raises
    ------
    InputError
        The file is damaged, or what is in it is not of the shape and type that it must be.
    """
    with shards.opened(path, VERSION) as file:
        image_id = shards.names(file)
        image = shards.values(file, "image", "u", len(image_id), None, None)
        return Images(image, image_id, shards.frames(file, len(image_id)))


def read_frames(path: str | Path) -> dict[str, Frame]:
    """Read the frames of an image shard by image_id, without reading pixels."""
    with shards.opened(path, VERSION, whole=False) as file:
        image_id = shards.names(file)
        return dict(zip(image_id, shards.frames(file, len(image_id)), strict=True))


def image_ids(path: str | Path) -> tuple[list[str], tuple[int, int]]:
    """Read the names of an undamaged shard's images, their height and width, but not the pixels."""
    with shards.opened(path, VERSION) as file:
        image_id = shards.names(file)
        return image_id, shards.dataset(file, "image", "u", len(image_id), None, None).shape[1:]
