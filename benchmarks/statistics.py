"""What intervals and tests promise, by simulation: `python -m benchmarks.statistics [NAME ...]`.

Each line draws studies whose truth is known, asks the product's own functions for intervals and
verdicts, and counts how often they are right. `--page` prints `docs/explanation/coverage.md`
instead, with the same counts for more cases and, beside them, scipy's bootstrap.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks import measure
from benchmarks.measure import line
from shamsul.evaluate import sign_flips as flips
from shamsul.evaluate.classification import classification_table
from shamsul.evaluate.intervals import mean_interval
from shamsul.evaluate.parameters import Inference, Stratification
from shamsul.evaluate.regressions import regressions

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


def coverage_small() -> dict[str, Any]:
    """Least coverage of a mean's 95 % interval, over distributions, for 5 to 20 patients."""
    names = [name for name in MEANS if not name.startswith("rate of 0.95")]
    found = {
        f"{number} patients, {name}": covered(name, number, correlation)
        for number in (5, 8, 12, 20) for name in names for correlation in CORRELATION
    }  # fmt: skip
    worst = min(found, key=lambda case: found[case])
    return line(found[worst], at_least=0.93, where=worst, studies=STUDIES)


def coverage_rate_near_one() -> dict[str, Any]:
    """Least coverage of the interval of a hit rate of 0.95, for 5 to 200 patients.

    An interval of no width fails it too.
    """
    found = {
        str(number): min(covered("rate of 0.95", number, c) for c in CORRELATION)
        for number in PATIENTS
    }
    return line(min(found.values()), at_least=0.93, by_patients=found, studies=STUDIES)


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


def coverage_auroc() -> dict[str, Any]:
    """Least coverage of an AUROC's interval, for AUROCs of 0.64 to 0.99 and 5 to 20 positives."""
    found = {str(case): auroc_covered(*case, studies=400) for case in AUROC_CASES}
    worst = min(found, key=lambda case: found[case])
    return line(found[worst], at_least=0.92, where=worst, studies=400)


def methods(number: int, patients: NDArray[np.object_], generator: np.random.Generator) -> Array:
    """Return IoUs (N, methods) of methods that do equally well, each with luck of its own."""
    codes, names = pd.factorize(patients)
    hard = generator.normal(size=len(names))[codes]
    own = generator.normal(size=(len(names), number))[codes]
    noise = generator.normal(size=(len(patients), number))
    u = stats.norm.cdf((hard[:, None] + own + noise) / np.sqrt(3))
    return np.asarray(stats.beta.ppf(u, 0.9, 3))


def all_pairs(values: Array) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """Return the differences of all pairs of methods (N, K), and the two of each pair."""
    first, second = np.triu_indices(values.shape[1], 1)
    return values[:, first] - values[:, second], first, second


FAMILIES = [(count, number) for count in (14, 40) for number in (8, 20, 44, 200)]
"""Numbers of methods and of patients."""


def few_flips(function: Callable[[], Any], permutations: int = 999) -> Any:
    """Return what a function returns with fewer random flips, on which no promise depends."""
    before = flips.PERMUTATIONS
    flips.PERMUTATIONS = permutations
    flips._flips.cache_clear()
    try:
        return function()
    finally:
        flips.PERMUTATIONS = before
        flips._flips.cache_clear()


def false_alarms(count: int, number: int, studies: int) -> float:
    """Return the share of studies of equal methods in which any two are told apart."""
    generator = np.random.default_rng(count * number)
    wrong = 0
    for study in range(studies):
        patients = patients_of(number, generator)
        difference, *_ = all_pairs(methods(count, patients, generator))
        wrong += bool(
            (flips.sign_flips(difference, patients, SETTINGS, study).p_adjusted < 0.05).any()
        )
    return wrong / studies


def family_wise_error() -> dict[str, Any]:
    """Largest chance that any two of 14 or 40 equal methods are told apart, 8 to 200 patients."""
    studies = 500
    found = {
        f"{count} methods, {number} patients": few_flips(
            lambda count=count, number=number: false_alarms(count, number, studies)
        )
        for count, number in FAMILIES
    }
    return line(max(found.values()), at_most=0.06, studies=studies, by_family=found)


def power(count: int, number: int, studies: int, better: float) -> tuple[float, float]:
    """Return the shares of pairs with the one better method that max-T and Holm's p tell apart."""
    generator = np.random.default_rng(count * number)
    ours = theirs = 0.0
    for study in range(studies):
        patients = patients_of(number, generator)
        values = methods(count, patients, generator)
        values[:, 0] += better
        difference, first, _ = all_pairs(values)
        found = flips.sign_flips(difference, patients, SETTINGS, study)
        ours += (found.p_adjusted[first == 0] < 0.05).mean()
        theirs += (holm(found.p)[first == 0] < 0.05).mean()
    return ours / studies, theirs / studies


def holm(p: Array) -> Array:
    """Return p-values as Holm corrects them (Scandinavian Journal of Statistics 1979)."""
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def planted_difference_power() -> dict[str, Any]:
    """Power to tell one method that is better by 0.3 IoU, of 14 methods and 8 patients.

    Holm's correction of the same p-values tells none there. `by_family` has both, with the
    difference that fits the number of patients, and the product's own number of flips.
    """
    wanted = {8: 0.3, 20: 0.2, 44: 0.12, 200: 0.06}
    found = {
        f"{count} methods, {number} patients": power(count, number, 20, wanted[number])
        for count, number in FAMILIES
    }
    assert all(ours >= theirs for ours, theirs in found.values()), found
    value = found["14 methods, 8 patients"][0]
    return line(value, at_least=0.5, studies=20, by_family=found)


def regression_type_one() -> dict[str, Any]:
    """Largest chance that a slope is found where there is none, for 20 to 150 patients.

    Patients differ in IoU and in the network's confidence, independently, and classes in both. A
    line through all images, which takes them as independent, is beside it.
    """
    found = {str(number): slopes(number) for number in (20, 50, 150)}
    value = max(ours for ours, _ in found.values())
    return line(value, at_most=0.06, as_chexlocalize={n: naive for n, (_, naive) in found.items()},
                by_patients={n: ours for n, (ours, _) in found.items()})  # fmt: skip


def slopes(number: int, tables: int = 20, methods: int = 50) -> tuple[float, float]:
    """Return the shares of p below 0.05 over patients, and of those over images."""
    generator = np.random.default_rng(number)
    settings = Stratification(0.95, 5, ("otsu",), 0.5)
    ours, naive = [], []
    for seed in range(tables):
        pairs = pd.DataFrame(
            [
                (f"{patient:03}", f"{patient:03}-{study}", name)
                for patient in range(number)
                for study in range(generator.integers(1, 4))
                for name in generator.choice(["a", "b", "c", "d"], generator.integers(1, 4), False)
            ],
            columns=["patient_id", "image_id", "class"],
        )
        patient, of_class = pd.factorize(pairs["patient_id"])[0], pd.factorize(pairs["class"])[0]
        drawn = generator.normal(size=(number, methods + 1))[patient]
        drawn = drawn + generator.normal(size=(len(pairs), methods + 1))
        drawn += np.array([0, 0.7, 1.4, 2.1])[of_class][:, None]
        share = stats.norm.cdf((drawn - 1) / np.sqrt(2))
        table = pd.concat(
            [
                pairs.assign(method=f"{index:02}", value=share[:, index + 1] ** 2)
                for index in range(methods)
            ]
        ).assign(
            split="test", threshold_rule="otsu", metric="iou", repeats="",
            probability=np.tile(share[:, 0], methods),
        )  # fmt: skip
        features = pd.DataFrame(
            columns=[
                "image_id",
                "class",
                "instances",
                "area_ratio",
                "elongation",
                "irrectangularity",
            ]
        ).astype({"image_id": "str", "class": "str"})
        rows = regressions(table, features, settings, {}, seed)
        rows = rows[rows["class"] == "pooled"]
        ours.append((rows["p"] < 0.05).mean())
        naive.append((rows["images_p"] < 0.05).mean())
    return float(np.mean(ours)), float(np.mean(naive))


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
        "`python -m benchmarks.statistics --page`, which draws studies whose truth is known, with "
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
    yield "In percent of 400 studies."
    yield ""
    yield "| patients with and without the finding | AUROC | correlation | held |"
    yield "|---|---|---|---|"
    for number, distance, correlation in AUROC_CASES:
        held = auroc_covered(number, distance, correlation, 400)
        truth = stats.norm.cdf(distance / np.sqrt(2))
        yield f"| {number[0]} and {number[1]} | {truth:.3f} | {correlation} | {100 * held:.1f} |"


COMPARISONS = {
    function.__name__: function
    for function in (
        *(family_wise_error, coverage_small, coverage_rate_near_one, coverage_auroc),
        *(regression_type_one, planted_difference_power),
    )
}


def main() -> None:
    """Print the lines that are asked for, or the page."""
    if sys.argv[1:] == ["--page"]:
        print("\n".join(page()))
    else:
        measure.main(COMPARISONS)


if __name__ == "__main__":
    main()
