"""A finished run, as the sections of the report read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from shamsul.errors import InputError
from shamsul.metrics import PREFIX
from shamsul.report.filters import only
from shamsul.report.methods import Methods
from shamsul.report.views import View, views


@dataclass(frozen=True)
class Results:
    """The files of a run.

    Attributes
    ----------
    tables : tables by name: those of `shamsul.tables`, and `predictions`, `manifest`, `masks`
        and `masked`.
        A table may be empty; one that the configuration does not ask for is absent.
    heatmaps, images : shards of the test split at least.
    roots : folder of each data source by its name.
    provenance : names and values, in groups: `{"Versions": {"numpy": "2.4"}, "Commit": "25afe0e"}`.
    """

    tables: Mapping[str, pd.DataFrame]
    heatmaps: Sequence[Path] = ()
    images: Sequence[Path] = ()
    roots: Mapping[str, Path] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Localised:
    """Localisation against one kind of mask, as in `shamsul.metrics.PREFIX`.

    Attributes
    ----------
    kind : kind of the mask.
    first : true for the run's first kind, whose views include the false alarms.
    views : one for each metric and threshold rule, in the order of the report.
    """

    kind: str
    first: bool
    views: list[View]

    @property
    def headline(self) -> list[View]:
        """Views of the summary: all but the threshold that nobody can know beforehand."""
        return [view for view in self.views if view.rule != "best"]


@dataclass(frozen=True)
class Run:
    """A run's results beside its configuration.

    Attributes
    ----------
    results : the files that the run has made.
    config : the whole configuration as a dictionary.
    methods : the configured methods that are complete.
    """

    results: Results
    config: Mapping[str, Any]
    methods: Methods

    def table(self, name: str) -> pd.DataFrame:
        """Return a table that every run has.

        Raises
        ------
        InputError
            The report was not given the table: no section asks for it.
        """
        if name not in self.results.tables:
            raise InputError(f"report: no table {name!r}; a section names in NEEDS what it reads")
        return self.results.tables[name]

    def optional(self, name: str) -> pd.DataFrame | None:
        """Return a table that not every run has, None where it is absent or empty."""
        table = self.results.tables.get(name)
        return None if table is None or table.empty else table

    @property
    def evaluate(self) -> Mapping[str, Any]:
        """Section `evaluate` of the configuration."""
        return self.config["evaluate"]

    @property
    def classes(self) -> Sequence[str]:
        """Classes of the classifier, in the order of the configuration."""
        return self.config["classes"]

    @property
    def explained_classes(self) -> Sequence[str]:
        """Classes that have heatmaps, in the order of the configuration."""
        wanted = self.config["explain"]["classes"] or self.classes
        return [name for name in self.classes if name in wanted]

    @property
    def alpha(self) -> float:
        """Level in (0, 1) below which an adjusted p-value is said to distinguish."""
        return 1 - self.evaluate["confidence"]

    @property
    def percent(self) -> str:
        """Confidence of the intervals as text, such as `95 %`."""
        return f"{100 * self.evaluate['confidence']:g} %"

    @cached_property
    def localised(self) -> list[Localised]:
        """Localisation on test, one entry for each kind of mask, outlines first."""
        summary = self.table("localisation")
        metrics = set(only(summary, split="test")["metric"])
        kinds = [kind for kind in PREFIX if PREFIX[kind] + "hit_rate" in metrics]
        return [
            Localised(kind, kind == kinds[0], self._views(kind, kind == kinds[0])) for kind in kinds
        ]

    def _views(self, kind: str, alarms: bool) -> list[View]:
        names = ("localisation", "comparisons", "per_image")
        localisation, comparisons, per_image = map(self.table, names)
        tables = localisation, comparisons, per_image, kind, alarms
        return views(*tables, self.methods, self.classes, self.evaluate["thresholds"])

    @cached_property
    def leading(self) -> Localised | None:
        """Localisation against the first kind of mask that has an IoU; None without masks."""
        return next((part for part in self.localised if _overlap(part)), None)

    @cached_property
    def main(self) -> View | None:
        """IoU under the first rule that can be used, outlines before others; None without masks."""
        if self.leading is None:
            return None
        overlap = _overlap(self.leading)
        rules = sorted(self.evaluate["thresholds"], key=lambda rule: rule == "best")
        return next(overlap[rule] for rule in rules if rule in overlap)

    @property
    def leads(self) -> list[View]:
        """Views that lead the report: the main one, and the AUPRC, which needs no threshold."""
        if self.leading is None or self.main is None:
            return []
        ranking = PREFIX[self.leading.kind] + "auprc"
        return [self.main, *(view for view in self.leading.views if view.metric == ranking)]


def _overlap(part: Localised) -> dict[str, View]:
    """Return the views of the IoU by threshold rule."""
    return {view.rule: view for view in part.views if view.metric == PREFIX[part.kind] + "iou"}
