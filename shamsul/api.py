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
['auprc', 'auprc_lift', 'auroc']
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shamsul.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from shamsul.evaluate.sign import Sign
    from shamsul.explain.base import Method
    from shamsul.model.classifier import Classifier
    from shamsul.storage.images import Images

FAMILIES = {
    "DenseNet": "densenet121",
    "ResNet": "resnet50",
    "VGG": "vgg16",
    "EfficientNet": "efficientnet_b0",
    "ConvNeXt": "convnext_tiny",
    "VisionTransformer": "vit_b_16",
}
"""Backbone that is taken apart in the same way, by torchvision's class of network."""


def classifier(
    network: nn.Module | str | Path,
    classes: Sequence[str] | None = None,
    *,
    backbone: str | None = None,
    size: int = 224,
) -> Classifier:
    """Make a classifier from a network or a checkpoint.

    Parameters
    ----------
    network : one of torchvision's networks, (N, 3, size, size) -> (N, C) logits of images that are
        normalised as ImageNet's, or the path of a file: a run's ``model/checkpoint.pt``, or
        weights of a torchvision network.
    classes : names of the C logits, in their order; not needed for a run's checkpoint.
    backbone : name of the network, as in `model.backbone`; needed for a file of weights, and for a
        network whose class is not torchvision's. Methods such as Grad-CAM find the last feature
        maps by it.
    size : side in pixels of the images that the network sees.

    Raises
    ------
    InputError
        The file is unreadable, the network's outputs are not the classes, or a name is missing.

    Examples
    --------
    >>> from torchvision.models import densenet121
    >>> model = classifier(densenet121(num_classes=1), ["Edema"], size=64)
    >>> model.backbone, model.classes
    ('densenet121', ('Edema',))
    """
    from shamsul.model import checkpoint

    if not isinstance(network, (str, Path)):
        return _of_network(network, classes, backbone, size)
    if classes is None and backbone is None:
        return checkpoint.load(network)
    if classes is None or backbone is None:
        raise InputError(f"{network}: weights need both `classes` and `backbone`")
    _check_backbone(backbone)
    return checkpoint.import_checkpoint(network, backbone, classes, size)


def _of_network(
    network: nn.Module, classes: Sequence[str] | None, backbone: str | None, size: int
) -> Classifier:
    import torch

    from shamsul.model.classifier import Classifier

    family = type(network).__name__
    backbone = backbone or FAMILIES.get(family)
    if classes is None or backbone is None:
        missing = "classes" if classes is None else "backbone"
        raise InputError(f"{family}: say its `{missing}`")
    _check_backbone(backbone)
    made = Classifier(network, tuple(classes), backbone, size)
    with torch.no_grad():
        found = made(torch.zeros(1, 3, size, size, device=made.device)).shape
    if found != (1, len(classes)):
        raise InputError(
            f"{family}: gives {tuple(found[1:])} logits an image, and `classes` are {len(classes)}"
        )
    return made


def _check_backbone(name: str) -> None:
    from shamsul.model.backbones import BACKBONES
    from shamsul.settings import unknown

    if name not in BACKBONES:
        raise InputError(f"backbone: {unknown(name, BACKBONES)}")


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


def explain(
    classifier: Classifier,
    images: ArrayLike | Tensor,
    method: str,
    *,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    **parameters: Any,
) -> NDArray[np.float32]:
    """Explain a classifier's logits on radiographs.

    Parameters
    ----------
    classifier : classifier that `shamsul.classifier` makes.
    images : grey radiographs, (N, H, W) uint8, or one (H, W); array or tensor. Those of another
        size than the classifier's are stretched to it, as under `data.geometry: stretch`.
    method : a name of `shamsul.methods`.
    classes : names of the C classes to explain; all of the classifier's when absent.
    seed : seed of methods that draw at random; image n draws by the seed and n.
    parameters : parameters of the method; see ``shamsul methods NAME``.

    Returns
    -------
    (N, C, h, w) float32, covering the radiographs evenly at the method's own resolution; signed
    where the method is.

    Raises
    ------
    InputError
        An unknown method, parameter or class, images that are not uint8, or a method that needs
        more than the classifier: a run's files, masks or other methods' maps.

    Examples
    --------
    >>> from torchvision.models import resnet18
    >>> model = classifier(resnet18(num_classes=2), ["Edema", "Fracture"], size=64)
    >>> one = np.zeros((64, 64), np.uint8)
    >>> explain(model, one, "lrp_epsilon", epsilon=0.1).shape
    (1, 2, 64, 64)
    """
    from shamsul.explain.base import Shard

    built = _method(method, parameters, classifier.backbone)
    names = classifier.classes if classes is None else tuple(classes)
    for name in names:
        if name not in classifier.classes:
            from shamsul.settings import unknown

            raise InputError(f"classes: {unknown(name, classifier.classes, 'class')}")
    shard = Shard(lambda: classifier, _images(images, classifier.size), names, seed)
    maps = built.heatmaps(shard).heatmap
    assert isinstance(maps, np.ndarray)  # Methods of segmentations read files.
    return maps


def _method(name: str, parameters: dict[str, Any], backbone: str) -> Method:
    """Return a method that needs the classifier and the images alone."""
    from shamsul.explain import registry
    from shamsul.explain.external.methods import Imported, Radiologist, Segmentations
    from shamsul.settings import unknown

    if name not in registry.methods():
        raise InputError(unknown(name, registry.methods(), "method"))
    built = registry.one({"method": name, **parameters}, name)
    if reason := built.unsuited(backbone):
        raise InputError(f"{name} cannot explain {backbone}: {reason}")
    if built.members or built.supervised or built.uses_shared:
        raise InputError(f"{name}: needs masks or other maps of a run; make one with `shamsul run`")
    if isinstance(built, (Imported, Radiologist, Segmentations)):
        raise InputError(f"{name}: reads maps from files; `shamsul run` scores them")
    built.check_files()
    return built


def _images(images: ArrayLike | Tensor, size: int) -> Images:
    from shamsul.geometry import Frame, to_model
    from shamsul.storage.images import Images

    grey = np.asarray(images)
    grey = grey[None] if grey.ndim == 2 else grey
    if grey.dtype != np.uint8 or grey.ndim != 3:
        raise InputError(
            f"images: need (N, H, W) uint8, grey values 0 to 255, not {grey.shape} {grey.dtype}"
        )
    height, width = grey.shape[1:]
    frame = Frame.fit(height, width, size, "stretch")
    shown = [image if image.shape == (size, size) else to_model(image, frame) for image in grey]
    stacked = np.array(shown, np.uint8).reshape(-1, size, size)
    return Images(stacked, [str(n) for n in range(len(grey))], [frame] * len(grey))


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
    `dice`, `precision` and `recall` of the segmentation; `hit_rate`, `relevance_mass`,
    `relevance_rank`, `auprc`, `auprc_lift` and `auroc` of the heatmap as it is.

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
    from shamsul.evaluate.histogram import sweep
    from shamsul.evaluate.histogram_metrics import OVERLAP, RANKING, level_of, otsu
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
    laid = sweep(evidence(values, sign), frame, runs)
    level = level_of(threshold) if threshold is not None else int(otsu(laid.inside + laid.outside))
    found = {name: at[level] for name, at in _each(OVERLAP, laid.inside, laid.outside)}
    found |= {"hit_rate": laid.hit, "relevance_mass": laid.mass}
    found |= dict(_each(RANKING, laid.inside, laid.outside))
    found["auprc_lift"] = found["auprc"] / wanted.mean()
    return {name: float(value) for name, value in found.items()}


def _each(measures: dict[str, Any], inside: Any, outside: Any) -> list[tuple[str, Any]]:
    return [(name, measure(inside, outside)) for name, measure in measures.items()]
