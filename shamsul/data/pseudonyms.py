"""Pseudonyms: a keyed hash takes the place of every name of an image, patient and study.

Who has the results and not the key can neither read a name nor try one out (ISO 25237; HMAC, RFC
2104). Names are needed in two places: to find the files of images, and to look up what a pseudonym
stands for. They are kept in a folder beside the key, which is outside of the results.

Patients are divided among splits, and images among shards, by their names before these are
replaced. So the division does not depend on the key, or on there being one.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from shamsul import lazy
from shamsul.errors import InputError
from shamsul.storage.tables import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = lazy.load("pandas")

logger = logging.getLogger(__name__)

LEAST = 16
"""Least number of bytes of a key."""
DIGITS = 32
"""Number of hexadecimal digits of a pseudonym: 128 bits, of which no two of 10 billion names have
the same but with a chance below 10^-18."""
NAMES = "names.parquet"
"""File in the private folder: the table of names and pseudonyms, a row for each image."""
REJECTED = "rejected.parquet"
"""File in the private folder: the table of what was left out, with files and reasons."""
LOG = "said.log"
"""File in the private folder: what programs say that know the names."""

Kind = Literal["image", "patient", "study"]
"""Kinds of names; column `image_id` and the like have them."""
KINDS: tuple[Kind, ...] = get_args(Kind)


class Pseudonyms:
    """Keyed hashes of names.

    Parameters
    ----------
    key : secret of at least `LEAST` bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def read(cls, file: Path) -> Pseudonyms:
        """Read the key from a file; white space around it does not count.

        Raises
        ------
        InputError
            The file cannot be read, or the key is too short.
        """
        try:
            key = file.read_bytes().strip()
        except OSError as error:
            raise InputError(
                f"data.pseudonymise: {file}: the key cannot be read ({error.strerror}); make one, "
                f"such as by `openssl rand -hex 32 > {file}`, and keep it"
            ) from None
        if len(key) < LEAST:
            raise InputError(
                f"data.pseudonymise: {file}: the key has {len(key)} bytes, and needs {LEAST}; make "
                f"one, such as by `openssl rand -hex 32 > {file}`"
            )
        return cls(key)

    def of(self, kind: Kind, name: str) -> str:
        """Return the pseudonym of a name: `DIGITS` hexadecimal digits of its HMAC-SHA256.

        Names of different kinds have different pseudonyms, also where they are the same.
        """
        return hmac.new(self._key, f"{kind}\0{name}".encode(), "sha256").hexdigest()[:DIGITS]

    def images(self, images: pd.DataFrame) -> pd.DataFrame:
        """Return rows of the manifest with pseudonyms for names and paths, ordered by them.

        Parameters
        ----------
        images : image_id, patient_id, study_id, path, split and any other columns, ordered by
            split. A name that is missing or empty stays so. The path becomes the image's pseudonym.
        """
        hidden = {f"{kind}_id": self._column(kind, images[f"{kind}_id"]) for kind in KINDS}
        replaced = images.assign(**hidden, path=hidden["image_id"])
        splits = replaced["split"].drop_duplicates().tolist()
        place = replaced["split"].map(splits.index)
        order = replaced.assign(place=place).sort_values(["place", "image_id"]).index
        return replaced.loc[order].reset_index(drop=True)

    def masks(self, masks: pd.DataFrame) -> pd.DataFrame:
        """Return a table of masks with pseudonyms for image_id, ordered by them."""
        replaced = masks.assign(image_id=self._column("image", masks["image_id"]))
        order = ["image_id", "class", "kind"]
        return replaced.sort_values(order, kind="stable", ignore_index=True)

    def rejected(self, rejected: pd.DataFrame) -> pd.DataFrame:
        """Return the table of what was left out without files and reasons, which may name images.

        They are in the file `REJECTED` of the private folder.
        """
        image_id = self._column("image", rejected["image_id"])
        return rejected.assign(image_id=image_id, file="", reason=f"beside the key: {REJECTED}")

    def names(self, images: pd.DataFrame) -> pd.DataFrame:
        """Return the table of names: source, path, image_id, ..., image_pseudonym, ....

        Parameters
        ----------
        images : manifest as it was before names were replaced.
        """
        columns = ["source", "path", *(f"{kind}_id" for kind in KINDS)]
        hidden = {f"{kind}_pseudonym": self._column(kind, images[f"{kind}_id"]) for kind in KINDS}
        return images[columns].assign(**hidden).reset_index(drop=True)

    def _column(self, kind: Kind, names: pd.Series) -> pd.Series:
        known = {name: self.of(kind, name) for name in names.dropna().unique() if name != ""}
        return names.map(lambda name: known.get(name, name)).astype(names.dtype)


def check(key: Path) -> None:
    """Raise an InputError where the file of the key cannot be read, or the key is too short."""
    Pseudonyms.read(key)


def folder(key: Path, run: str) -> Path:
    """Return the private folder of a run: beside the key, and named after both."""
    return key.with_name(f"{key.name}.names") / run


def located(image_ids: Iterable[str], private: Path) -> list[str]:
    """Return the paths of the images that pseudonyms stand for, as `path` of the manifest has them.

    Parameters
    ----------
    image_ids : pseudonyms.
    private : the run's private folder.

    Raises
    ------
    InputError
        The table of names is missing, damaged or of other images.
    """
    return _looked_up(image_ids, "path", private)


def originals(image_ids: Iterable[str], private: Path) -> list[str]:
    """Return the names that pseudonyms of images stand for; parameters and errors as `located`."""
    return _looked_up(image_ids, "image_id", private)


def _looked_up(pseudonyms: Iterable[str], column: str, private: Path) -> list[str]:
    table = read_table(private / NAMES)
    known = dict(zip(table["image_pseudonym"], table[column], strict=True))
    asked = list(pseudonyms)
    lost = [name for name in asked if name not in known]
    if lost:
        raise InputError(
            f"{private / NAMES}: has no names of {len(lost)} images, such as {lost[0]}; run with "
            "--forcerun manifest, which writes it"
        )
    return [known[name] for name in asked]


def keep(table: pd.DataFrame, private: Path, name: str) -> None:
    """Write a table to the private folder, which only its owner may read."""
    _make(private)
    write_table(table, private / name)


@contextmanager
def said_in_private(private: Path | None) -> Iterator[None]:
    """Send what the program logs to the end of a file in the private folder, and count warnings.

    They name the images and rows that they are about. Without a folder, nothing changes.
    """
    if private is None:
        yield
        return
    _make(private)
    log = logging.getLogger("shamsul")
    handler = _Counting(private / LOG)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    propagates, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
        log.propagate = propagates
    if handler.warnings:
        logger.warning(
            "%d warnings may name images or patients, and are in %s", handler.warnings, handler.path
        )


class _Counting(logging.FileHandler):
    """A log file that counts the warnings in it.

    Attributes
    ----------
    path : path of the file, as it was given.
    warnings : number of warnings and worse.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.path, self.warnings = path, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and count it where it is a warning or worse."""
        self.warnings += record.levelno >= logging.WARNING
        super().emit(record)


def _make(private: Path) -> None:
    private.mkdir(parents=True, exist_ok=True)
    private.chmod(0o700)
