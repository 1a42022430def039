"""Shapley values by Gaussian-process quadrature, against Shapley's own formula."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.explain import enumerated
from shamsul.explain import shapley


def every(count):
    return (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(bool)


def by_orders(game, count):
    """The definition: the mean gain over all orders in which players arrive."""
    found = np.zeros((count, game.shape[1]))
    for order in permutations(range(count)):
        before = 0
        for player in order:
            found[player] += game[before | 1 << player] - game[before]
            before |= 1 << player
    return found / len(list(permutations(range(count))))


def test_the_formula_of_the_benchmark_is_the_definition(rng):
    game = rng.normal(size=(2**5, 2))
    np.testing.assert_allclose(enumerated(every(5), game), by_orders(game, 5), atol=1e-12)


@pytest.mark.parametrize("rho", [0.3, 0.9])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_values_of_the_kernel_are_those_of_its_game(count, rho):
    subsets = every(count)
    inside, outside = shapley.of_kernel(count, rho)
    for centre in subsets[:: max(1, len(subsets) // 7)]:
        game = rho ** (subsets != centre).sum(1).astype(float)
        expected = enumerated(subsets, game[:, None])[:, 0]
        size = centre.sum()
        found = np.where(centre, inside[size], outside[size])
        np.testing.assert_allclose(found, expected, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 9), seed=st.integers(0, 1000))
def test_all_subsets_give_exact_values(count, seed):
    game = np.random.default_rng(seed).normal(size=(2**count, 3))
    found = shapley.values(every(count), game)
    np.testing.assert_allclose(found, enumerated(every(count), game), atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 30), samples=st.integers(2, 200), seed=st.integers(0, 1000))
def test_values_add_up_whatever_was_asked(count, samples, seed):
    generator = np.random.default_rng(seed)
    subsets = shapley.draw(count, samples, seed)
    pull = generator.normal(size=(count, 2))
    outputs = np.tanh(subsets @ pull) + subsets.mean(1, keepdims=True)
    found = shapley.values(subsets, outputs)
    whole, none = outputs[subsets.all(1)][0], outputs[~subsets.any(1)][0]
    np.testing.assert_allclose(found.sum(0), whole - none, atol=1e-5)


def test_a_linear_game_is_found_from_few_subsets(rng):
    slopes = rng.normal(size=(20, 3))
    subsets = shapley.draw(20, 60, 4)
    np.testing.assert_allclose(shapley.values(subsets, subsets @ slopes + 2), slopes, atol=1e-6)


def test_symmetric_players_get_equal_values_and_a_dummy_none():
    subsets = every(6)
    both = (subsets[:, 0] & subsets[:, 1]).astype(float)[:, None]
    found = shapley.values(subsets, both)[:, 0]
    np.testing.assert_allclose(found, [0.5, 0.5, 0, 0, 0, 0], atol=1e-6)


def test_a_constant_game_is_worth_nothing():
    subsets = shapley.draw(8, 40, 0)
    assert np.abs(shapley.values(subsets, np.full((len(subsets), 2), 3.0))).max() < 1e-6


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 40), samples=st.integers(2, 150), seed=st.integers(0, 99))
def test_subsets_are_distinct_pairs_with_none_and_all(count, samples, seed):
    subsets = shapley.draw(count, samples, seed)
    assert len(subsets) <= max(samples, 2) and len(np.unique(subsets, axis=0)) == len(subsets)
    assert not subsets[0].any() and subsets[1].all()
    have = {row.tobytes() for row in subsets}
    assert all((~row).tobytes() in have for row in subsets)
    assert np.array_equal(subsets, shapley.draw(count, samples, seed))
    if samples >= 2**count:
        assert len(subsets) == 2**count
