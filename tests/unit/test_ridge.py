"""The closed form is scikit-learn's to the last digit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from shamsul.explain import ridge


@given(
    st.integers(2, 60), st.integers(1, 15), st.sampled_from([np.float32, np.float64]), st.integers()
)
@settings(max_examples=60, deadline=None)
def test_coefficients_are_those_of_scikit_learn(features, classes, kind, seed):
    generator = np.random.default_rng(abs(seed))
    samples = features * 2 + int(generator.integers(1, 200))
    x = (generator.random((samples, features)) < 0.5).astype(float)
    y = generator.normal(size=(samples, classes)).astype(kind)
    weights = np.exp(-generator.random(samples) * 4)
    theirs = np.atleast_2d(Ridge(alpha=1).fit(x, y, weights).coef_).T
    assert np.array_equal(ridge.coefficients(x, y, weights), theirs)


def test_without_a_penalty_a_line_is_found():
    x = np.array([[0.0], [1.0], [2.0], [5.0]])
    found = ridge.coefficients(x, 3 * x + 7, np.array([1.0, 2.0, 1.0, 0.5]), penalty=0.0)
    assert found == pytest.approx(np.array([[3.0]]))
