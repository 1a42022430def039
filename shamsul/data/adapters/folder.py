"""A folder of one's own: any tables, any images, and masks of any usual form.

Nothing has to be renamed or moved. The configuration names the columns of the tables, or a template
of the file names, and maps the names of findings to classes. `shamsul init FOLDER` writes it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from shamsul import lazy
from shamsul.data import table_files
from shamsul.data.adapter import COLUMNS, DiskSource
from shamsul.data.annotations.base import AnnotationFile
from shamsul.data.annotations.drawing import to_masks
from shamsul.data.annotations.forms import forms
from shamsul.data.folder_images import FolderImages
from shamsul.data.masks import MASK_COLUMNS
from shamsul.data.matching import Names, template
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError
from shamsul.settings import SPLITS, Fraction, Section, Split, Variants, unknown

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

WORDS = ("patient", "study", "view", "projection", "sex", "age", "split", "label")
"""Words that a template of images may hold in braces."""


class Columns(Section):
    """Columns of the tables by what they hold; a key that is absent is in no column."""

    path: str | None = None
    """Column of the image's path or file name."""
    patient: str | None = None
    """Column of the patient. Without it and without `{patient}` in `named`, each image is a
    patient of its own."""
    study: str | None = None
    """Column of the study."""
    view: str | None = None
    """Column of the view, frontal or lateral."""
    projection: str | None = None
    """Column of the projection, AP or PA; a word such as LATERAL is a view too."""
    sex: str | None = None
    """Column of the sex."""
    age: str | None = None
    """Column of the age in years; `018M` is 18 months."""
    split: str | None = None
    """Column of the split: train, val or tune, test."""
    reader: str | None = None
    """Column of the reader, where each image has a row for each: their labels are averaged."""
    labels: str | None = None
    """Column of a list of findings, such as `Mass|Edema`, instead of one column for each."""

    def named(self) -> dict[str, str]:
        """Return the columns by what they hold."""
        return {key: name for key, name in self.model_dump().items() if name is not None}


class FolderSource(DiskSource):
    """A folder of images, tables and masks as one has them."""

    adapter: Literal["folder"]
    split: Split | dict[Split, Fraction] | None = None  # type: ignore[assignment]
    """One split, or fractions by which patients are divided among splits. It may be absent where a
    column or `{split}` says it; with both, fractions divide the patients without one."""
    images: str = "."
    """Folder of the images, with those in it, relative to `data.root`."""
    named: str | None = None
    """Template of the images' paths: `{patient}`, `{study}`, `{view}`, `{projection}`, `{sex}`,
    `{age}`, `{split}` and `{label}` (the finding) stand for what a part of the path says, `*` for
    anything."""
    tables: tuple[str, ...] = ()
    """CSV, TSV, Parquet or Excel files with a row for each image, relative to `data.root`. Without
    any, all images in the folder are taken."""
    sheet: str | None = None
    """Sheet of the workbooks among them; their first one where absent."""
    columns: Columns = Columns()
    """Columns of the tables by what they hold."""
    labels: dict[str, str] = {}
    """Classes by the name of their column, or by the name that lists, folders and masks give them.
    A name that is a class needs no entry. Several names may be one class."""
    separator: Annotated[str, Field(min_length=1)] = "|"
    """Text between two findings of a list."""
    threshold: Fraction | None = None
    """Smallest probability from which a class is present, where labels are probabilities."""
    unlabelled: tuple[str, ...] = ()
    """Classes of which the source says nothing; their labels are missing."""
    masks: tuple[Annotated[AnnotationFile, Variants("form", forms)], ...] = ()
    """Files of masks and boxes."""

    @field_validator("named")
    @classmethod
    def _is_a_template(cls, text: str | None) -> str | None:
        if text is not None:
            template(text, WORDS)
        return text

    @model_validator(mode="after")
    def _says_where_things_are(self) -> FolderSource:
        words = self.words
        if self.tables and self.columns.path is None:
            raise ValueError("columns: needs `path`, the column of the images' paths")
        if not self.tables and self.columns.named():
            raise ValueError("columns: there are no `tables` that they could be of")
        if self.split is None and "split" not in words and self.columns.split is None:
            raise ValueError("split: is required, unless `columns.split` names a column of it")
        if self.columns.labels and "label" in words:
            raise ValueError("columns.labels: findings are in `named` too; name one of the two")
        return self

    @property
    def words(self) -> set[str]:
        """Words that the template of the images holds."""
        return set(re.findall(r"\{(\w+)\}", self.named or ""))

    @property
    def splits(self) -> tuple[Split, ...]:
        """Splits that the source's images may belong to."""
        if "split" in self.words or self.columns.split:
            return SPLITS
        return super().splits

    def files(self) -> list[str]:
        """Return the tables and files of masks, relative to `data.root`."""
        masks = [file for entry in self.masks for file in entry.files()]
        return [*self.tables, *dict.fromkeys(masks)]

    def inputs(self, root: Path) -> list[Path]:
        """Return the tables, the files of masks, and without a table the folder of images."""
        masks = [file for entry in self.masks for file in entry.inputs(root)]
        listed = [root / table for table in self.tables] or [root / self.images]
        return [*listed, *dict.fromkeys(masks)]

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check files, columns and the names of classes; as `Source.check`."""
        self.require(root, [self.images, *self.files()])
        place = f"data source {self.name}"
        for name in (*self.labels.values(), *self.unlabelled):
            if name not in classes:
                raise InputError(f"{place}: labels: {unknown(name, classes, 'class')}")
        for table in self.tables:
            file = root / table
            found = table_files.header(file, self.sheet)
            for key, column in self.columns.named().items():
                if column not in found:
                    fault = unknown(column, found, "column")
                    raise InputError(f"{file}: lacks a column: {fault} (columns.{key})")
            if not self.columns.labels and "label" not in self.words:
                self._check_labels(file, found, classes)
        if not self.tables and "label" not in self.words:
            lacking = [name for name in classes if name not in self.unlabelled]
            if lacking:
                raise InputError(
                    f"{place}: nothing says the label of {lacking[0]!r}: give `tables`, "
                    "`{label}` in `named`, or list the class under `unlabelled`"
                )
        for entry in self.masks:
            entry.check(root)
            for name in entry.labels.values():
                if name not in classes:
                    raise InputError(f"{place}: masks: {unknown(name, classes, 'class')}")

    def _check_labels(self, file: Path, columns: list[str], classes: tuple[str, ...]) -> None:
        """Raise an InputError where a class has no column."""
        free = [name for name in columns if name not in self.columns.named().values()]
        for name in classes:
            if name not in self.unlabelled and not self.columns_of(name, columns):
                raise InputError(
                    f"{file}: has no column for class {name!r}: {unknown(name, free, 'column')}; "
                    f"map the right one by `labels: {{COLUMN: {name}}}`"
                )

    def columns_of(self, name: str, columns: list[str]) -> list[str]:
        """Return the columns of a class: those that are mapped to it, or the one of its name."""
        mapped = [column for column in columns if self.labels.get(column) == name]
        own = name in columns and name not in self.labels
        return mapped + [name] * own

    def read_images(
        self, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> pd.DataFrame:
        """Read the images that tables or the folder list; as `DiskSource.read_images`.

        A column `split` follows where a column or the template says it.
        """
        found = FolderImages(self, root, classes, rejected).read()
        own = ["split"] if "split" in found else []
        return found[[*COLUMNS, *classes, *own]].reset_index(drop=True)

    def read_masks(self, root: Path, images: pd.DataFrame, rejected: Rejections) -> pd.DataFrame:
        """Draw the masks and boxes of all files; as `DiskSource.read_masks`."""
        others = dict(zip(images["image_id"], images["path"], strict=True))
        names = Names(images["path"], others)
        drawn = [
            to_masks(
                entry.read(root, rejected), images, names, entry, entry.labels or self.labels,
                rejected,
            )
            for entry in self.masks
        ]  # fmt: skip
        empty = pd.DataFrame(columns=MASK_COLUMNS)
        table = pd.concat([part for part in drawn if len(part)] or [empty], ignore_index=True)
        return _distinct(table, self.name)


def _distinct(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return masks, of which no two files may give the same; two are an InputError."""
    key = ["image_id", "class", "annotator", "kind"]
    again = table[table.duplicated(key, keep=False)]
    if len(again):
        row = again.iloc[0]
        raise InputError(
            f"data source {source}: masks: {row['class']!r} of image {row['image_id']!r} is in two "
            f"entries ({len(again)} such masks); leave one out, or give each its own `reader`"
        )
    return table.astype({"height": "int64", "width": "int64", "instances": "int64"})
