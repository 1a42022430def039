"""The interval of an AUROC: its equation, DeLong's variance, and coverage by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from shamsul.evaluate.auroc_interval import auroc_limits, hanley_mcneil

COUNTS = st.integers(2, 300)


def independent(count):
    """A label's images, each of a patient of its own."""
    return count, count


def test_variance_by_hand():
    # n* = 10: 0.16 (1 + 9 x 0.2 / 1.2 + 9 x 0.8 / 1.8) / 100 = 0.16 x 6.5 / 100.
    assert hanley_mcneil(0.8, 10, 10) == pytest.approx(0.0104)
    # n* = 15: 0.25 (1 + 14 (0.5 / 1.5 + 0.5 / 1.5)) / 200.
    assert hanley_mcneil(0.5, 10, 20) == pytest.approx(0.25 * (1 + 28 / 3) / 200)
    assert hanley_mcneil(1.0, 5, 9) == 0


@pytest.mark.parametrize(("auroc", "effect"), [(0.83, 2.5), (0.83, 0.2), (0.97, 1.4)])
def test_limits_solve_their_equation(auroc, effect):
    positives, negatives = (30, 12), (70, 40)
    variance = effect * hanley_mcneil(auroc, 30, 70)
    low, high = auroc_limits(auroc, variance, positives, negatives, 0.9)
    t = stats.t.ppf(0.95, 11)

    def excess(g):
        n = 50
        own = g * (1 - g) / 2100 * (1 + (n - 1) * ((1 - g) / (2 - g) + g / (1 + g)))
        return abs(auroc - g) - t * math.sqrt(max(effect, 1) * own)

    assert low == pytest.approx(optimize.brentq(excess, 1e-9, auroc - 1e-6), abs=1e-7)
    assert high == pytest.approx(optimize.brentq(excess, auroc + 1e-6, 1 - 1e-12), abs=1e-7)


def test_a_perfect_classifier_has_a_lower_limit_that_falls_with_fewer_patients():
    found = [auroc_limits(1.0, 0.0, (60, n), (90, n), 0.95) for n in (3, 5, 10, 30)]
    assert all(high == 1 for _, high in found)
    lows = [low for low, _ in found]
    assert lows == sorted(lows) and lows[0] < 0.6 and 0.85 < lows[-1] < 0.97
    # Patients count, not their images, where nothing of the variance was measured.
    assert found[1] == auroc_limits(1.0, 0.0, (5, 5), (5, 5), 0.95)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.floats(0, 0.05), COUNTS, COUNTS)
def test_limits_have_a_width_and_are_mirrored(data, variance, positives, negatives):
    pairs = positives * negatives
    auroc = data.draw(st.integers(0, pairs)) / pairs
    variance = variance if 0 < auroc < 1 else 0.0
    counts = independent(positives), independent(negatives)
    low, high = auroc_limits(auroc, variance, *counts, 0.95)
    assert 0 <= low <= auroc <= high <= 1 and high - low > 1e-4
    mirrored = auroc_limits(1 - auroc, variance, *counts, 0.95)
    assert mirrored == pytest.approx([1 - high, 1 - low], abs=1e-6)


def test_an_unknown_variance_has_no_limits():
    assert np.isnan(auroc_limits(0.8, math.nan, (5, 5), (5, 5), 0.95)).all()


def delong(positive, negative):
    """AUROC and its variance (DeLong et al., Biometrics 1988), from all pairs."""
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    parts = (
        (wins.mean(axis=1).var(ddof=1), len(positive)),
        (wins.mean(axis=0).var(ddof=1), len(negative)),
    )
    return wins.mean(), sum(variance / count for variance, count in parts)


def test_of_many_images_it_is_close_to_delongs(rng):
    auroc, variance = delong(rng.normal(1.2, 1, 400), rng.normal(0, 1, 600))
    low, high = auroc_limits(auroc, variance, independent(400), independent(600), 0.95)
    reach = 1.96 * math.sqrt(variance)
    assert [low, high] == pytest.approx([auroc - reach, auroc + reach], abs=0.006)
    # Four times the variance: about twice the width.
    clustered = auroc_limits(auroc, 4 * variance, (400, 100), (600, 150), 0.95)
    assert (clustered[1] - clustered[0]) / (high - low) == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize(("shift", "count"), [(0.8, 6), (2.4, 6), (2.4, 15)])
def test_it_covers_the_truth_also_near_one_with_few_patients(shift, count):
    generator, covered = np.random.default_rng(5), 0
    truth = stats.norm.cdf(shift / math.sqrt(2))
    for _ in range(500):
        auroc, variance = delong(generator.normal(shift, 1, count), generator.normal(0, 1, count))
        counts = independent(count), independent(count)
        low, high = auroc_limits(auroc, variance, *counts, 0.95)
        covered += low <= truth <= high
    assert covered / 500 >= 0.93
