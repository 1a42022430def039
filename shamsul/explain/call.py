"""A method called on radiographs in memory, without a run and its files: `shamsul.explain(...)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.shard import Shard
from shamsul.geometry import Frame, to_model
from shamsul.settings import unknown
from shamsul.storage.images import Images

if TYPE_CHECKING:
    from torch import Tensor

    from shamsul.explain.base import Method
    from shamsul.model.classifier import Classifier
    from shamsul.size import Size


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
    >>> import shamsul
    >>> from torchvision.models import resnet18
    >>> model = shamsul.classifier(resnet18(num_classes=2), ["Edema", "Fracture"], size=64)
    >>> one = np.zeros((64, 64), np.uint8)
    >>> explain(model, one, "lrp_epsilon", epsilon=0.1).shape
    (1, 2, 64, 64)
    """
    built = _method(method, parameters, classifier)
    names = classifier.classes if classes is None else tuple(classes)
    for name in names:
        if name not in classifier.classes:
            raise InputError(f"classes: {unknown(name, classifier.classes, 'class')}")
    shard = Shard(lambda: classifier, _images(images, classifier.size), names, seed)
    maps = built.heatmaps(shard).heatmap
    assert isinstance(maps, np.ndarray)  # Methods of segmentations read files.
    return maps


def _method(name: str, parameters: dict[str, Any], classifier: Classifier) -> Method:
    """Return a method that needs the classifier and the images alone."""
    from shamsul.explain.external.methods import Imported, Radiologist, Segmentations

    if name not in registry.methods():
        raise InputError(unknown(name, registry.methods(), "method"))
    built = registry.one({"method": name, **parameters}, name)
    if reason := classifier.structure.refusal(built.needs):
        raise InputError(f"{name} cannot explain {classifier.spec.network}: {reason}")
    if built.members or built.supervised or built.uses_shared or built.train_inputs:
        raise InputError(
            f"{name}: needs masks or other maps of a run, or radiographs of its train split; "
            "make one with `shamsul run`"
        )
    if isinstance(built, (Imported, Radiologist, Segmentations)):
        raise InputError(f"{name}: reads maps from files; `shamsul run` scores them")
    built.check_files()
    return built


def _images(images: ArrayLike | Tensor, size: Size) -> Images:
    grey = np.asarray(images)
    grey = grey[None] if grey.ndim == 2 else grey
    if grey.dtype != np.uint8 or grey.ndim != 3:
        raise InputError(
            f"images: need (N, H, W) uint8, grey values 0 to 255, not {grey.shape} {grey.dtype}"
        )
    height, width = grey.shape[1:]
    frame = Frame.fit(height, width, size, "stretch")
    shown = [image if image.shape == size else to_model(image, frame) for image in grey]
    stacked = np.array(shown, np.uint8).reshape(-1, *size)
    return Images(stacked, [str(n) for n in range(len(grey))], [frame] * len(grey))
