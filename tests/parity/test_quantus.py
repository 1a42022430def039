"""Measures of localisation against Quantus, where Quantus is right.

It is not among the dependencies, since it wants OpenCV with windows; these tests run where it is:
``pip install --no-deps quantus cachetools``. Its pointing game is no reference: an empty mask and a
constant map count as hits.
"""

import numpy as np
import pytest

from shamsul.data.masks import encode, run_lengths
from shamsul.evaluate.histogram import sweep
from shamsul.evaluate.histogram_metrics import auroc, relevance_rank
from shamsul.geometry import Frame

quantus = pytest.importorskip("quantus", reason="pip install --no-deps quantus cachetools")

SIDE = 48
FRAME = Frame.fit(SIDE, SIDE, SIDE, "stretch")


@pytest.fixture(scope="module")
def maps():
    """Positive maps whose values are levels, so that quantising loses nothing, and masks."""
    generator = np.random.default_rng(1)
    level = np.stack([generator.permutation(SIDE * SIDE) % 1024 for _ in range(6)])
    values = level.reshape(6, 1, SIDE, SIDE).astype(np.float32)
    values[:, 0, 0, 0], values[:, 0, 0, 1] = 0, 1023
    masks = generator.random((6, 1, SIDE, SIDE)) < np.linspace(0.05, 0.6, 6)[:, None, None, None]
    return values, masks


def ours(maps):
    for value, mask in zip(*maps, strict=True):
        row = {"counts": encode(mask[0]), "height": SIDE, "width": SIDE}
        yield sweep(value[0], FRAME, run_lengths(row))


def theirs(metric, maps):
    values, masks = maps
    made = metric(normalise=False, abs=False, disable_warnings=True, display_progressbar=False)
    return made(model=None, x_batch=values, y_batch=np.zeros(6), a_batch=values, s_batch=masks)


def test_relevance_mass(maps):
    expected = theirs(quantus.RelevanceMassAccuracy, maps)
    assert [found.mass for found in ours(maps)] == pytest.approx(expected, rel=1e-5)


def test_relevance_mass_is_energy_based_pointing(maps):
    values, masks = maps
    made = quantus.AttributionLocalisation(
        normalise=False, abs=False, positive_attributions=True, weighted=False,
        disable_warnings=True, display_progressbar=False,
    )  # fmt: skip
    expected = made(model=None, x_batch=values, y_batch=np.zeros(6), a_batch=values, s_batch=masks)
    assert [found.mass for found in ours(maps)] == pytest.approx(expected, rel=1e-5)


def test_relevance_rank_but_for_the_ties(maps):
    expected = theirs(quantus.RelevanceRankAccuracy, maps)
    found = [float(relevance_rank(one.inside, one.outside)) for one in ours(maps)]
    # Each level has two or three pixels: of the last one taken, theirs takes whichever comes first.
    assert found == pytest.approx(expected, abs=0.01)


def test_pixel_auroc(maps):
    expected = theirs(quantus.AUC, maps)
    found = [float(auroc(one.inside, one.outside)) for one in ours(maps)]
    assert found == pytest.approx(expected, abs=1e-6)
