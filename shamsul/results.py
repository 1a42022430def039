"""A finished run's folder, to read its tables and heatmaps from Python."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shamsul.errors import InputError
from shamsul.settings import EXPLAINED, unknown

if TYPE_CHECKING:
    import pandas as pd

    from shamsul.evaluate.sign import Sign
    from shamsul.explain.base import Kind
    from shamsul.report.case.content import Case
    from shamsul.storage.heatmaps import Heatmaps


@dataclass(frozen=True)
class Run:
    """Results of one run.

    Attributes
    ----------
    folder : ``results/<run>``.
    """

    folder: Path

    @property
    def report(self) -> Path:
        """Path of the report."""
        return self.folder / "report.html"

    @property
    def tables(self) -> list[str]:
        """Names of the tables that there are, sorted."""
        return sorted(file.stem for file in (self.folder / "tables").glob("*.parquet"))

    @property
    def methods(self) -> list[str]:
        """Names of the methods that have heatmaps, sorted."""
        return sorted(folder.name for folder in (self.folder / "heatmaps").glob("*/"))

    @property
    def configuration(self) -> dict[str, Any]:
        """Read the configuration that the results are of, with the defaults that it left out.

        Raises
        ------
        InputError
            The run has no report yet, or the file is damaged.
        """
        return dict(self._settings()["config"])

    @property
    def kinds(self) -> dict[str, Kind]:
        """Read the kind of each method; raises as `configuration`."""
        return dict(self._settings()["kinds"])

    def _settings(self) -> dict[str, Any]:
        file = self.folder / "configuration.json"
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{file}: not readable ({error}); the report of the run writes it: make it first"
            ) from None

    def table(self, name: str) -> pd.DataFrame:
        """Read a table.

        Parameters
        ----------
        name : one of `tables`, such as `localisation`, or `manifest`, `masks` or `predictions`.

        Raises
        ------
        InputError
            There is no such table, or it is damaged.
        """
        from shamsul.storage.tables import read_table

        beside = {file.stem: file for file in sorted(self.folder.glob("*.parquet"))}
        places = {key: self.folder / "tables" / f"{key}.parquet" for key in self.tables} | beside
        if name not in places:
            raise InputError(f"{self.folder}: {unknown(name, places, 'table')}")
        return read_table(places[name])

    @property
    def cases(self) -> list[str]:
        """Names of the images that have heatmaps, those of tune and test, sorted."""
        manifest = self.table("manifest")
        return sorted(manifest.loc[manifest["split"].isin(EXPLAINED), "image_id"])

    def case(
        self,
        image_id: str,
        *,
        roots: Mapping[str, str | Path] | None = None,
        sign: Sign | None = None,
    ) -> Case:
        """Return one radiograph with its maps, masks and measures, which `shamsul.show` draws.

        Parameters
        ----------
        image_id : one of `cases`.
        roots : folder of each data source by its name; as the run's configuration has it when
            absent. A radiograph whose file is not there is shown as the model saw it.
        sign : treatment of negative relevance; `evaluate.sign` of the run when absent.

        Raises
        ------
        InputError
            There is no such image, or it has no heatmaps.
        """
        from shamsul.cases.of_run import of_run

        return of_run(self, image_id, roots=roots, sign=sign)

    def heatmaps(self, method: str, split: str = "test") -> Iterator[Heatmaps]:
        """Read a method's heatmaps of a split, shard by shard.

        Parameters
        ----------
        method : name of the method in the run.
        split : `tune` or `test`.

        Raises
        ------
        InputError
            The split has no heatmaps, or a shard is damaged or of another checkpoint than the
            first.
        """
        from shamsul.storage.heatmaps import read_heatmaps

        shards = sorted((self.folder / "heatmaps" / method).glob(f"{split}-*.h5"))
        if not shards:
            raise InputError(f"{self.folder}: no heatmaps of {method} on {split}")
        digest = None
        for path in shards:
            heatmaps = read_heatmaps(path, digest)
            digest = heatmaps.checkpoint
            yield heatmaps


def open_run(folder: str | Path) -> Run:
    """Open a run's folder of results.

    Parameters
    ----------
    folder : folder of the run's results, ``results/<run>``.

    Raises
    ------
    InputError
        The folder is no run's.

    Examples
    --------
    >>> run = open_run("results/phantom")  # doctest: +SKIP
    >>> run.table("localisation").groupby("method")["mean"].max()  # doctest: +SKIP
    >>> shamsul.show(run.case(run.cases[0]))  # doctest: +SKIP
    """
    run = Run(Path(folder))
    if not run.tables and not run.methods:
        raise InputError(f"{folder}: no results of a run; give its folder, results/<run>")
    return run
