"""What intervals and tests promise, by simulation: `python -m benchmarks.statistics [NAME ...]`.

Each line draws studies whose truth is known, asks the product's own functions for intervals and
verdicts, and counts how often they are right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks import measure
from benchmarks.coverage import (
    AUROC_CASES,
    CORRELATION,
    MEANS,
    PATIENTS,
    SETTINGS,
    STUDIES,
    Array,
    auroc_covered,
    covered,
    patients_of,
)
from benchmarks.measure import line
from shamsul.evaluate import sign_flips as flips
from shamsul.evaluate.parameters import Stratification
from shamsul.evaluate.regressions import regressions


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


def coverage_auroc() -> dict[str, Any]:
    """Least coverage of an AUROC's interval, for AUROCs of 0.64 to 0.99 and 5 to 20 positives."""
    found = {str(case): auroc_covered(*case, STUDIES) for case in AUROC_CASES}
    worst = min(found, key=lambda case: found[case])
    return line(found[worst], at_least=0.93, where=worst, studies=STUDIES)


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
    """Power to tell one method that is better by 0.5 IoU, of 14 methods and 8 patients.

    Holm's correction of the same p-values tells none there. `by_family` has both, with the
    difference that fits the number of patients, and the product's own number of flips.
    """
    wanted = {8: 0.5, 20: 0.2, 44: 0.12, 200: 0.06}
    found = {
        f"{count} methods, {number} patients": power(count, number, 20, wanted[number])
        for count, number in FAMILIES
    }
    assert all(ours >= theirs for ours, theirs in found.values()), found
    value = found["14 methods, 8 patients"][0]
    return line(value, at_least=0.3, studies=20, by_family=found)


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


COMPARISONS = {
    function.__name__: function
    for function in (
        *(family_wise_error, coverage_small, coverage_rate_near_one, coverage_auroc),
        *(regression_type_one, planted_difference_power),
    )
}


if __name__ == "__main__":
    measure.main(COMPARISONS)
