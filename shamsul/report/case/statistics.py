"""Figures of a case for programs: probabilities, maps and measures, as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shamsul.data.masks import by_image, run_lengths
from shamsul.evaluate.histogram import Sweep, lay_segmentation, sweep
from shamsul.evaluate.histogram_metrics import LEVELS, area, iou, otsu
from shamsul.evaluate.sign import evidence
from shamsul.report.case.content import Case, Explanation, Layer, Segmentation


def figures(case: Case) -> dict[str, Any]:
    """Return a case's figures.

    Returns
    -------
    image, height, width; `classes`, most probable first, each with its probability; `methods`,
    each with its parameters, seconds and `maps`; `provenance` and `notes`. A map has its class,
    shape, least and greatest value, sum, Otsu's threshold in [0, 1], `marked_area` above it, and
    `iou` above it where the class is outlined (of several readers by the first by name).
    """
    outlined = {
        name: row for (_, name, kind), row in by_image(case.masks).items() if kind == "segmentation"
    }
    ordered = sorted(case.probabilities.items(), key=lambda item: -item[1])
    return {
        "image": case.image_id,
        "height": case.height,
        "width": case.width,
        "classes": [{"class": name, "probability": value} for name, value in ordered],
        "methods": [_method(case, method, outlined) for method in case.explanations],
        "provenance": dict(case.provenance),
        "notes": list(case.notes),
    }


def _method(
    case: Case, method: Explanation, outlined: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "method": method.name,
        "title": method.title,
        "cost": method.cost,
        "signed": method.signed,
        "parameters": dict(method.parameters),
        "seconds": method.seconds,
        "maps": [
            {"class": name, **_map(case, layer, outlined.get(name))}
            for name, layer in method.layers.items()
        ],
    }


def _map(case: Case, layer: Layer, row: Mapping[str, Any] | None) -> dict[str, Any]:
    laid = _laid(case, layer, row)
    level = int(otsu(laid.inside + laid.outside))
    found: dict[str, Any] = {}
    if isinstance(layer.values, np.ndarray):
        values = layer.values
        found |= {"shape": list(values.shape), "least": float(values.min())}
        found |= {"greatest": float(values.max()), "sum": float(values.sum(dtype=np.float64))}
    found |= {"otsu": level / (LEVELS - 1)}
    found |= {"marked_area": float(area(laid.inside, laid.outside)[level])}
    if row is not None:
        found |= {"iou": float(iou(laid.inside, laid.outside)[level])}
        found |= {"hit_rate": float(laid.hit), "relevance_mass": float(laid.mass)}
    return found


def _laid(case: Case, layer: Layer, row: Mapping[str, Any] | None) -> Sweep:
    """Return the map laid over the mask, or over the bare radiograph."""
    runs = None if row is None else run_lengths(row)
    size = (case.height, case.width) if row is None else (int(row["height"]), int(row["width"]))
    frame = layer.frame.at(*size)
    if isinstance(layer.values, Segmentation):
        from shamsul.data.masks import decode

        drawn = layer.values
        mask = decode({"counts": drawn.counts, "height": drawn.height, "width": drawn.width})
        return lay_segmentation(mask, frame, runs)
    return sweep(evidence(layer.values, case.sign), frame, runs)
