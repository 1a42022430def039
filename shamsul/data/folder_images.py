"""Images of a folder of one's own, with what its tables and file names say of them."""

from __future__ import annotations

import logging
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from shamsul import lazy
from shamsul.data import label_values, listing, table_files, values
from shamsul.data.csv_files import line
from shamsul.data.matching import IMAGE_ENDINGS, Names, template
from shamsul.data.rejected import Rejections
from shamsul.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from shamsul.data.adapters.folder import FolderSource
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

READERS = {"sex": values.sexes, "age": values.ages, "split": values.splits}
"""Functions that read a column, by what it holds."""


class FolderImages:
    """Reader of a source's images.

    Parameters
    ----------
    source : the source.
    root : the source's folder.
    classes : names of the classes that the model predicts.
    rejected : takes rows that cannot be used.
    """

    def __init__(
        self, source: FolderSource, root: Path, classes: tuple[str, ...], rejected: Rejections
    ) -> None:
        self.source = source
        self.root = root
        self.folder = root / source.images
        self.classes = classes
        self.rejected = rejected
        self.on_disk = self._files()
        self.names = Names(self.on_disk, folder=self.folder.resolve().name)

    def read(self) -> pd.DataFrame:
        """Return a row for each image: `shamsul.data.adapter.COLUMNS`, classes, maybe `split`."""
        tables = self._tables()
        listed = [self._listed(file, table) for file, table in tables]
        images = pd.concat(listed, ignore_index=True)
        if self.source.columns.reader:
            images = self._of_readers(images)
        images = listing.without_repeats(images, self.rejected)
        images["image_id"] = listing.image_ids(images["path"].tolist())
        self._tell(images)
        whole = images["patient_id"].isna()
        images["patient_id"] = images["patient_id"].where(~whole, images["image_id"])
        images["study_id"] = images["study_id"].where(
            images["study_id"].notna(), images["image_id"]
        )
        images["path"] = [str(PurePosixPath(self.source.images, path)) for path in images["path"]]
        return images

    def _files(self) -> list[str]:
        """Return the files in the folder of images, without those of masks."""
        masks = [
            PurePosixPath(file).relative_to(self.source.images).as_posix()
            for entry in self.source.masks
            for file in entry.files()
            if PurePosixPath(file).is_relative_to(self.source.images)
        ]
        inside = tuple(f"{place}/" for place in masks if place != ".")
        found = listing.files_below(self.folder)
        return [file for file in found if not file.startswith(inside) and file not in masks]

    def _tables(self) -> list[tuple[Path, pd.DataFrame]]:
        """Return files and rows of the tables, or the files themselves as one."""
        if not self.source.tables:
            paths = [p for p in self.on_disk if PurePosixPath(p).suffix.lower() in IMAGE_ENDINGS]
            if not paths:
                raise InputError(
                    f"{self.folder}: holds no image; endings are {', '.join(sorted(IMAGE_ENDINGS))}"
                )
            self.rejected.expect(len(paths))
            return [(self.folder, pd.DataFrame({"path": paths}, dtype=str))]
        # Rows too short or too long are rejected once it is known how many there are.
        torn = Rejections(self.source.name, quarantine=True)
        files = [self.root / name for name in self.source.tables]
        found = [(file, table_files.read(file, torn, self.source.sheet)) for file in files]
        self.rejected.expect(sum(len(table) for _, table in found) + len(torn.found))
        for one in torn.found:
            self.rejected.add("row", one.file, one.reason, row=one.row)
        for file, table in found:
            if table.empty:
                raise InputError(f"{file}: has a header and no row; it needs one for each image")
        return found

    def _listed(self, file: Path, table: pd.DataFrame) -> pd.DataFrame:
        """Return the images of one table, with `file` and `row` of each; `path` in the folder."""
        path = self.source.columns.path if self.source.tables else "path"
        paths = (
            listing.on_disk(table, str(path), file, self.folder, self.names, self.rejected)
            if self.source.tables
            else table["path"].tolist()
        )
        images = pd.DataFrame(index=table.index)
        images["path"] = paths
        images["file"] = str(file)
        images["row"] = [line(table, row) for row in range(len(table))]
        used = images["path"].notna().to_numpy().copy()
        columns = self._with_words(table, paths, used)
        images["image_id"] = images["path"]
        for key in ("patient", "study"):
            images[f"{key}_id"] = self._texts(table, columns.get(key))
        if "patient" in columns:
            for row in np.flatnonzero(used & images["patient_id"].isna().to_numpy()).tolist():
                self.rejected.add(
                    "row", file, "is blank, where the patient should be", row=line(table, row),
                    field=columns["patient"],
                )  # fmt: skip
                used[row] = False
        self._views(images, table, columns, file)
        for key, read in READERS.items():
            if key in columns:
                images[key] = read(table, columns[key], file)
            elif key != "split":
                images[key] = np.nan if key == "age" else None
        used &= ~self._labels(images, table, file)
        used &= self._has_split(images, table, columns, file, used)
        self._tell_unused(table, columns, file)
        return images[used]

    def _with_words(
        self, table: pd.DataFrame, paths: list[str | None], used: np.ndarray
    ) -> dict[str, str]:
        """Return the column of each thing that is said, after adding those that the paths say."""
        columns = {k: v for k, v in self.source.columns.named().items() if k != "path"}
        if self.source.named is None:
            return columns
        pattern = template(self.source.named, sorted(self.source.words))
        found = [pattern.fullmatch(path) if path is not None else None for path in paths]
        for row, match in enumerate(found):
            if match is None and used[row]:
                self.rejected.add(
                    "image", f"{self.folder / str(paths[row])}",
                    f"is not named {self.source.named!r}; see `named` of source {self.source.name}",
                )  # fmt: skip
                used[row] = False
        for word in sorted(self.source.words):
            table[f"{{{word}}}"] = pd.Series(
                [match[word] if match else "" for match in found], index=table.index, dtype=str
            )
            columns.setdefault(word, f"{{{word}}}")
        return columns

    def _texts(self, table: pd.DataFrame, column: str | None) -> pd.Series:
        """Return the texts of a column, missing where blank or where there is no column."""
        if column is None:
            return pd.Series(None, index=table.index, dtype=object)
        text = table[column].str.strip()
        return text.astype(object).where(text != "", None)

    def _views(
        self, images: pd.DataFrame, table: pd.DataFrame, columns: dict[str, str], file: Path
    ) -> None:
        """Add view and projection; an image that nothing says the view of counts as frontal."""
        view = pd.Series(None, index=table.index, dtype=object)
        images["projection"] = None
        if "view" in columns:
            view = values.views(table, columns["view"], file)
        for key in ("projection", "view"):
            if key in columns and images["projection"].isna().all():
                images["projection"] = values.projections(table, columns[key], file)
        if "projection" in columns:
            view = view.where(view.notna(), values.views(table, columns["projection"], file))
        missing = int(view.isna().sum())
        if missing:
            logger.warning(
                "data source %s: nothing says the view of %d of %d images, which count as frontal",
                self.source.name, missing, len(view),
            )  # fmt: skip
        images["view"] = view.where(view.notna(), "frontal")

    def _labels(self, images: pd.DataFrame, table: pd.DataFrame, file: Path) -> np.ndarray:
        """Add the classes; return True for each row with a cell that is no label."""
        source = self.source
        wrong = np.zeros(len(table), bool)
        wanted = [name for name in self.classes if name not in source.unlabelled]
        for name in self.classes:
            images[name] = np.nan
        if source.columns.labels or "label" in source.words:
            column = source.columns.labels or "{label}"
            names = {name: name for name in self.classes} | source.labels
            found, others = label_values.lists(table, column, file, source.separator, names, wanted)
            images[wanted] = found
            if others:
                told = ", ".join(f"{name!r} ({count})" for name, count in sorted(others.items()))
                logger.warning("%s: column %r: findings of no class: %s", file, column, told)
            return wrong
        for name in wanted:
            parts = []
            for column in source.columns_of(name, list(table.columns)):
                part, bad = label_values.labels(
                    table, column, file, source.threshold, self.rejected
                )
                wrong |= bad
                parts.append(part)
            images[name] = _any(parts)
        return wrong

    def _has_split(
        self,
        images: pd.DataFrame,
        table: pd.DataFrame,
        columns: dict[str, str],
        file: Path,
        used: np.ndarray,
    ) -> np.ndarray:
        """Return True for each row whose split is said, by a cell or by the source."""
        if "split" not in columns:
            return np.ones(len(table), bool)
        missing = images["split"].isna().to_numpy()
        if self.source.split is None:
            for row in np.flatnonzero(missing & used).tolist():
                self.rejected.add(
                    "row", file, "names no split; write train, tune (val) or test, or give the "
                    "source `split` for those without one", row=line(table, row),
                    field=columns["split"],
                )  # fmt: skip
            return ~missing
        return np.ones(len(table), bool)

    def _of_readers(self, images: pd.DataFrame) -> pd.DataFrame:
        """Return one row for each image, of which each reader has one: labels are averaged.

        A class is present where at least the share `threshold` of those who judged it saw it.
        """
        classes = list(self.classes)
        certain = images[classes].where(images[classes] >= 0)
        share = certain.groupby(images["path"]).mean()
        limit = 0.5 if self.source.threshold is None else self.source.threshold
        first = images.drop_duplicates("path").set_index("path", drop=False)
        present = (share >= limit).astype(float).where(share.notna())
        first[classes] = present.loc[first.index]
        logger.info(
            "data source %s: labels of %d rows by readers make %d images; a class is present from "
            "a share of %g on",
            self.source.name, len(images), len(first), limit,
        )  # fmt: skip
        return first.reset_index(drop=True)

    def _tell(self, images: pd.DataFrame) -> None:
        """Log what a reader of the results should know of the images."""
        name = self.source.name
        if images["patient_id"].isna().all():
            logger.warning(
                "data source %s: nothing says the patient, so each of %d images counts as a "
                "patient of its own; if some are of the same, name the column (`columns.patient`)",
                name, len(images),
            )  # fmt: skip
        others = [
            path
            for path in sorted(set(self.on_disk) - set(images["path"]))
            if PurePosixPath(path).suffix.lower() in IMAGE_ENDINGS
        ]
        if others and self.source.tables:
            logger.warning(
                "data source %s: %d image files in %s are in no table and are left out, such as %s",
                name, len(others), self.folder, others[0],
            )  # fmt: skip

    def _tell_unused(self, table: pd.DataFrame, columns: dict[str, str], file: Path) -> None:
        """Log the columns that nobody maps."""
        used = {self.source.columns.path, *columns.values()}
        if not self.source.columns.labels:
            for name in self.classes:
                used |= set(self.source.columns_of(name, list(table.columns)))
        unused = [name for name in table.columns if name and name not in used | {"path"}]
        unused = [name for name in unused if not name.startswith("{")]
        if unused and self.source.tables:
            logger.info("%s: columns that are not used: %s", file, ", ".join(unused))


def _any(parts: list[pd.Series]) -> pd.Series:
    """Return the label of a class of which several columns speak: the first of 1, -1, 0 there."""
    if len(parts) == 1:
        return parts[0]
    together = pd.concat(parts, axis=1)
    label = together.max(axis=1)
    uncertain = (together == -1).any(axis=1) & (label < 1)
    return label.mask(uncertain, -1.0)
