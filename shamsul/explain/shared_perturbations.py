"""One set of perturbed predictions for several methods.

LIME and RISE average over subsets in which every superpixel is shown with probability 1/2. SHAP
wants subsets of all sizes, and above all the smallest and largest; occlusion is made of the latter
alone. A mixture serves them all: every superpixel alone and all but it; then three quarters fair
draws and one quarter of all sizes. An average over fair draws is taken by importance weighting,
each subset divided by how often the mixture is expected to hold it (the balance heuristic of Veach
and Guibas, SIGGRAPH 1995). The Gaussian process behind SHAP needs no weights. With 1.2 times the
subsets of one method, each of three has about the sampling error of a run of its own
(`python -m benchmarks.explain shared_perturbations`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shamsul.errors import InputError
from shamsul.explain.perturbation import Perturbed, Perturber
from shamsul.explain.shard import image_seed
from shamsul.job.progress import track
from shamsul.storage.images import Images
from shamsul.storage.perturbed import PerturbedPredictions, read_perturbed

if TYPE_CHECKING:
    from shamsul.explain.settings import Perturbations
    from shamsul.model.classifier import Classifier

FEWEST = 4
"""Least number of subsets for each superpixel; half of them are then drawn at random."""


def design(superpixels: int, samples: int, seed: int) -> NDArray[np.bool_]:
    """Draw the subsets to ask about: (n, M), none and all first, each followed by its complement.

    Parameters
    ----------
    superpixels : M.
    samples : number of subsets, `FEWEST` times M at least; n is this or one less.
    seed : seed of the random ones.
    """
    generator = np.random.default_rng(seed)
    halves, sizes = _parts(superpixels, samples)
    fair = generator.random((halves // 2, superpixels)) < 0.5
    rank = generator.random((sizes // 2, superpixels)).argsort(1)
    size = generator.integers(2, max(superpixels - 1, 3), (sizes // 2, 1))
    fixed = np.vstack([np.zeros((1, superpixels), bool), np.eye(superpixels, dtype=bool)])
    first = np.vstack([fixed, fair, rank < size])
    return np.stack([first, ~first], 1).reshape(-1, superpixels)


def chance(subsets: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return weights (n,) of mean 1 under which the subsets of `design` stand for fair draws."""
    from scipy.special import gammaln, logsumexp  # Here, because it is slow to import.

    count, superpixels = subsets.shape
    halves, sizes = _parts(superpixels, count)
    size = subsets.sum(1)
    fixed = (size <= 1) | (size >= superpixels - 1)
    # Logarithms, for 2 ** -M is too small a number where there are a thousand superpixels.
    fair = np.full(count, -superpixels * np.log(2))
    terms = [np.where(fixed, 0, -np.inf), fair + np.log(halves)]
    if sizes:
        choose = gammaln(superpixels + 1) - gammaln(size + 1) - gammaln(superpixels - size + 1)
        of_size = np.log(sizes) - np.log(superpixels - 3) - choose
        terms.append(np.where(fixed, -np.inf, of_size))
    log = fair - logsumexp(terms, axis=0)
    weights = np.exp(log - log.max())
    return weights / weights.mean()


def _parts(superpixels: int, samples: int) -> tuple[int, int]:
    """Return the number of subsets that are fair draws, and of those with a uniform size; both
    even.
    """
    pairs = samples // 2 - (superpixels + 1)
    sizes = pairs // 4 if superpixels > 3 else 0  # Three have no sizes but those of the fixed ones.
    return 2 * (pairs - sizes), 2 * sizes


def ask(
    settings: Perturbations, model: Classifier, images: Images, seed: int
) -> PerturbedPredictions:
    """Ask the network about the perturbed versions of every radiograph of a shard.

    Raises
    ------
    InputError
        A radiograph has too many superpixels for so few samples.
    """
    samples = settings.samples
    found = []
    for row, image_id in enumerate(track(images.image_id, "perturb: images")):
        own = image_seed(seed, image_id)
        image = model.normalise(images.image[row : row + 1])[0]
        perturber = Perturber(settings, model, image, own)
        if samples < FEWEST * perturber.count:
            raise InputError(
                f"explain.perturbations.samples: {samples} are too few for the {perturber.count} "
                f"superpixels of image {image_id}; at least {FEWEST * perturber.count} are needed"
            )
        subsets = design(perturber.count, samples, own)
        found.append(Perturbed(perturber.labels, subsets, perturber.logits(subsets)))
    return PerturbedPredictions(
        image_id=images.image_id,
        labels=[perturbed.labels for perturbed in found],
        subsets=[perturbed.subsets for perturbed in found],
        logits=[perturbed.logits for perturbed in found],
        classes=list(model.classes),
        checkpoint=model.digest(),
    )


def read(
    path: str | Path | None, image_ids: list[str], checkpoint: str | None = None
) -> tuple[list[str], list[Perturbed]]:
    """Read the model's classes, and the shared perturbed predictions of these images, in their
    order.

    Parameters
    ----------
    path : path of the shard of perturbed predictions.
    image_ids : names of the images.
    checkpoint : digest of the weights that must have predicted; None takes any.

    Raises
    ------
    InputError
        There is no such file, or it is of other images or of another checkpoint.
    """
    if path is None:
        raise InputError("shared: there are no shared predictions; set explain.perturbations")
    stored = read_perturbed(path, checkpoint)
    if stored.image_id != image_ids:
        raise InputError(f"{path}: is of other images; delete it and run again")
    parts = zip(stored.labels, stored.subsets, stored.logits, strict=True)
    return stored.classes, [Perturbed(*part) for part in parts]
