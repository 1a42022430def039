"""One radiograph explained now, by all methods that suit the network and take seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shamsul.cases.suited import suited
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.call import explain
from shamsul.geometry import Frame, Geometry, to_model
from shamsul.report.case.content import GROUPS, Case, Explanation, Layer
from shamsul.settings import unknown

if TYPE_CHECKING:
    from shamsul.evaluate.sign import Sign
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
    started = start(
        classifier, image, methods, classes=classes, masks=masks, image_id=image_id,
        geometry=geometry, sign=sign, seed=seed, seconds=seconds,
    )  # fmt: skip
    return started.case(list(started.explanations()))


@dataclass(frozen=True)
class Started:
    """A radiograph whose classes are predicted and whose methods are chosen, but not made yet.

    Attributes
    ----------
    classifier : classifier to explain.
    image : (H, W) uint8, the radiograph.
    seen : radiograph as the network sees it.
    frame : frame of the radiograph.
    image_id : name of the radiograph.
    geometry : way in which the radiograph fits the frame.
    probabilities : probability of each class.
    classes : classes to explain.
    methods : names of the methods to make, in this order.
    named : true where the methods were named, so that none of them may be left out.
    masks : rows of the masks table.
    sign : treatment of negative relevance.
    seed : seed of methods that draw at random.
    notes : sentences on what is left out, to which `explanations` adds.
    """

    classifier: Classifier
    image: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    frame: Frame
    image_id: str
    geometry: Geometry
    probabilities: Mapping[str, float]
    classes: Sequence[str]
    methods: Sequence[str]
    named: bool
    masks: Sequence[Mapping[str, Any]]
    sign: Sign
    seed: int
    notes: list[str]

    def explanations(self) -> Iterator[Explanation]:
        """Make the methods one after the other; raises as `explained` does."""
        for number, name in enumerate(self.methods, 1):
            begun = time.perf_counter()
            try:
                maps = explain(
                    self.classifier, self.seen, name, classes=self.classes, seed=self.seed
                )[0]
            except InputError as error:
                if self.named:
                    raise
                self.notes.append(f"{name} was left out: {error}")
                continue
            taken = time.perf_counter() - begun
            logger.info("%d of %d: %s, %.1f s", number, len(self.methods), name, taken)
            yield _explanation(name, maps, self.classes, self.frame, taken)

    def case(self, made: Sequence[Explanation]) -> Case:
        """Return the case with the explanations that are made, in the order of their costs."""
        height, width = self.image.shape
        rows, columns = self.classifier.size
        return Case(
            image_id=self.image_id,
            image=self.image,
            height=height,
            width=width,
            probabilities=self.probabilities,
            explanations=sorted(made, key=lambda each: (list(GROUPS).index(each.cost), each.name)),
            masks=self.masks,
            sign=self.sign,
            provenance={
                "Radiograph": f"{self.image_id}, {height} x {width} pixels",
                "Network": self.classifier.spec.network,
                "Input": f"{rows} x {columns} pixels, {self.geometry}",
                "Checkpoint": self.classifier.digest(),
                "Seed": str(self.seed),
            },
            notes=list(self.notes),
        )


def start(
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
) -> Started:
    """Predict the classes of a radiograph and choose its methods; arguments are `explained`'s."""
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
    rows = _rows(masks or {}, image_id, grey.shape, classifier)
    return Started(
        classifier, grey, seen, frame, image_id, geometry, probabilities, wanted, chosen,
        methods is not None, rows, sign, seed, notes,
    )  # fmt: skip


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
