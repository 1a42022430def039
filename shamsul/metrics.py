"""What every measure is called, what it can be, which way is better and where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A measure of one heatmap, or of several.

    Attributes
    ----------
    name : in the tables.
    title : in the report.
    summary : what it says, in one sentence.
    citation : where it comes from.
    better : `higher`, `lower`, or `neither` where it describes and does not judge.
    low, high : the smallest and largest value that are possible.
    """

    name: str
    title: str
    summary: str
    citation: str
    better: Literal["higher", "lower", "neither"]
    low: float = 0.0
    high: float = 1.0


_CHEXLOCALIZE = "Saporta et al., Nature Machine Intelligence 2022"
_ARRAS = "Arras et al., Information Fusion 2022"
_CHOE = "Choe et al., CVPR 2020"

_ALL = (
    # Of a segmentation: a heatmap cut at a threshold.
    Metric(
        "iou", "IoU", "Area shared by mask and segmentation over the area of either.",
        _CHEXLOCALIZE, "higher",
    ),
    Metric(
        "dice", "Dice", "Twice the area shared over the sum of both areas.",
        "Dice, Ecology 1945", "higher",
    ),
    Metric(
        "precision", "Precision", "Share of the segmentation that lies in the mask.",
        _CHEXLOCALIZE, "higher",
    ),
    Metric(
        "recall", "Recall", "Share of the mask that the segmentation covers.",
        _CHEXLOCALIZE, "higher",
    ),
    Metric(
        "false_alarm_area", "False-alarm area",
        "Share of a radiograph without the finding that the segmentation covers.",
        "as 1 - specificity", "lower",
    ),
    # Of a heatmap as it is.
    Metric(
        "hit_rate", "Hit rate", "Whether the most relevant pixel lies in the mask, ties averaged.",
        "Zhang et al., IJCV 2018", "higher",
    ),
    Metric(
        "relevance_mass", "Relevance mass",
        "Share of the relevance that lies in the mask: energy-based pointing, relevance mass accuracy.",
        f"Wang et al., CVPRW 2020; {_ARRAS}", "higher",
    ),
    Metric(
        "relevance_rank", "Relevance rank",
        "Of as many most relevant pixels as the mask has, the share that lies in it.",
        _ARRAS, "higher",
    ),
    Metric(
        "auprc", "AUPRC", "Average precision of the pixels, ranked by relevance.",
        _CHOE, "higher",
    ),
    Metric(
        "auprc_lift", "AUPRC lift", "AUPRC over the mask's share of the image, which is chance.",
        "as lift in information retrieval", "higher", high=math.inf,
    ),
    Metric(
        "auroc", "Pixel AUROC",
        "Chance that a pixel of the mask is more relevant than one outside.",
        "Fawcett, Pattern Recognition Letters 2006", "higher",
    ),
    # Of all heatmaps of a class.
    Metric(
        "pxap", "PxAP", "Average precision of the pixels of all images together.",
        _CHOE, "higher",
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""By name; measures of boxes are named `box_` and the name of the same measure of outlines."""
