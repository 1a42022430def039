"""Functions that `import shamsul` offers: a classifier, explanations of it, and their scores.

They are the pipeline's own code, without files. Equal images, weights, method and seed give the
maps that a run gives, and equal maps and masks give its scores.

>>> import numpy as np
>>> import shamsul
>>> from torchvision.models import resnet18
>>> network = resnet18(num_classes=2).eval()  # with random weights here
>>> model = shamsul.classifier(network, ["Edema", "Fracture"], size=64)
>>> radiographs = np.random.default_rng(0).integers(0, 256, (3, 80, 70), dtype=np.uint8)
>>> maps = shamsul.explain(model, radiographs, "grad_cam", classes=["Edema"])
>>> maps.shape
(3, 1, 2, 2)
>>> mask = np.zeros((80, 70), bool)
>>> mask[20:40, 10:30] = True
>>> sorted(shamsul.score(maps[0, 0], mask))[:3]
['auprc', 'auprc_ceiling', 'auprc_lift']
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ValidationError

from shamsul.errors import InputError
from shamsul.explain.call import explain as explain
from shamsul.settings import explain_errors

if TYPE_CHECKING:
    from torch import nn

    from shamsul.evaluate.sign import Sign
    from shamsul.explain.base import Method
    from shamsul.model.classifier import Classifier
    from shamsul.size import Size


def classifier(
    network: nn.Module | str | Path,
    classes: Sequence[str] | None = None,
    *,
    size: int | Size = 224,
    checkpoint: str | Path | None = None,
    **model: Any,
) -> Classifier:
    """Make a classifier from a network, its name, or a run's checkpoint.

    Parameters
    ----------
    network : a network in memory, the name of one as in `model.network`, such as
        ``timm/resnet18``, or the path of a run's ``model/checkpoint.pt``.
    classes : names of the C classes; not needed for a run's checkpoint.
    size : height and width in pixels of the images that the network sees, or the side of a square.
    checkpoint : file of trained weights, or ``pretrained``, for a network that is named.
    model : further settings of the network as in `model`: `input`, `outputs`, `options`,
        `head_activation`, and `weights`, which are random if nothing is said.

    Raises
    ------
    InputError
        A file is unreadable, the network's outputs are not the classes, or something is not known
        of it and must be said.

    Examples
    --------
    >>> from torchvision.models import densenet121
    >>> model = classifier(densenet121(num_classes=1), ["Edema"], size=64)
    >>> model.classes, model.structure.feature_layer.name
    (('Edema',), 'features')
    >>> shown = {"scale": (0, 1), "mean": (0.5,), "std": (0.25,)}
    >>> classifier("resnet18", ["Edema"], size=64, input=shown).spec.presentation.channels
    1
    """
    from shamsul.model import checkpoint as checkpoints
    from shamsul.model import importing
    from shamsul.model.settings import Model

    named = isinstance(network, (str, Path))
    if named and classes is None:
        return checkpoints.load(str(network))
    if classes is None:
        raise InputError(f"{type(network).__name__}: say its `classes`, in the order of its logits")
    settings = {"network": str(network) if named else "own/network", "weights": "random", **model}
    try:
        asked = Model(**settings, checkpoint=None if checkpoint is None else str(checkpoint))
    except ValidationError as error:
        raise InputError(*explain_errors(error, Model)) from None
    if not isinstance(network, (str, Path)):
        return importing.of_network(network, asked, classes, size)
    if checkpoint is None:
        return importing.untrained(asked, classes, size, seed=0)
    return importing.import_checkpoint(asked, classes, size)


def methods() -> dict[str, type[Method]]:
    """Return the explanation methods by name; fields of a method are its parameters.

    Examples
    --------
    >>> methods()["lrp_epsilon"].title
    'LRP-ε'
    >>> methods()["lime"].model_fields["segments"].default
    50
    """
    from shamsul.explain import registry

    return registry.methods()


def score(
    heatmap: ArrayLike,
    mask: ArrayLike,
    *,
    sign: Sign = "positive",
    threshold: float | None = None,
) -> dict[str, float]:
    """Score a heatmap against an expert's mask of the same radiograph.

    Parameters
    ----------
    heatmap : (h, w), of any resolution, covering the radiograph evenly. It is brought to the
        mask's pixels by bilinear interpolation, not the mask to the heatmap's.
    mask : (H, W) bool, at the radiograph's own resolution; not empty.
    sign : treatment of negative relevance: `positive` drops it, `absolute` counts it as positive,
        `minmax` shifts the map to begin at 0.
    threshold : threshold in [0, 1] of the map scaled to its minimum and maximum, where it is cut
        for `iou`, `dice`, `precision` and `recall`; Otsu's threshold when absent.

    Returns
    -------
    Values by the names of `shamsul.metrics.METRICS`, which has their ranges and sources: `iou`,
    `dice`, `precision`, `recall` and `marked_area` of the segmentation; `hit_rate`,
    `relevance_mass`, `relevance_rank`, `auprc`, `auprc_lift` and `auroc` of the heatmap as it is;
    `iou_ceiling` and `auprc_ceiling` of the mask itself in (h, w).

    Raises
    ------
    InputError
        Heatmap or mask is not of two axes, relevance is not finite, or the mask is empty.

    Examples
    --------
    >>> mask = np.zeros((4, 4), bool)
    >>> mask[:2] = True
    >>> found = score(mask.astype(float), mask)
    >>> found["iou"], found["auroc"], found["hit_rate"]
    (1.0, 1.0, 1.0)
    """
    from shamsul.data.masks import encode, run_lengths
    from shamsul.evaluate.ceiling import mask_at
    from shamsul.evaluate.histogram import Sweep, sweep
    from shamsul.evaluate.histogram_metrics import (
        DESCRIPTION,
        OVERLAP,
        RANKING,
        auprc,
        iou,
        level_of,
        otsu,
    )
    from shamsul.evaluate.sign import evidence
    from shamsul.geometry import Frame

    values, wanted = np.asarray(heatmap, np.float32), np.asarray(mask, bool)
    if values.ndim != 2 or wanted.ndim != 2:
        raise InputError(f"heatmap {values.shape} and mask {wanted.shape} need two axes each")
    if not np.isfinite(values).all() or not wanted.any():
        raise InputError("the heatmap must be finite, and the mask must not be empty")
    height, width = wanted.shape
    runs = run_lengths({"counts": encode(wanted), "height": height, "width": width})
    frame = Frame.fit(height, width, values.shape[0], "stretch")
    laid = sweep(evidence(values, sign), frame, runs, ranked=True)
    ceiling = sweep(mask_at(runs, frame, values.shape), frame, runs)

    def level(of: Sweep) -> int:
        return int(otsu(of.inside + of.outside)) if threshold is None else level_of(threshold)

    overlap = _each(OVERLAP | DESCRIPTION, laid.inside, laid.outside)
    found = {name: at[level(laid)] for name, at in overlap}
    found["iou_ceiling"] = iou(ceiling.inside, ceiling.outside)[level(ceiling)]
    found["auprc_ceiling"] = auprc(ceiling.inside, ceiling.outside)
    found |= {"hit_rate": laid.hit, "relevance_mass": laid.mass}
    assert laid.ranked is not None
    found |= dict(_each(RANKING, *laid.ranked))
    found["auprc_lift"] = found["auprc"] / wanted.mean()
    return {name: float(value) for name, value in found.items()}


def _each(measures: dict[str, Any], inside: Any, outside: Any) -> list[tuple[str, Any]]:
    return [(name, measure(inside, outside)) for name, measure in measures.items()]
