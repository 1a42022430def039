"""Rows of the table of the summary: each finding under a leading metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from shamsul.evaluate.value_matrix import MACRO, POOLED
from shamsul.report.differences import Difference
from shamsul.report.filters import only
from shamsul.report.run import Run
from shamsul.report.views import View


@dataclass(frozen=True)
class Finding:
    """A class under the leading metric, as the summary has it.

    Attributes
    ----------
    name : the class.
    n_masks, n_patients : numbers of test.
    best : method that competes with the highest mean, and that mean with its limits.
    prior, reader : difference of that method to the position prior and to the radiologist, None
        where there is none.
    ceiling, ceiling_share : mean that the expert's mask itself has at that method's resolution, and
        the gain over the prior as a share of the room below it; NaN where not known.
    prior_mean, prior_masks : mean of the position prior, and the masks that it is made of.
    better : methods that compete and are better than the prior.
    compared : number of methods that compete and were compared with the prior.
    verdict : verdict on all of them together, see `over_prior`.
    """

    name: str
    n_masks: int
    n_patients: int
    best: tuple[str, float, float, float] | None
    prior: Difference | None
    reader: Difference | None
    ceiling: float
    ceiling_share: float
    prior_mean: float
    prior_masks: int
    better: list[str]
    compared: int
    verdict: str


def findings(
    gains: pd.DataFrame, localisation: pd.DataFrame, view: View, run: Run
) -> list[Finding]:
    """Return what is known of each class under the leading metric, in the order of the report."""
    key = {"metric": view.metric, "threshold_rule": view.rule}
    means, against = only(localisation, split="test", **key), only(gains, **key)
    found = []
    for column in view.columns:
        if column.name in (POOLED, MACRO):
            continue
        rows = only(means, **{"class": column.name}).to_dict("records")
        own = [row for row in rows if run.methods.competes(row["method"])]
        sign = -1 if view.better == "lower" else 1
        first = max(own, key=lambda row: sign * row["mean"], default=None)
        mine = only(against, **{"class": column.name})
        prior = only(mine, reference="prior").to_dict("records")
        prior = [row for row in prior if run.methods.competes(row["method"])]
        reader = only(mine, reference="radiologist").to_dict("records")
        found.append(
            Finding(
                *(column.name, column.n_masks, column.n_patients),
                best=first and tuple(first[name] for name in ("method", "mean", "low", "high")),
                prior=_of(first, prior),
                reader=_of(first, reader),
                ceiling=_of_first("ceiling", first, prior or reader),
                ceiling_share=_of_first("ceiling_share", first, prior or reader),
                prior_mean=prior[0]["reference_mean"] if prior else float("nan"),
                prior_masks=int(prior[0]["prior_masks"]) if prior else 0,
                compared=len(prior),
                better=[row["method"] for row in prior if row["verdict"] == "better"],
                verdict=over_prior([row["verdict"] for row in prior]),
            )
        )
    return found


def _of(first: Mapping[Any, Any] | None, rows: Sequence[Mapping[Any, Any]]) -> Difference | None:
    """Return the first method's difference among rows of `gains`, None where it has none."""
    return next(
        (Difference.of(row) for row in rows if first and row["method"] == first["method"]), None
    )


def _of_first(
    column: str, first: Mapping[Any, Any] | None, rows: Sequence[Mapping[Any, Any]]
) -> float:
    """Return a column of the first method's row of `gains`, NaN where there is none."""
    own = (row[column] for row in rows if first and row["method"] == first["method"])
    return next(own, float("nan"))


def over_prior(verdicts: Sequence[str]) -> str:
    """Return one verdict on all explanation methods against the prior.

    It is `better` where one is better, `worse` or `equivalent` where all are, `no prior` where none
    was compared, `not distinguishable` where the patients could have told of one that is not worse,
    and else `cannot be told`.
    """
    if not verdicts:
        return "no prior"
    if "better" in verdicts:
        return "better"
    for all_of in ("worse", "equivalent"):
        if set(verdicts) == {all_of}:
            return all_of
    if {"not distinguishable", "equivalent", "the same"} & set(verdicts):
        return "not distinguishable"
    return "cannot be told"
