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
_PETSIUK = "Petsiuk et al., BMVC 2018"
_YEH = "Yeh et al., NeurIPS 2019"
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
        "Share of the relevance that lies in the mask, as in energy-based pointing.",
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
    # Of a heatmap, when the model is asked again.
    Metric(
        "deletion", "Deletion",
        "Share of the logit's evidence left while the most relevant pixels are hidden first, "
        "on average.",
        _PETSIUK, "lower",
    ),
    Metric(
        "insertion", "Insertion",
        "Share of the logit's evidence there while the most relevant pixels are shown first, "
        "on average.",
        _PETSIUK, "higher",
    ),
    Metric(
        "road", "ROAD",
        "Fall of the logit when the most relevant pixels are imputed less that when the least are.",
        "Rong et al., ICML 2022", "higher", low=-math.inf, high=math.inf,
    ),
    Metric(
        "infidelity", "Infidelity",
        "Error, relative to an empty map's, of the map's sum over hidden squares as the logit's "
        "fall.",
        _YEH, "lower",
    ),
    Metric(
        "max_sensitivity", "Max-sensitivity",
        "Largest change of the map under a little noise on the image, relative to the map.",
        _YEH, "lower", high=math.inf,
    ),
    Metric(
        "mprt", "Randomisation",
        "Rank correlation with the map after the network's weights are randomised.",
        "Adebayo et al., NeurIPS 2018", "lower", low=-1.0,
    ),
    Metric(
        "efficient_mprt", "Randomisation (complexity)",
        "Relative rise of the map's entropy when the network's weights are randomised.",
        "Hedström et al., 2024", "higher", low=-1.0, high=math.inf,
    ),
    Metric(
        "random_logit", "Other classes",
        "Rank correlation with the maps of the image's other classes, on average.",
        "Sixt et al., ICML 2020", "lower", low=-1.0,
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""By name; measures of boxes are named `box_` and the name of the same measure of outlines."""
