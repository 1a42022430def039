"""Records of the metrics: name, kind, range, better direction and source.

They stand here only. The tables, their summaries and the report ask for the metrics of a group, so
a metric is added by its function and its record here.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal

Group = Literal[
    "overlap",
    "false_alarms",
    "pointing",
    "ranking",
    "dataset",
    "faithfulness",
    "robustness",
    "class_specificity",
    "randomisation",
    "shape",
    "description",
]
"""Kind of a metric, by the question that it answers.

overlap : agreement of mask and segmentation (a heatmap cut at a threshold).
false_alarms : segmentation on a radiograph without the finding.
pointing : place of a heatmap's relevance, with no threshold.
ranking : rank of the mask's pixels above the others by relevance.
dataset : one number for all heatmaps of a class.
faithfulness : the model's need for the pixels that the heatmap calls relevant.
robustness : the same method under noise.
class_specificity : the same method for other classes.
randomisation : the same method on networks with random weights.
shape : spread of a heatmap's values, which does not judge it.
description : description of a heatmap, which does not judge it.
"""
PROBED: tuple[Group, ...] = (
    "faithfulness", "robustness", "randomisation", "class_specificity", "shape",
)  # fmt: skip
"""Groups of what is measured on a choice of finished heatmaps, most of it by asking the model
again."""
PREFIX = {"segmentation": "", "box": "box_", "evidence": "evidence_"}
"""Prefix of a metric's name in the tables, by kind of mask; the first kind of a run leads.

A box is drawn around a finding, so overlap with it is not overlap with the finding. Evidence is the
pixels that change when a phantom's finding alone is left out; an outline holds pixels that do not.
The kinds are never averaged.
"""


@dataclass(frozen=True)
class Metric:
    """A metric of one heatmap, or of several.

    Attributes
    ----------
    name : name in the tables.
    title : name in the report.
    summary : definition in one sentence.
    citation : publication that introduced it.
    better : `higher`, `lower`, or `neither` where it describes and does not judge.
    group : kind of metric, see `Group`.
    low, high : smallest and largest possible value.
    headline : True where it is also reported for each stratum of the test set.
    gate : largest value with which a method passes; None where it is no gate. A method that fails
        is not called best, and none of those that pass is the best by this metric.
    """

    name: str
    title: str
    summary: str
    citation: str
    better: Literal["higher", "lower", "neither"]
    group: Group
    low: float = 0.0
    high: float = 1.0
    headline: bool = False
    gate: float | None = None


_CHEXLOCALIZE = "Saporta et al., Nature Machine Intelligence 2022"
_ARRAS = "Arras et al., Information Fusion 2022"
_PETSIUK = "Petsiuk et al., BMVC 2018"
_YEH = "Yeh et al., NeurIPS 2019"
_CHOE = "Choe et al., CVPR 2020"

_ALL = (
    Metric(
        "iou", "IoU", "Area shared by mask and segmentation over the area of either.",
        _CHEXLOCALIZE, "higher", "overlap", headline=True,
    ),
    Metric(
        "iou_ceiling", "IoU (ceiling)",
        "IoU of the expert's mask itself at the map's resolution, cut by the same rule.",
        "this project", "neither", "description",
    ),
    Metric(
        "dice", "Dice", "Twice the area shared over the sum of both areas.",
        "Dice, Ecology 1945", "higher", "overlap",
    ),
    Metric(
        "precision", "Precision", "Share of the segmentation that lies in the mask.",
        _CHEXLOCALIZE, "higher", "overlap",
    ),
    Metric(
        "recall", "Recall", "Share of the mask that the segmentation covers.",
        _CHEXLOCALIZE, "higher", "overlap",
    ),
    Metric(
        "false_alarm_area", "False-alarm area",
        "Share of a radiograph without the finding that the segmentation covers.",
        "as 1 - specificity", "lower", "false_alarms",
    ),
    Metric(
        "hit_rate", "Hit rate",
        "Share of the most relevant pixels, usually one, that lies in the mask.",
        "Zhang et al., IJCV 2018", "higher", "pointing", headline=True,
    ),
    Metric(
        "relevance_mass", "Relevance mass",
        "Share of the relevance that lies in the mask, as in energy-based pointing.",
        f"Wang et al., CVPRW 2020; {_ARRAS}", "higher", "pointing",
    ),
    Metric(
        "relevance_rank", "Relevance rank",
        "Share inside the mask of as many most relevant pixels as it has.",
        _ARRAS, "higher", "ranking",
    ),
    Metric(
        "auprc", "AUPRC", "Average precision of the pixels, ranked by relevance.",
        _CHOE, "higher", "ranking", headline=True,
    ),
    Metric(
        "auprc_ceiling", "AUPRC (ceiling)",
        "AUPRC of the expert's mask itself at the map's resolution.",
        "this project", "neither", "description",
    ),
    Metric(
        "auprc_lift", "AUPRC lift", "AUPRC over the mask's share of the image, which is chance.",
        "as lift in information retrieval", "higher", "ranking", high=math.inf,
    ),
    Metric(
        "auroc", "Pixel AUROC",
        "Chance that a pixel of the mask is more relevant than one outside.",
        "Fawcett, Pattern Recognition Letters 2006", "higher", "ranking",
    ),
    Metric(
        "pxap", "PxAP", "Average precision of the pixels of all images together.",
        _CHOE, "higher", "dataset",
    ),
    Metric(
        "otsu_area", "Area above Otsu's threshold",
        "Share of the radiograph that lies above Otsu's threshold of the map.",
        "Otsu, IEEE Transactions on Systems, Man, and Cybernetics 1979", "neither", "description",
    ),
    Metric(
        "rank_correlation", "Rank correlation",
        "Rank correlation of the maps of two methods.",
        "Spearman, American Journal of Psychology 1904", "neither", "description", low=-1.0,
    ),
    Metric(
        "marked_area", "Marked area",
        "Share of a radiograph with the finding that the segmentation covers.",
        "beside the false-alarm area", "neither", "description",
    ),
    Metric(
        "lift", "Lift on the marker",
        "Share of the relevance on the marker over the marker's share of the radiograph.",
        "as lift in information retrieval", "neither", "description", high=math.inf,
    ),
    Metric(
        "deletion", "Deletion",
        "Share of the logit's evidence left while the most relevant pixels are hidden first, "
        "on average.",
        _PETSIUK, "lower", "faithfulness",
    ),
    Metric(
        "insertion", "Insertion",
        "Share of the logit's evidence there while the most relevant pixels are shown first, "
        "on average.",
        _PETSIUK, "higher", "faithfulness",
    ),
    Metric(
        "road", "ROAD",
        "Fall of the logit when the most relevant pixels are imputed less that when the least are.",
        "Rong et al., ICML 2022", "higher", "faithfulness", low=-math.inf, high=math.inf,
    ),
    Metric(
        "infidelity", "Infidelity",
        "Error, relative to an empty map's, of the map's sum over hidden squares as the logit's "
        "fall.",
        _YEH, "lower", "faithfulness",
    ),
    Metric(
        "max_sensitivity", "Max-sensitivity",
        "Largest change of the map under a little noise on the image, relative to the map.",
        _YEH, "lower", "robustness", high=math.inf,
    ),
    Metric(
        "mprt", "Randomisation",
        "Rank correlation with the map after the network's weights are randomised.",
        "Adebayo et al., NeurIPS 2018", "lower", "randomisation", low=-1.0, gate=0.5,
    ),
    Metric(
        "efficient_mprt", "Randomisation (complexity)",
        "Relative rise of the map's entropy when the network's weights are randomised.",
        "Hedström et al., 2024", "neither", "randomisation", low=-1.0, high=math.inf,
    ),
    Metric(
        "random_logit", "Other classes",
        "Rank correlation with the maps of the image's other classes, on average.",
        "Sixt et al., ICML 2020", "lower", "class_specificity", low=-1.0, gate=0.5,
    ),
    Metric(
        "sparseness", "Sparseness",
        "Gini index of the map's absolute values: 0 where all are alike, 1 where one has all.",
        "Chalasani et al., ICML 2020", "neither", "shape",
    ),
    Metric(
        "effective_complexity", "Effective complexity",
        "Share of the map's cells whose value is not negligible.",
        "Nguyen and Martínez, 2020", "neither", "shape",
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Metrics by name; tables put a prefix before the same metric of another kind (`PREFIX`)."""


def of_group(*groups: Group) -> tuple[str, ...]:
    """Return the names of the metrics of some groups, group after group, each as declared."""
    return tuple(metric.name for group in groups for metric in _ALL if metric.group == group)


(FALSE_ALARMS,) = of_group("false_alarms")
"""Name of the one metric of images without the finding."""


def headlines() -> tuple[str, ...]:
    """Return the names of the metrics that are reported for each stratum of the test set."""
    return tuple(metric.name for metric in _ALL if metric.headline)


@functools.cache
def kind_of(name: str) -> str:
    """Return the kind of mask that a metric's name in a table tells of."""
    return next((k for k, p in PREFIX.items() if p and name.startswith(p)), "segmentation")


def of_outlines(name: str) -> str:
    """Return a metric's name in `METRICS` for its name in a table, of any kind of mask."""
    return name.removeprefix(PREFIX[kind_of(name)])


def of_table(name: str) -> Metric:
    """Return the metric that a table's column `metric` names, of any kind of mask."""
    return METRICS[of_outlines(name)]
