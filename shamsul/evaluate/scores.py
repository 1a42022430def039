"""Scores of one method on one shard: histograms of pixels for each map, and its ranking."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shamsul.data.masks import Row, by_image, run_lengths
from shamsul.errors import InputError
from shamsul.evaluate.ceiling import mask_at
from shamsul.evaluate.histogram import Sweep, contains, lay_segmentation, sweep
from shamsul.evaluate.histogram_metrics import RANKING, above, iou, otsu
from shamsul.evaluate.sign import Sign, evidence
from shamsul.geometry import Frame
from shamsul.job.progress import track
from shamsul.labels import MARKER
from shamsul.metrics import PREFIX
from shamsul.storage.heatmaps import Heatmaps, RunLengths

logger = logging.getLogger(__name__)

COLUMNS = {
    "image_id": "str",
    "class": "str",
    "method": "str",
    "kind": "str",
    "made": "bool",
    "inside": "object",
    "outside": "object",
    "hit": "float64",
    "mass": "float64",
    "area": "int64",
    "height": "int64",
    "width": "int64",
    **dict.fromkeys(RANKING, "float64"),
    "ceiling_inside": "object",
    "ceiling_outside": "object",
}
"""Columns of the scores table and their types.

kind : kind of the mask: `segmentation`, `box`, `evidence`, `marker` (a burnt-in confounder, over
which every class's heatmap is laid), or `none` where the image has no mask of the class.
made : true where there is a map; where there is none an empty one is scored.
inside, outside : 1024 counts each, pixels by level of the heatmap, in the mask and out of it;
without a mask `inside` is left empty.
hit, mass : shares in [0, 1], as in `shamsul.evaluate.histogram.Sweep`.
area : number of pixels in the mask.
height, width : size of the mask, or of the radiograph, in pixels.
auprc and the other `RANKING` : values of the measures by rank level; NaN without a finding's mask.
ceiling_inside, ceiling_outside : histograms of the mask itself at the map's resolution, in the form
of `inside` and `outside`; empty without a finding's mask, and for segmentations made elsewhere.
"""
EMPTY = np.zeros(0, np.int32)
SIGN_COLUMNS = {
    "image_id": "str",
    "class": "str",
    "method": "str",
    "kind": "str",
    "made": "bool",
    "sign": "str",
    "otsu_area": "float64",
    "iou": "float64",
    "hit_rate": "float64",
}
"""Columns of the signs table, which has the same map under each treatment of negative relevance.

otsu_area : share of the image above Otsu's threshold, in [0, 1].
iou : intersection over union of that segmentation and the mask, in [0, 1].
"""
SIGNS: tuple[Sign, ...] = ("positive", "absolute", "minmax")


def score(
    heatmaps: Heatmaps,
    frames: Mapping[str, Frame],
    masks: Iterable[Row],
    classes: Sequence[str],
    sign: Sign = "positive",
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lay each heatmap over the expert's mask of the same image and class.

    Every mask is scored: a method cannot choose the images on which it is judged. A map that is
    empty or constant, or was never made, is scored as a map that points nowhere. So is what a map
    shows where there is no mask, for the false alarms.

    Parameters
    ----------
    heatmaps : heatmaps of one method on one shard; classes may be in any order.
    frames : frames of the shard's images, by image_id.
    masks : rows of the shard's masks; those of several annotators of one kind are united.
    classes : classes to score.
    sign : treatment of negative relevance.

    Returns
    -------
    Rows of scores with the columns `COLUMNS`, and of signs with the columns `SIGN_COLUMNS`; sorted.

    Raises
    ------
    InputError
        A mask's image or class is not in the shard, or a mask is malformed.
    """
    wanted = by_image(mask for mask in masks if mask["class"] in (*classes, MARKER))
    _check_covered(heatmaps, wanted)
    of_image: dict[tuple[str, str], dict[str, Mapping[Any, Any] | None]] = {}
    for (image_id, name, kind), drawn in wanted.items():
        of_image.setdefault((image_id, name), {})[kind] = drawn
    rows: list[dict[str, Any]] = []
    signs: list[dict[str, Any]] = []
    names = sorted(set(classes) & set(heatmaps.classes))
    segmented = isinstance(heatmaps.heatmap, RunLengths)
    for image_id in track(sorted(heatmaps.image_id), heatmaps.method, len(heatmaps.image_id)):
        row, frame = heatmaps.image_id.index(image_id), frames[image_id]
        marker = of_image.get((image_id, MARKER), {}).get("segmentation")
        for name in names:
            column = heatmaps.classes.index(name)
            heatmap = heatmaps.heatmap[row, column]
            if not heatmaps.explained[row, column]:
                heatmap = np.zeros((1, 1), np.float32)
            # A segmentation that covers the whole radiograph is no constant map.
            relevance = heatmap if segmented else evidence(heatmap, sign)
            found = of_image.get((image_id, name), {"none": None})
            points = heatmaps.points.get((image_id, name))
            key = {"image_id": image_id, "class": name, "method": heatmaps.method}
            made = {"made": bool(heatmaps.explained[row, column])}
            for kind, mask in found.items():
                laid, at, runs = _lay(relevance, heatmaps, frame, mask, ranked=mask is not None)
                hit = laid.hit if points is None else _hit_by(points, runs, at.height)
                ceiling = None if mask is None else _ceiling(heatmaps, row, at, runs)
                rows.append(key | made | _row(kind, laid, hit, at, ceiling))
                # The treatments of the sign are compared on what experts draw.
                if kind in ("segmentation", "box"):
                    assert mask is not None
                    for other, swept in _by_sign(heatmap, sign, laid, heatmaps, frame, mask):
                        signs.append(key | made | {"kind": kind, "sign": other} | _otsu(swept))
            if marker is not None:
                laid, at, _ = _lay(relevance, heatmaps, frame, marker)
                rows.append(key | made | _row("marker", laid, laid.hit, at))
    missing = np.count_nonzero(~heatmaps.explained)
    if missing:
        logger.warning(
            "%s: %d of %d maps were not made and are scored as empty",
            *(heatmaps.method, missing, heatmaps.explained.size),
        )
    return rows, signs


def _check_covered(heatmaps: Heatmaps, wanted: Mapping[tuple[str, str, str], Any]) -> None:
    images, classes = set(heatmaps.image_id), {*heatmaps.classes, MARKER}
    for image_id, name, _ in wanted:
        if image_id not in images or name not in classes:
            raise InputError(
                f"{heatmaps.method}: no heatmap for image {image_id!r}, class {name!r}, which has "
                "a mask; delete the heatmap shard and run again, or leave the class out of "
                "evaluate.classes"
            )


def _lay(
    relevance: NDArray[np.float32],
    heatmaps: Heatmaps,
    frame: Frame,
    mask: Mapping[Any, Any] | None,
    *,
    ranked: bool = False,
) -> tuple[Sweep, Frame, NDArray[np.int64]]:
    """Return a map laid over a mask or none, the frame of both, and the mask's run lengths."""
    frame = heatmaps.frame_of(frame)
    if mask is None:
        runs = np.array([frame.height * frame.width])
    else:
        # CheXlocalize's masks are of full resolution, also where the small radiographs are used.
        frame, runs = frame.at(mask["height"], mask["width"]), run_lengths(mask)
    if isinstance(heatmaps.heatmap, RunLengths):
        return lay_segmentation(relevance > 0, frame, runs), frame, runs
    return sweep(relevance, frame, runs, ranked=ranked), frame, runs


def _ceiling(heatmaps: Heatmaps, row: int, frame: Frame, runs: NDArray[np.int64]) -> Sweep | None:
    """Return the mask itself laid over its radiograph at the resolution of the image's maps."""
    if isinstance(heatmaps.heatmap, RunLengths):
        return None
    height, width = heatmaps.heatmap.shape[2:]
    regions = None if heatmaps.regions is None else heatmaps.regions[row]
    return sweep(mask_at(runs, frame, (height, width), regions), frame, runs)


def _row(
    kind: str, laid: Sweep, hit: float, frame: Frame, ceiling: Sweep | None = None
) -> dict[str, Any]:
    ranked = laid.ranked if kind in PREFIX else None
    return {
        "kind": kind,
        "inside": EMPTY if kind == "none" else laid.inside.astype("int32"),
        "outside": laid.outside.astype("int32"),
        "hit": hit,
        "mass": laid.mass,
        "area": int(laid.inside.sum()),
        "height": frame.height,
        "width": frame.width,
        **{name: measure(*ranked) if ranked else np.nan for name, measure in RANKING.items()},
        "ceiling_inside": EMPTY if ceiling is None else ceiling.inside.astype("int32"),
        "ceiling_outside": EMPTY if ceiling is None else ceiling.outside.astype("int32"),
    }


def _hit_by(points: NDArray[np.floating], runs: NDArray[np.int64], height: int) -> float:
    """Return 1 where any of a reader's points (x, y) lies in the mask; none is a miss, 0."""
    pixels = [(int(y), int(x)) for x, y in points]
    width = int(runs.sum()) // height
    return float(
        any(0 <= y < height and 0 <= x < width and contains(runs, height, y, x) for y, x in pixels)
    )


def _by_sign(
    heatmap: NDArray[np.float32],
    sign: Sign,
    laid: Sweep,
    heatmaps: Heatmaps,
    frame: Frame,
    mask: Mapping[Any, Any],
) -> Iterator[tuple[Sign, Sweep]]:
    """Yield the map under each treatment; they are the same where nothing is negative."""
    for other in SIGNS:
        same = other == sign or heatmap.min() >= 0
        yield other, laid if same else _lay(evidence(heatmap, other), heatmaps, frame, mask)[0]


def _otsu(laid: Sweep) -> dict[str, float]:
    total = laid.inside + laid.outside
    level = int(otsu(total))
    return {
        "otsu_area": above(total)[level] / total.sum(),
        "iou": iou(laid.inside, laid.outside)[level],
        "hit_rate": laid.hit,
    }
