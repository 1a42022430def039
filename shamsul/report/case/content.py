"""Content of a page: one radiograph, its outlines, and the maps of any methods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shamsul.evaluate.sign import Sign
from shamsul.geometry import Frame
from shamsul.metrics import PREFIX, kind_of, of_table
from shamsul.report.case import colours
from shamsul.report.case.packing import Precision, pack, png

LONGEST = 1024
"""Pixels of the longer side of the radiograph in a page; its outlines keep their own resolution."""
BUDGET = 20_000_000
"""Bytes of maps up to which a page holds them as they are; beyond it, in 16 bits."""
GROUPS = {
    "forward": "Forward pass",
    "backward": "Gradients",
    "sampling": "Sampling",
    "no_model": "No network",
}
"""Names of the methods' groups, by cost."""


@dataclass(frozen=True)
class Segmentation:
    """A segmentation that was made elsewhere: run lengths of `height` x `width` pixels."""

    height: int
    width: int
    counts: str


@dataclass(frozen=True)
class Layer:
    """A map of one class.

    Attributes
    ----------
    values : (h, w) of any resolution, covering the frame evenly; or a segmentation.
    frame : frame of the radiograph that the map covers.
    """

    values: NDArray[np.float32] | Segmentation
    frame: Frame


@dataclass(frozen=True)
class Explanation:
    """The maps of one method.

    Attributes
    ----------
    name, title : name in the run, and name in the page.
    cost : cost of the method, as in `GROUPS`.
    signed : true where negative relevance speaks against the class.
    layers : maps by class.
    parameters : parameters of the method.
    seconds : seconds that making them took; None where they were read.
    """

    name: str
    title: str
    cost: str
    signed: bool
    layers: Mapping[str, Layer]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True)
class Case:
    """One radiograph and all that a page shows of it.

    Attributes
    ----------
    image_id : name of the radiograph.
    image : (H, W) uint8, in its own resolution or a smaller one of the same shape.
    height, width : pixels of the radiograph itself.
    probabilities : probability of each class in [0, 1], in the order of the classes.
    explanations : methods, in the order of the page.
    masks : rows of the masks table (`shamsul.data.masks.MASK_COLUMNS`) of this radiograph.
    labels : 1, 0 or -1 by class, where there are labels.
    tuned : level (0-1023) of the tuned threshold, by method and class.
    measures : rows of recorded measures: method, class, metric, rule, value.
    sign : treatment of negative relevance where maps are cut and measured.
    provenance : names and values that say what the page is made of.
    notes : sentences on what was left out and why.
    """

    image_id: str
    image: NDArray[np.uint8]
    height: int
    width: int
    probabilities: Mapping[str, float]
    explanations: Sequence[Explanation]
    masks: Sequence[Mapping[str, Any]] = ()
    labels: Mapping[str, float] = field(default_factory=dict)
    tuned: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    measures: Sequence[Mapping[str, Any]] = ()
    sign: Sign = "positive"
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def _repr_html_(self) -> str:
        from shamsul.report.case.page import inline

        return inline(self)

    @property
    def classes(self) -> list[str]:
        """Classes of the classifier, most probable first."""
        return sorted(self.probabilities, key=lambda name: -self.probabilities[name])

    @property
    def explained(self) -> set[str]:
        """Classes that any method has a map of."""
        return {name for method in self.explanations for name in method.layers}


def packed(case: Case, budget: int = BUDGET) -> dict[str, Any]:
    """Return what the page's script reads of a case, as values that JSON has.

    Parameters
    ----------
    case : case to show.
    budget : bytes of maps beyond which they are kept in 16 bits.
    """
    size = sum(
        layer.values.size * 4
        for method in case.explanations
        for layer in method.layers.values()
        if not isinstance(layer.values, Segmentation)
    )
    precision: Precision = "float32" if size <= budget else "int16"
    return {
        "image": {
            "id": case.image_id,
            "height": case.height,
            "width": case.width,
            "png": png(case.image, LONGEST),
        },
        "classes": [
            {
                "name": name,
                "probability": _number(case.probabilities.get(name)),
                "label": _number(case.labels.get(name)),
            }
            for name in case.classes
        ],
        "methods": [_method(method) for method in case.explanations],
        "first": {"class": _first(case), "methods": _first_methods(case)},
        "maps": {
            method.name: {name: _layer(layer, precision) for name, layer in method.layers.items()}
            for method in case.explanations
        },
        "masks": _masks(case.masks),
        "tuned": {method: dict(levels) for method, levels in case.tuned.items()},
        "measures": [dict(row) for row in case.measures],
        "titles": _titles(case.measures),
        "sign": case.sign,
        "colours": colours.tables(),
    }


FIRST = 5
"""Number of methods that are shown at first, beside the radiograph."""


def _first_methods(case: Case) -> list[str]:
    """Return the methods to show first: by turns of each cost, controls only where all are."""
    explains = [
        method
        for method in case.explanations
        if method.cost != "no_model" and method.parameters.get("network") != "untrained"
    ] or list(case.explanations)
    turns: list[tuple[int, int, str]] = []
    for place, cost in enumerate(GROUPS):
        own = [method.name for method in explains if method.cost == cost]
        turns += [(turn, place, name) for turn, name in enumerate(own)]
    return [name for _, _, name in sorted(turns)[:FIRST]]


def added(method: Explanation) -> dict[str, Any]:
    """Return what the script of an open page reads of a method that is made later."""
    maps = {name: _layer(layer, "float32") for name, layer in method.layers.items()}
    return {"method": _method(method), "maps": maps}


def _method(method: Explanation) -> dict[str, Any]:
    group = GROUPS[method.cost]
    return {
        "name": method.name, "title": method.title, "group": group, "signed": method.signed,
    }  # fmt: skip


def _first(case: Case) -> str:
    """Return the class to show first: the most probable that has a map, outlined if any is."""
    outlined = {str(row["class"]) for row in case.masks} & case.explained
    wanted = outlined or case.explained or set(case.classes)
    return next(name for name in case.classes if name in wanted)


def _layer(layer: Layer, precision: Precision) -> dict[str, Any]:
    frame = list(layer.frame.to_row())
    if isinstance(layer.values, Segmentation):
        drawn = layer.values
        runs = {"height": drawn.height, "width": drawn.width, "counts": drawn.counts}
        return {"frame": frame, "segmentation": runs}
    return {"frame": frame, **pack(layer.values, precision)}


def _masks(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the masks by class and kind: each reader's, the first by name first, then of all."""
    from shamsul.data.masks import unite

    found: dict[str, list[dict[str, Any]]] = {}
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((str(row["class"]), str(row["kind"])), []).append(row)
    order = [*PREFIX, *sorted({kind for _, kind in groups} - set(PREFIX))]
    for name, kind in sorted(groups, key=lambda key: (key[0], order.index(key[1]))):
        of_kind = groups[name, kind]
        readers = sorted({str(row["annotator"]) for row in of_kind})
        said = "" if kind == "segmentation" else f" ({kind})"
        for reader in readers:
            own = unite([row for row in of_kind if str(row["annotator"]) == reader])
            found.setdefault(name, []).append(_mask(own, f"{reader}{said}"))
        if len(readers) > 1:
            found.setdefault(name, []).append(_mask(unite(of_kind), f"all readers{said}"))
    return found


def _mask(row: Mapping[str, Any], reader: str) -> dict[str, Any]:
    size = {"height": int(row["height"]), "width": int(row["width"])}
    return {"reader": reader, "kind": str(row["kind"]), **size, "counts": str(row["counts"])}


def _titles(measures: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the titles of the metrics of recorded measures, by their names."""
    names = {str(row["metric"]) for row in measures}
    said = {kind: f", {kind}" if prefix else "" for kind, prefix in PREFIX.items()}
    return {name: of_table(name).title + said[kind_of(name)] for name in sorted(names)}


def _number(value: float | None) -> float | None:
    """Return a number, None where there is none, since JSON has no NaN."""
    return None if value is None or not math.isfinite(value) else float(value)
