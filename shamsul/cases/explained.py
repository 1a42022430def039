"""One radiograph explained now, by all methods that suit the network and take seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.base import TOGETHER
from shamsul.explain.call import explain
from shamsul.geometry import Frame, Geometry, to_model
from shamsul.plan import passes
from shamsul.report.case.content import GROUPS, Case, Explanation, Layer
from shamsul.settings import unknown
from shamsul.size import at_a_time

if TYPE_CHECKING:
    from shamsul.evaluate.sign import Sign
    from shamsul.explain.base import Method
    from shamsul.model.classifier import Classifier

logger = logging.getLogger(__name__)

SECONDS = 60.0
"""Seconds that the methods of a page may take together where none is named."""
CLASSES = 5
"""Classes that are explained where none is named: the most probable ones."""


def explained(
    classifier: Classifier,
    image: ArrayLike,
    methods: Sequence[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    masks: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    image_id: str = "radiograph",
    geometry: Geometry = "stretch",
    sign: Sign = "positive",
    seed: int = 0,
    seconds: float = SECONDS,
) -> Case:
    """Explain one radiograph and return its case, which a notebook draws.

    Parameters
    ----------
    classifier : classifier that `shamsul.classifier` makes.
    image : (H, W) uint8, grey values.
    methods : names of `shamsul.methods`. If absent, all methods that suit the network, cheapest
        first, as long as they take no more than `seconds` together by an estimate; a note of the
        case names the others and why they were left out.
    classes : names of the classes to explain; the five most probable ones when absent.
    masks : masks (H, W) bool by reader and class, to compare segmentations with.
    image_id : name of the radiograph in the page.
    geometry : way to fit the radiograph to the network's frame.
    sign : treatment of negative relevance where maps are cut and measured.
    seed : seed of methods that draw at random.
    seconds : seconds that the methods may take where none is named.

    Raises
    ------
    InputError
        The image is not (H, W) uint8, a class or method is unknown, or a named method cannot
        explain the network or needs a run.

    Examples
    --------
    >>> import shamsul
    >>> from torchvision.models import resnet18
    >>> model = shamsul.classifier(resnet18(num_classes=2), ["Edema", "Fracture"], size=64)
    >>> found = explained(model, np.zeros((80, 70), np.uint8), ["grad_cam"], classes=["Edema"])
    >>> [(each.title, list(each.layers)) for each in found.explanations]
    [('Grad-CAM', ['Edema'])]
    """
    grey = np.asarray(image)
    if grey.ndim != 2 or grey.dtype != np.uint8:
        raise InputError(f"image: need (H, W) uint8, grey values, not {grey.shape} {grey.dtype}")
    height, width = grey.shape
    frame = Frame.fit(height, width, classifier.size, geometry)
    seen = to_model(grey, frame)
    probabilities, forward = _predicted(classifier, seen)
    wanted = _classes(classifier, classes, probabilities)
    notes: list[str] = []
    if len(wanted) < len(classifier.classes) and classes is None:
        notes.append(f"The {len(wanted)} most probable classes are explained; name others to add.")
    if methods is None:
        chosen = suited(classifier, len(wanted), forward, seconds, notes)
    else:
        chosen = list(dict.fromkeys(methods))
    found = []
    for number, name in enumerate(chosen, 1):
        start = time.perf_counter()
        try:
            maps = explain(classifier, seen, name, classes=wanted, seed=seed)[0]
        except InputError as error:
            if methods is not None:
                raise
            notes.append(f"{name} was left out: {error}")
            continue
        taken = time.perf_counter() - start
        logger.info("%d of %d: %s, %.1f s", number, len(chosen), name, taken)
        found.append(_explanation(name, maps, wanted, frame, taken))
    return Case(
        image_id=image_id,
        image=grey,
        height=height,
        width=width,
        probabilities=probabilities,
        explanations=sorted(found, key=lambda each: (list(GROUPS).index(each.cost), each.name)),
        masks=_rows(masks or {}, image_id, grey.shape, classifier),
        sign=sign,
        provenance={
            "Radiograph": f"{image_id}, {height} x {width} pixels",
            "Network": classifier.spec.network,
            "Input": f"{classifier.size[0]} x {classifier.size[1]} pixels, {geometry}",
            "Checkpoint": classifier.digest(),
            "Seed": str(seed),
        },
        notes=notes,
    )


def _predicted(classifier: Classifier, seen: NDArray[np.uint8]) -> tuple[dict[str, float], float]:
    """Return the probability of each class, and the seconds of a forward pass of an image."""
    images = classifier.normalise(seen[None])
    logits = classifier.predict(images)
    start = time.perf_counter()
    classifier.predict(images)
    forward = (time.perf_counter() - start) / classifier.tile
    found = logits[0].double().sigmoid().tolist()
    return dict(zip(classifier.classes, found, strict=True)), forward


def _classes(
    classifier: Classifier, classes: Sequence[str] | None, probabilities: Mapping[str, float]
) -> list[str]:
    if classes is None:
        return sorted(probabilities, key=lambda name: -probabilities[name])[:CLASSES]
    for name in classes:
        if name not in classifier.classes:
            raise InputError(f"classes: {unknown(name, classifier.classes, 'class')}")
    return list(dict.fromkeys(classes))


def suited(
    classifier: Classifier, classes: int, forward: float, seconds: float, notes: list[str]
) -> list[str]:
    """Return the names of the methods that suit a network and take seconds, cheapest first.

    Parameters
    ----------
    classifier : classifier to explain.
    classes : number of classes to explain.
    forward : seconds of a forward pass of an image.
    seconds : seconds that the methods may take together, by an estimate.
    notes : list to which sentences on what was left out are added.
    """
    refused: dict[str, str] = {}
    estimates: dict[str, float] = {}
    for name, cls in registry.methods().items():
        # Controls, readers and other libraries' versions of the same methods are there by name.
        if cls.cost == "no_model" or ".peers." in cls.__module__:
            continue
        method = registry.bare(cls)
        if reason := classifier.structure.refusal(method.needs):
            refused[name] = reason
        elif method.train_inputs or method.supervised:
            refused[name] = "needs radiographs or masks of a run"
        else:
            estimates[name] = _estimate(method, classifier, classes) * forward
    chosen: list[str] = []
    left = seconds
    for name in sorted(estimates, key=lambda each: (estimates[each], each)):
        if estimates[name] > left:
            break
        left -= estimates[name]
        chosen.append(name)
    slow = {name: took for name, took in estimates.items() if name not in chosen}
    if slow:
        told = ", ".join(f"{name} ({took:.0f} s)" for name, took in sorted(slow.items()))
        notes.append(
            f"Left out because all would take more than {seconds:.0f} s: {told}. Name a method to "
            "have it."
        )
    for reason in dict.fromkeys(refused.values()):
        names = ", ".join(name for name, why in refused.items() if why == reason)
        notes.append(f"Not for this network or radiograph: {names}; {reason}.")
    return chosen


def _estimate(method: Method, classifier: Classifier, classes: int) -> float:
    """Return the forward passes that a method takes for one image, repeated to fill its group."""
    return passes(method, classes) * at_a_time(TOGETHER[method.cost], classifier.size)


def _explanation(
    name: str, maps: NDArray[np.float32], classes: Sequence[str], frame: Frame, seconds: float
) -> Explanation:
    cls = registry.methods()[name]
    parameters = registry.one({"method": name}, name).model_dump()
    return Explanation(
        name=name,
        title=cls.title,
        cost=cls.cost,
        signed=bool((maps < 0).any()),
        layers={each: Layer(maps[place], frame) for place, each in enumerate(classes)},
        parameters={key: value for key, value in parameters.items() if value is not None},
        seconds=seconds,
    )


def _rows(
    masks: Mapping[str, Mapping[str, ArrayLike]],
    image_id: str,
    shape: tuple[int, ...],
    classifier: Classifier,
) -> list[dict[str, Any]]:
    """Return masks by reader and class as rows of the masks table."""
    from shamsul.data.masks import encode

    rows = []
    for reader, by_class in masks.items():
        for name, drawn in by_class.items():
            mask = np.asarray(drawn, bool)
            if name not in classifier.classes:
                raise InputError(f"masks of {reader}: {unknown(name, classifier.classes, 'class')}")
            if mask.shape != shape or not mask.any():
                raise InputError(
                    f"masks of {reader}, {name}: need {shape[0]} x {shape[1]} pixels, some of "
                    "them in the mask"
                )
            rows.append(
                {
                    "image_id": image_id,
                    "class": name,
                    "annotator": reader,
                    "kind": "segmentation",
                    "height": shape[0],
                    "width": shape[1],
                    "counts": encode(mask),
                }
            )
    return rows
