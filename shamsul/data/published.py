"""Base of the adapters of published data sets: names of findings, labels and files."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from shamsul import lazy
from shamsul.data.adapter import COLUMNS, DiskSource
from shamsul.data.packed_tables import read
from shamsul.errors import InputError
from shamsul.labels import PARENTS
from shamsul.settings import unknown

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

SUFFIXES = (".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
"""Ends of the names of radiographs' files."""
OTHER = "other"
"""View of images that are neither frontal nor lateral, which no run uses."""
OLDEST = 120
"""Age in years above which an age is a typing error."""
SEXES = {"M": "M", "F": "F", "MALE": "M", "FEMALE": "F"}
"""Sexes as the table of images has them, by how the data sets write them."""


class PublishedSource(DiskSource):
    """A data set as it is published: where its files are, and how it names what it shows.

    A subclass declares `FINDINGS`. A class of the run is positive where any of the findings that
    mean it is. A class may also be the name of a finding itself.
    """

    FINDINGS: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Classes that each finding means; the first of them is the class of its masks."""
    HIERARCHY: ClassVar[bool] = True
    """True where a finding makes the parents of its class positive too, as CheXpert's labels do
    (Irvin et al., AAAI 2019, Figure 1)."""

    directory: str = "."
    """Folder of the data set, relative to `data.root`; other paths of the source are relative to
    it."""
    map: dict[str, str] = {}
    """Class of the run by a finding of the data set, in place of the classes that the adapter has
    for it."""

    def place(self, name: str) -> str:
        """Return a path of the data set, relative to `data.root`."""
        return str(PurePosixPath(self.directory) / name)

    def meanings(self) -> dict[str, tuple[str, ...]]:
        """Return the classes that each finding means, its own name last."""
        found = {name: (*classes, name) for name, classes in self.FINDINGS.items()}
        return found | {name: (chosen,) for name, chosen in self.map.items()}

    def findings_of(self, classes: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the findings any of which makes each class positive.

        Raises
        ------
        InputError
            No finding means one of the classes, or `map` names an unknown finding.
        """
        for name in self.map:
            if name not in self.FINDINGS:
                place = f"data source {self.name}: map"
                raise InputError(f"{place}: {unknown(name, self.FINDINGS, 'finding')}")
        by_class: dict[str, list[str]] = {}
        for finding, means in self.meanings().items():
            for name in dict.fromkeys(implied for own in means for implied in self._implied(own)):
                by_class.setdefault(name, []).append(finding)
        for name in classes:
            if name not in by_class:
                raise InputError(
                    f"data source {self.name}: {unknown(name, sorted(by_class), 'class')}; give "
                    "`map` of the source to name others"
                )
        return {name: tuple(by_class[name]) for name in classes}

    def _implied(self, name: str) -> list[str]:
        """Return a class and the classes above it."""
        chain = [name]
        while self.HIERARCHY and chain[-1] in PARENTS:
            chain.append(PARENTS[chain[-1]])
        return chain

    def mask_class(self, finding: str, classes: Iterable[str]) -> str:
        """Return the class of a finding's masks in a run of these classes."""
        if finding not in self.map and finding in classes:
            return finding
        return self.meanings().get(finding, (finding,))[0]

    def known_findings(self, names: pd.Series, file: Path, column: str) -> None:
        """Raise an InputError where a column names a finding that the data set has not."""
        for name in names.unique():
            if name not in self.FINDINGS:
                line = int(names.index[names == name][0]) + 2
                raise InputError(
                    f"{file}: row {line}, column {column!r}: "
                    f"{unknown(name, self.FINDINGS, 'finding')}"
                )

    def check(self, root: Path, classes: tuple[str, ...]) -> None:
        """Check that files exist and that findings mean the classes; as `Source.check`."""
        self.require(root, self.files())
        self.findings_of(classes)

    def require_columns(self, root: Path, wanted: Mapping[str, Iterable[str]]) -> None:
        """Raise an InputError where a table, given relative to the data set, lacks a column."""
        for name, columns in wanted.items():
            file = root / self.place(name)
            present = list(read(file, rows=0).columns)
            for column in columns:
                if column not in present:
                    raise InputError(
                        f"{file}: lacks the column {column!r}; it has {', '.join(present)}"
                    )

    def table(self, images: Mapping[str, Any], labels: Mapping[str, Any]) -> pd.DataFrame:
        """Return the table of images; what `images` does not give is missing.

        Parameters
        ----------
        images : values of `COLUMNS`, each one value per image or one for all. `patient_id` and
            `study_id` are the image where they are not given, `view` is frontal.
        labels : values of each class.
        """
        given = {"view": "frontal", "projection": None, "sex": None, "age": np.nan, **images}
        given.setdefault("patient_id", given["image_id"])
        given.setdefault("study_id", given["image_id"])
        frame = pd.DataFrame({"image_id": list(given.pop("image_id"))}).assign(
            **{
                name: value.to_numpy() if hasattr(value, "to_numpy") else value
                for name, value in (given | dict(labels)).items()
            }
        )
        other = int((frame["view"] == OTHER).sum())
        if other:
            logger.warning(
                "data source %s: %d of %d images are neither frontal nor lateral, or do not tell, "
                "and are not used", self.name, other, len(frame),
            )  # fmt: skip
        frame["age"] = _ages(frame["age"].astype("float64"), self.name)
        return frame[[*COLUMNS, *labels]].reset_index(drop=True)


def _ages(ages: pd.Series, source: str) -> pd.Series:
    """Return ages, missing where no human has that age; their number is told."""
    wrong = ~ages.between(0, OLDEST) & ages.notna()
    if wrong.any():
        logger.warning(
            "data source %s: %d ages, such as %g, are not from 0 to %d and are taken as missing",
            source, wrong.sum(), ages[wrong].iloc[0], OLDEST,
        )  # fmt: skip
    return ages.mask(wrong)


def sexes(text: pd.Series) -> pd.Series:
    """Return sexes as `F` or `M`, missing where it is neither."""
    return text.str.strip().str.upper().map(SEXES)


def projections(text: pd.Series, views: Mapping[str, tuple[str, str | None]]) -> dict[str, Any]:
    """Return the columns `view` and `projection` of positions.

    Parameters
    ----------
    text : names of positions.
    views : view and projection by a position's name; the view of others is `OTHER`.
    """
    found = [views.get(name.strip(), (OTHER, None)) for name in text]
    return {"view": [view for view, _ in found], "projection": [seen for _, seen in found]}


def strongest(labels: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the label that several findings give a class.

    Parameters
    ----------
    labels : (N,) arrays of 1, 0, -1 and missing.

    Returns
    -------
    (N,): positive where any is positive, else uncertain where any is, else negative where any
    is, else missing.
    """
    stack = np.stack(list(labels))
    found = np.full(stack.shape[1], np.nan)
    for value in (0.0, -1.0, 1.0):
        found[(stack == value).any(axis=0)] = value
    return found


def of_sets(
    found: Sequence[set[str]], findings: Mapping[str, Sequence[str]]
) -> dict[str, NDArray[np.float64]]:
    """Return labels by class where each image lists all that it shows."""
    return {
        name: np.array([float(not own.isdisjoint(names)) for own in found])
        for name, names in findings.items()
    }


def in_folder(root: Path, folder: str) -> dict[str, str]:
    """Return the radiographs under a folder by their names without suffix.

    Parameters
    ----------
    root : the source's folder.
    folder : folder to look in, and in the folders in it; relative to `root`.

    Returns
    -------
    Paths relative to `root`.

    Raises
    ------
    InputError
        Two files have the same name.
    """
    found: dict[str, str] = {}
    for place, folders, files in os.walk(root / folder):
        folders.sort()
        for name in sorted(files):
            stem = PurePosixPath(name).stem
            if PurePosixPath(name).suffix.lower() not in SUFFIXES:
                continue
            path = str(PurePosixPath(Path(place).relative_to(root)) / name)
            if stem in found:
                raise InputError(
                    f"{root / folder}: {found[stem]} and {path} are both named {stem}; keep one, "
                    "or set `images` to a folder with one of them"
                )
            found[stem] = path
    return found


def paths(root: Path, folder: str, names: Iterable[str], suffix: str) -> list[str]:
    """Return the path of each image's file under a folder; where none is, the usual one."""
    found = in_folder(root, folder)
    return [found.get(name) or str(PurePosixPath(folder) / f"{name}{suffix}") for name in names]
