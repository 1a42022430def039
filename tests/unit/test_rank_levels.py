"""Ranking measures of maps whose values are far apart, against scikit-learn on every pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from shamsul import score
from shamsul.data.masks import encode, run_lengths
from shamsul.evaluate.histogram import sweep
from shamsul.evaluate.histogram_metrics import LEVELS, auprc, auroc
from shamsul.evaluate.rank_levels import _quantiles
from shamsul.geometry import Frame, to_original

HEIGHT, WIDTH, SIZE = 330, 290, 56
FRAME = Frame.fit(HEIGHT, WIDTH, SIZE, "stretch")
MASK = np.zeros((HEIGHT, WIDTH), bool)
MASK[60:150, 90:210] = True


def runs(mask):
    height, width = mask.shape
    return run_lengths({"counts": encode(mask), "height": height, "width": width})


def lesion(generator):
    """A map that is higher in the mask, but for noise."""
    values = 0.2 * generator.random((SIZE, SIZE), np.float32)
    values[11:25, 17:39] += 0.1
    return values


def outlier(factor):
    def made(generator):
        values = lesion(generator)
        values[50, 5] = factor
        return values

    return made


def below(generator):
    values = 1000 + lesion(generator)
    values[50, 5] = 0
    return values


def spread(noise):
    return lambda generator: np.float32(noise(generator) * (1 + 40 * lesion(generator)))


MAPS = {
    "outlier of 10": outlier(10),
    "outlier of 1,000": outlier(1e3),
    "outlier of 10,000,000": outlier(1e7),
    "outlier below": below,
    "cauchy": spread(lambda generator: np.abs(generator.standard_cauchy((SIZE, SIZE)))),
    "lognormal": spread(lambda generator: np.exp(generator.normal(0, 4, (SIZE, SIZE)))),
    "mostly zero": spread(lambda generator: np.maximum(generator.normal(-1, 1, (SIZE, SIZE)), 0)),
    "ties": lambda generator: np.float32(generator.integers(0, 3, (SIZE, SIZE)) * 7),
    "tiny": lambda generator: lesion(generator) * np.float32(1e-30),
}


@pytest.mark.parametrize("name", MAPS)
def test_ranking_is_that_of_all_pixels_whatever_the_range(name):
    heatmap = MAPS[name](np.random.default_rng(3))
    found = sweep(heatmap, FRAME, runs(MASK), ranked=True)
    pixels = to_original(heatmap, FRAME)[:, :]
    exact = average_precision_score(MASK.ravel(), pixels.ravel())
    assert auprc(*found.ranked) == pytest.approx(exact, abs=0.005)
    assert auroc(*found.ranked) == pytest.approx(
        roc_auc_score(MASK.ravel(), pixels.ravel()), abs=0.003
    )


def test_linear_levels_do_lose_the_order_so_the_test_above_can_fail():
    heatmap = outlier(1e3)(np.random.default_rng(3))
    found = sweep(heatmap, FRAME, runs(MASK), ranked=True)
    assert auroc(found.inside, found.outside) < 0.6 < 0.85 < auroc(*found.ranked)


def test_a_pixel_a_thousand_times_the_rest_hardly_moves_what_a_caller_is_told():
    generator = np.random.default_rng(0)
    heatmap = lesion(generator)
    before = score(heatmap, MASK)
    heatmap[50, 5] = 1000
    after = score(heatmap, MASK)
    for name in ("auroc", "relevance_rank"):
        assert after[name] == pytest.approx(before[name], abs=0.03)
    # The pixel and its neighbours are enlarged to a patch that is false, and ranks first.
    exact = average_precision_score(MASK.ravel(), to_original(heatmap, FRAME).ravel())
    assert after["auprc"] == pytest.approx(exact, abs=0.005)


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.floats(0, 2.0**100, width=32) | st.sampled_from([0, 1, 2]),
    ),
    st.sampled_from(["stretch", "pad", "crop"]),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_rank_levels_count_every_pixel_once_and_never_turn_an_order_round(values, geometry, data):
    frame = Frame.fit(23, 17, 9, geometry)
    one, other = np.zeros((2, 23, 17), bool)
    places = data.draw(st.tuples(*[st.integers(0, 22), st.integers(0, 16)] * 2))
    one[places[:2]], other[places[2:]] = True, True
    inside, outside = sweep(values, frame, runs(one), ranked=True).ranked
    assert inside.sum() == 1 and outside.sum() == 23 * 17 - 1
    second = sweep(values, frame, runs(other), ranked=True).ranked[0]
    pixels = to_original(values, frame, outside=float(values.min())).astype(float)
    apart = pixels[places[:2]] - pixels[places[2:]]
    if apart > 1e-5 * pixels.max():
        assert inside.argmax() >= second.argmax()


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=40),
        elements=st.floats(0, 1e6, width=32),
    )
)
def test_quantiles_are_those_of_numpy_to_the_last_bit(values):
    shares = np.arange(1, LEVELS) / LEVELS
    expected = np.quantile(values.astype(np.float64), shares)
    np.testing.assert_array_equal(_quantiles(values), expected)
