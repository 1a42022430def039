"""Configuration of the data: sources, geometry and shards."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PositiveInt, field_validator

from shamsul.data.adapter import Source
from shamsul.data.registry import adapters
from shamsul.geometry import Geometry, Resampling
from shamsul.settings import SPLITS, Section, Split, Variants
from shamsul.size import Size, pair

Side = Annotated[int, Field(ge=32)]
"""A side of an image in pixels."""


def _size(given: Any) -> Any:
    """Return height and width of an image, of which the side is given where it is square."""
    sides = pair(given)
    whole = isinstance(sides, list | tuple) and [type(side) for side in sides] == [int, int]
    if not whole or min(sides) < 32:
        raise ValueError(
            f"is the side of a square or [HEIGHT, WIDTH], of at least 32 pixels each, not {given!r}"
        )
    return sides


ImageSize = Annotated[Size, BeforeValidator(_size, json_schema_input_type=Side | tuple[Side, Side])]


SHARDS_OF_A_PART = 4
"""Number of shards whose images one job reads at first, to see what they are."""


class Data(Section):
    """Sources of radiographs, and the way to the model's frame."""

    # The adapters are looked for when a configuration is read, not when this module is imported.
    model_config = ConfigDict(defer_build=True)

    root: str = "."
    """Folder that the sources' paths are in. The variable SHAMSUL_DATA, where set, wins."""
    sources: tuple[Annotated[Source, Variants("adapter", adapters)], ...]
    """Sources of radiographs, labels and masks; together they have every split."""
    views: Annotated[tuple[Literal["frontal", "lateral"], ...], Field(min_length=1)] = ("frontal",)
    """Views that are used; images of others are left out."""
    size: ImageSize = (224, 224)
    """Size in pixels of the image that the model sees: the side of a square, or
    `[HEIGHT, WIDTH]`."""
    geometry: Geometry = "stretch"
    """Way to fit a radiograph to that: `stretch` scales each axis by itself, `pad` keeps the
    aspect ratio and adds black borders, `crop` keeps it and cuts off what lies outside."""
    resampling: Resampling = "bilinear"
    """Filter by which a radiograph is resized, as Pillow has it; all but `nearest` look at every
    pixel."""
    shards: dict[Split, PositiveInt] = {"train": 2, "tune": 1, "test": 1}
    """Number of files that each split's images are spread over, by a hash of their name; 1 for a
    split that is not named."""
    exclude: tuple[str, ...] = ()
    """Images to leave out, by image_id or by path; a name that no source has is an error."""
    on_bad_image: Literal["quarantine", "fail"] | None = None
    """Treatment of images, rows and masks that cannot be used: `quarantine` leaves them out and
    lists them in the table `rejected`, `fail` stops the run. If absent, `quarantine` for sources
    of more than 100 images."""
    pseudonymise: str | None = None
    """File with a secret key, relative to Snakemake's working folder. Keyed hashes take the place
    of names of images, patients and studies in all results; the names are kept in a folder beside
    the key."""

    @property
    def parts(self) -> int:
        """Return the number of parts that the image files are read in, each by a job of its own.

        A part is read in less time than a shard is made, so that it is as large as several.
        """
        return -(-sum(self.shards.values()) // SHARDS_OF_A_PART)

    @field_validator("shards")
    @classmethod
    def _every_split_has_shards(cls, shards: dict[Split, int]) -> dict[Split, int]:
        return {split: shards.get(split, 1) for split in SPLITS}

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        names = [source.name for source in sources]
        if len(set(names)) < len(names):
            raise ValueError(f"two sources have the same name: {', '.join(sorted(names))}")
        return sources
