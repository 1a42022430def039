"""The two classes that every dataset adapter is made of.

An adapter is one module in `shamsul.data.adapters`. It holds one subclass of `DiskSource`: the keys
of its entry in `data.sources` are the fields of the class, and its methods read the files. Nothing
else lists adapters: the configuration, its schema and its page find them there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.settings import Fraction, Name, Section, Split

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["image_id", "patient_id", "study_id", "view", "projection", "path", "sex", "age"]
"""Columns of an adapter's table of images; one column per class follows them.

view : `frontal` or `lateral`. projection : `AP`, `PA` or missing. path : relative to the source's
folder. sex : `F`, `M` or missing. age : years. Classes: 1, 0, -1 uncertain, missing where not
mentioned.
"""


class Source(Section):
    """An entry of `data.sources`. A subclass declares `adapter: Literal["..."]`, its name."""

    adapter: str
    """Name of the adapter that reads the source."""
    name: Name
    """Name of the source; no two have the same."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """Return the splits that the source's images may belong to."""
        raise NotImplementedError

    def files(self) -> list[str]:
        """Return the label and mask files, relative to the source's folder."""
        raise NotImplementedError

    def generated_files(self) -> list[str]:
        """Return the files that the run makes itself, relative to the source's folder."""
        return []

    def folder(self, data_root: Path, generated: Path) -> Path:
        """Return the source's folder.

        Parameters
        ----------
        data_root : folder of the data on disk.
        generated : folder that holds one folder for each source that the run makes.
        """
        return data_root

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries of `data.sources`, each of an adapter that reads, equal to this."""
        raise NotImplementedError

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check the source before any job starts.

        Parameters
        ----------
        root : the source's folder.
        classes : names of the classes that the model predicts.

        Raises
        ------
        InputError
            A file or a column is missing, or the source does not know a class.
        """
        raise NotImplementedError


class DiskSource(Source):
    """A source whose files are on disk, and the splits that its images belong to."""

    split: Split | dict[Split, Fraction]
    """One split, or fractions by which patients are divided among splits."""
    depth: Annotated[int, Field(ge=1, le=32)] | None = None
    """Bits that grey values fill in files of more than 8 bits. If absent, those of the largest
    value in any of the source's files; DICOM says its own."""

    @field_validator("split")
    @classmethod
    def _fractions_sum_to_one(cls, split: Any) -> Any:
        if isinstance(split, dict) and abs(sum(split.values()) - 1) > 1e-6:
            raise ValueError(f"fractions sum to {sum(split.values()):g}, not 1")
        return split

    @property
    def splits(self) -> tuple[Split, ...]:
        """Return the splits that the source's images may belong to."""
        return (self.split,) if isinstance(self.split, str) else tuple(self.split)

    def entries(self) -> list[dict[str, Any]]:
        """Return the source's own entry."""
        return [self.model_dump()]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check that the files exist; as `Source.check`."""
        self.require(root, self.files())

    def require(self, root: Path, files: list[str]) -> None:
        """Raise an InputError where one of the files or folders does not exist."""
        for file in files:
            if not (root / file).exists():
                raise InputError(
                    f"data source {self.name}: {root / file} does not exist; set data.root (now "
                    f"{root}) or the environment variable SHAMSUL_DATA to the folder that the data "
                    "lies in"
                )

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the list of images.

        Parameters
        ----------
        root : the source's folder.
        classes : names of the classes that the model predicts.
        rejected : takes the rows that cannot be used.

        Returns
        -------
        One row per image: the columns `COLUMNS`, then one per class.

        Raises
        ------
        InputError
            A cell is wrong or an image's file is missing: names file, row and column.
        """
        raise NotImplementedError

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Read the masks of the listed images.

        Parameters
        ----------
        root : the source's folder.
        images : rows of `read_images` that are used, with the height and width of each file.
        rejected : takes the masks that cannot be used.

        Returns
        -------
        One row per mask: the columns `shamsul.data.masks.MASK_COLUMNS`.

        Raises
        ------
        InputError
            A file of masks is unreadable or malformed: names file and image.
        """
        raise NotImplementedError
