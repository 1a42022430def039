"""Studies whose truth is known, and how often intervals hold it.

`python -m benchmarks.coverage` prints `docs/explanation/coverage.md`: the intervals beside those of
scipy's bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from shamsul.evaluate.classification import classification_table
from shamsul.evaluate.intervals import mean_interval
from shamsul.evaluate.parameters import Inference

Array = NDArray[np.float64]
SETTINGS = Inference(0.95, 5)
STUDIES = 4000
"""Studies that are drawn for the coverage of a mean."""
PATIENTS = (5, 8, 12, 20, 50, 200)
"""Numbers of patients."""
CORRELATION = (0.2, 0.6)
"""Correlations of the values of a patient."""


def below(rate: float, u: Array) -> Array:
    """Return 1 where u is below the rate, else 0."""
    return np.asarray(u < rate, float)


MEANS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "even": (lambda u: u, 0.5),
    "IoU, a third of them 0": (
        lambda u: stats.beta.ppf(np.clip((u - 1 / 3) * 1.5, 0, 1), 0.9, 3), 2 / 3 * 0.9 / 3.9
    ),
    "IoU, most of them small": (lambda u: stats.beta.ppf(u, 0.5, 6), 0.5 / 6.5),
    **{f"rate of {rate}": (partial(below, rate), rate) for rate in (0.05, 0.2, 0.5, 0.8, 0.95)},
}  # fmt: skip
"""Distributions of a value between 0 and 1: its quantile function and its mean."""


def patients_of(number: int, generator: np.random.Generator) -> NDArray[np.object_]:
    """Return the patients of images, of which each patient has one to six."""
    return np.repeat([f"{index:04}" for index in range(number)], generator.integers(1, 7, number))


def correlated(
    patients: NDArray[np.object_], studies: int, correlation: float, generator: np.random.Generator
) -> Array:
    """Return normal values (N, studies) with a correlation between those of a patient."""
    codes, names = pd.factorize(patients)
    shared = generator.normal(size=(len(names), studies))[codes]
    own = generator.normal(size=(len(patients), studies))
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own


def covered(name: str, number: int, correlation: float, studies: int = STUDIES) -> float:
    """Return the share of studies whose interval holds the true mean."""
    quantile, truth = MEANS[name]
    generator = np.random.default_rng(number)
    held, total, at_once = 0, 0, 100
    for _ in range(studies // at_once):
        patients = patients_of(number, generator)
        values = quantile(stats.norm.cdf(correlated(patients, at_once, correlation, generator)))
        bounds = np.zeros(at_once), np.ones(at_once)
        low, high = mean_interval(values, patients, bounds, SETTINGS)
        assert (low < high).all(), "an interval has no width"
        held += int(((low <= truth) & (truth <= high)).sum())
        total += at_once
    return held / total


def auroc_covered(
    number: tuple[int, int], distance: float, correlation: float, studies: int
) -> float:
    """Return the share of studies whose interval holds the true AUROC of a classifier.

    Parameters
    ----------
    number : numbers of patients with and without the finding.
    distance : distance of their mean logits, in standard deviations.
    """
    truth = stats.norm.cdf(distance / np.sqrt(2))
    generator = np.random.default_rng(sum(number))
    patients = patients_of(sum(number), generator)
    positive = patients < f"{number[0]:04}"
    logits = correlated(patients, studies, correlation, generator) + distance * positive[:, None]
    classes = [f"{index:04}" for index in range(studies)]
    images = np.array([f"{index:05}" for index in range(len(patients))])
    manifest = pd.DataFrame(
        {"image_id": images, "patient_id": patients, "split": "test"}
        | dict.fromkeys(classes, positive * 1.0)
    )
    predictions = pd.DataFrame(
        {
            "image_id": np.repeat(images, studies),
            "class": np.tile(classes, len(images)),
            "logit": logits.ravel(),
        }
    )
    table = classification_table(predictions, manifest, SETTINGS).iloc[:-1]
    assert (table["auroc_low"] < table["auroc_high"]).all(), "an interval has no width"
    return float(((table["auroc_low"] <= truth) & (truth <= table["auroc_high"])).mean())


AUROC_CASES = [
    (number, distance, correlation)
    for number in ((5, 20), (8, 36), (12, 32), (20, 100))
    for distance in (0.5, 1.5, 2.5, 3.5)
    for correlation in CORRELATION
]
"""Patients with and without the finding, distance of their logits, correlation."""


def bootstrapped(name: str, number: int, correlation: float, studies: int = 200) -> float:
    """Return the share of studies whose BCa interval over patients, by scipy, holds the mean."""
    quantile, truth = MEANS[name]
    generator = np.random.default_rng(number)
    held = 0
    for _ in range(studies):
        patients = patients_of(number, generator)
        values = quantile(stats.norm.cdf(correlated(patients, 1, correlation, generator)))[:, 0]
        groups = pd.Series(values).groupby(patients)
        sums, counts = groups.sum().to_numpy(), groups.count().to_numpy()
        with np.errstate(all="ignore"):
            found = stats.bootstrap(
                (sums, counts), lambda s, n, axis: s.sum(axis) / n.sum(axis), paired=True,
                n_resamples=999, method="BCa", rng=generator,
            ).confidence_interval  # fmt: skip
        low, high = (sums.sum() / counts.sum() if np.isnan(e) else e for e in found)
        held += low <= truth <= high
    return held / studies


def page() -> Iterator[str]:
    """Yield the lines of the documentation's page on coverage."""
    yield "# How often the intervals are right"
    yield ""
    yield (
        "An interval of 95 % should hold the truth in 95 of 100 studies. These tables are made by "
        "`python -m benchmarks.coverage`, which draws studies whose truth is known, with "
        "one to six images for each patient. Beside the product's interval stands the one of a "
        "bootstrap over patients (BCa, by scipy, 999 resamples, 200 studies), which is what "
        "published studies use."
    )
    yield ""
    yield "## Means of values between 0 and 1"
    yield ""
    yield f"In percent of {STUDIES:,} studies; after the stroke the bootstrap's."
    yield ""
    yield (
        "| values | correlation within a patient | "
        + " | ".join(f"{number} patients" for number in PATIENTS)
        + " |"
    )
    yield "|---|---|" + "---|" * len(PATIENTS)
    for name in MEANS:
        for correlation in CORRELATION:
            cells = [
                f"{100 * covered(name, number, correlation):.1f} /"
                f" {100 * bootstrapped(name, number, correlation):.0f}"
                for number in PATIENTS
            ]
            yield f"| {name} | {correlation} | " + " | ".join(cells) + " |"
    yield ""
    yield "## AUROC of the classifier"
    yield ""
    yield f"In percent of {STUDIES:,} studies."
    yield ""
    yield "| patients with and without the finding | AUROC | correlation | held |"
    yield "|---|---|---|---|"
    for number, distance, correlation in AUROC_CASES:
        held = auroc_covered(number, distance, correlation, STUDIES)
        truth = stats.norm.cdf(distance / np.sqrt(2))
        yield f"| {number[0]} and {number[1]} | {truth:.3f} | {correlation} | {100 * held:.1f} |"


if __name__ == "__main__":
    print("\n".join(page()))
