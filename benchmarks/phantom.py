"""Phantoms of the default experiment: what can be told without a look at the place, and where.

Run by hand: ``python -m benchmarks.phantom [NAME...]``, one JSON line for each comparison. The
images are those of `config.yaml`, and more patients of its test split, since AUROC of a class with
ten positives says little.
"""

from __future__ import annotations

import functools
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.ndimage import sobel
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.measure import line, main
from shamsul import experiment
from shamsul.data.adapters.phantom import PhantomSource
from shamsul.geometry import Frame, to_model
from shamsul.job.fingerprint import PROJECT
from shamsul.labels import CLASSES, LOCALISED
from shamsul.phantom.export import patient_names
from shamsul.phantom.patients import Study, reported_labels, studies
from shamsul.phantom.radiograph import Drawing

CONFIG = experiment.read(yaml.safe_load((PROJECT / "config.yaml").read_text())).config
(SOURCE,) = CONFIG.data.sources
assert isinstance(SOURCE, PhantomSource)
SIZE, SEED = CONFIG.data.size[0], SOURCE.seed
TEST = 250
"""Patients of the test split; the first are those of the default experiment."""
QUANTILES = np.r_[1, np.arange(5, 100, 5), 99]
GRID = 6
"""Cells along a side of Grad-CAM's maps in the default experiment."""
FEWEST = 5
"""Fewest masks on tune for a threshold of the class's own (`evaluate.min_masks`)."""
THRESHOLDS = np.linspace(0, 1, 101)[:-1]

Map = NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """Radiographs (N, S, S), true and reported labels (N, 14), and names."""

    image: NDArray[np.uint8]
    labels: NDArray[np.float64]
    reported: NDArray[np.float64]
    image_id: tuple[str, ...]

    def first(self, patients: int) -> Split:
        """Of so many patients."""
        names = set(patient_names("test", patients))
        rows = [n for n, name in enumerate(self.image_id) if name.split("_")[0] in names]
        kept = tuple(self.image_id[n] for n in rows)
        return Split(self.image[rows], self.labels[rows], self.reported[rows], kept)


@dataclass(frozen=True)
class Masked:
    """A mask in [0, 1] and a perfect explanation in grey levels, (S, S), of an image's class."""

    patient: str
    name: str
    mask: Map
    change: Map


def framed(picture: NDArray[Any]) -> NDArray[np.uint8]:
    return to_model(picture.astype(np.uint8), Frame.fit(*picture.shape, SIZE, "stretch"))


def drawn(study: Study) -> tuple[NDArray[np.uint8], list[float], list[float]]:
    said = [reported_labels(SEED, study)[name] for name in CLASSES]
    image = Drawing(SEED, study, SOURCE.height).radiograph().image
    return (
        framed(image),
        [float(study.labels[name]) for name in CLASSES],
        [np.nan if value is None else value for value in said],
    )


def masked(study: Study) -> list[Masked]:
    drawing = Drawing(SEED, study, SOURCE.height)
    masks, changes = drawing.radiograph().masks, drawing.changes()
    return [
        Masked(study.patient_id, name, framed(255 * masks[name]) / 255, framed(changes[name]) + 0.0)
        for name in LOCALISED
        if name in masks
    ]


def course(split: Any, patients: int) -> list[Study]:
    return [study for name in patient_names(split, patients) for study in studies(SEED, name)]


@functools.cache
def images(split: Any) -> Split:
    patients = TEST if split == "test" else SOURCE.patients[split]
    with ProcessPoolExecutor() as pool:
        image, labels, reported = zip(
            *pool.map(drawn, course(split, patients), chunksize=16), strict=True
        )
    names = tuple(study.image_id for study in course(split, patients))
    return Split(np.array(image), np.array(labels), np.array(reported), names)


@functools.cache
def masks(split: Any) -> list[Masked]:
    with ProcessPoolExecutor() as pool:
        found = pool.map(masked, course(split, SOURCE.patients[split]), chunksize=8)
        return [one for some in found for one in some]


def features(image: NDArray[np.uint8]) -> Map:
    """Quantiles of the greys and of the strength of edges: (N, 42). No place is in them."""
    grey = image.astype(np.float32)
    # One by one: on a stack the filter would also smooth over neighbouring images.
    edges = np.array([np.hypot(sobel(one, axis=0), sobel(one, axis=1)) for one in grey])
    parts = [
        np.percentile(part.reshape(len(part), -1), QUANTILES, axis=1) for part in (grey, edges)
    ]
    return np.concatenate(parts).T


@functools.cache
def position_free() -> dict[str, dict[str, float]]:
    """AUROC by class of a logistic regression on `features`, on all and on the default's images."""
    train, test, tune = images("train"), images("test"), images("tune")
    known, default = features(train.image), test.first(SOURCE.patients["test"])
    found: dict[str, dict[str, float]] = {"all": {}, "default": {}}
    for column, name in enumerate(CLASSES):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        model.fit(known, train.labels[:, column])
        for key, part in (("all", test), ("default", default)):
            labels = np.r_[part.labels[:, column], tune.labels[:, column]]
            asked = features(np.concatenate([part.image, tune.image]))
            found[key][name] = float(roc_auc_score(labels, model.decision_function(asked)))
    return found


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def greys_and_edges_on_average() -> dict[str, Any]:
    """Fails where greys or edges alone, wherever they are, tell findings from their absence."""
    found = position_free()
    default = np.mean(list(found["default"].values()))
    return line(
        float(np.mean(list(found["all"].values()))), at_most=0.65, unit="AUROC",
        default_images=round(float(default), 3),
    )  # fmt: skip


def greys_and_edges_of_the_worst_class() -> dict[str, Any]:
    """As on average, of the class that they tell best."""
    found = position_free()
    return line(
        max(found["all"].values()), at_most=0.75, unit="AUROC", classes=rounded(found["all"]),
        default_images=rounded(found["default"]),
    )  # fmt: skip


def network() -> dict[str, Any]:
    """Mean AUROC of the default's network. Fails where the findings cannot be seen."""
    from shamsul.model.classifier import Classifier
    from shamsul.model.dataset import Dataset
    from shamsul.model.training.train import fit
    from tests.networks import built

    def dataset(split: Split, labels: Map) -> Dataset:
        order = np.argsort(split.image_id)
        names = tuple(split.image_id[n] for n in order)
        return Dataset(split.image[order], labels[order].astype(np.float32), names)

    train, tune, test = images("train"), images("tune"), images("test")
    made = built(CONFIG.model.network, len(CLASSES), SIZE, CONFIG.model.weights, CONFIG.seed)
    classifier = Classifier.of(made, CLASSES, CONFIG.model.network, SIZE)
    with tempfile.TemporaryDirectory() as folder:
        data = dataset(train, train.reported), dataset(tune, tune.labels)
        fit(classifier, *data, CONFIG.train, CONFIG.seed, Path(folder) / "state.pt")
    logits = classifier.predict(classifier.normalise(test.image)).cpu().numpy()
    found = {
        n: float(roc_auc_score(test.labels[:, c], logits[:, c])) for c, n in enumerate(CLASSES)
    }
    return line(
        float(np.mean(list(found.values()))), at_least=0.90, unit="AUROC", classes=rounded(found)
    )


def at_grid(change: Map) -> Map:
    """Mean of each of the grid's cells, interpolated as heatmaps are."""
    cells = cv2.resize(change, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return cv2.resize(cells, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def overlaps(heatmap: Map, mask: Map) -> Map:
    """IoU at each of `THRESHOLDS` of the map scaled to 0-1."""
    span = np.ptp(heatmap)
    cut = ((heatmap - heatmap.min()) / (span or 1))[None] > THRESHOLDS[:, None, None]
    wanted = mask > 0.5
    either: Map = (cut | wanted).sum((1, 2))
    return (cut & wanted).sum((1, 2)) / np.maximum(either, 1)


def tuned(explain: Any) -> dict[str, list[float]]:
    """IoU of each mask on test, by class, at the threshold that is best on tune."""
    curves = {
        s: [(m.name, overlaps(explain(m), m.mask)) for m in masks(s)] for s in ("tune", "test")
    }
    pooled = np.mean([curve for _, curve in curves["tune"]], axis=0)
    found: dict[str, list[float]] = {}
    for name in LOCALISED:
        own = [curve for of, curve in curves["tune"] if of == name]
        level = int((np.mean(own, axis=0) if len(own) >= FEWEST else pooled).argmax())
        found[name] = [float(curve[level]) for of, curve in curves["test"] if of == name]
    return found


@functools.cache
def against_the_prior() -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """IoU of a perfect explanation at the grid, and of the mean mask of tune."""

    def mean_mask(of: Masked) -> Map:
        others = [m.mask for m in masks("tune") if m.name == of.name and m.patient != of.patient]
        return np.mean(others, axis=0) if others else np.zeros((SIZE, SIZE))

    return tuned(lambda m: at_grid(m.change)), tuned(mean_mask)


def ceiling_over_the_prior() -> dict[str, Any]:
    """Pooled IoU by which a perfect explanation at Grad-CAM's grid beats the position prior.

    The perfect explanation is the change of the image where the finding is left out. Fails where
    findings lie so much in one place that no explanation can do better than to know it.
    """
    perfect, prior = against_the_prior()
    means = [float(np.mean([v for some in of.values() for v in some])) for of in (perfect, prior)]
    by_class = {n: [round(float(np.mean(of[n])), 3) for of in (perfect, prior)] for n in LOCALISED}
    return line(
        means[0] - means[1], at_least=0.05, unit="IoU", perfect=round(means[0], 3),
        prior=round(means[1], 3), classes=by_class,
    )  # fmt: skip


def classes_with_a_ceiling_over_the_prior() -> dict[str, Any]:
    """Number of the ten classes in which it does."""
    perfect, prior = against_the_prior()
    better = [name for name in LOCALISED if np.mean(perfect[name]) > np.mean(prior[name])]
    return line(float(len(better)), at_least=6, unit="classes")


COMPARISONS = {
    function.__name__: function
    for function in (
        greys_and_edges_on_average,
        greys_and_edges_of_the_worst_class,
        ceiling_over_the_prior,
        classes_with_a_ceiling_over_the_prior,
        network,
    )
}

if __name__ == "__main__":
    main(COMPARISONS)
