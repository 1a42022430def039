"""What the default's phantoms promise: no class without a look at the place, no prior unbeaten."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import phantom
from shamsul.labels import CLASSES, LOCALISED


def test_a_perfect_explanation_at_grad_cams_grid_beats_the_position_prior():
    """By 0.05 of pooled IoU and more, and in most classes, at thresholds tuned on tune."""
    assert phantom.ceiling_over_the_prior()["holds"]
    assert phantom.classes_with_a_ceiling_over_the_prior()["holds"]


def test_the_masks_own_resolution_is_where_the_ceiling_ends():
    """A map that is the mask itself overlaps it whole: what is lost is lost by the grid."""
    mask = np.zeros((phantom.SIZE, phantom.SIZE))
    mask[30:47, 20:61] = 1
    assert phantom.overlaps(mask, mask).max() == 1
    coarse = phantom.overlaps(phantom.at_grid(mask), mask).max()
    assert 0.4 < coarse < 0.95
    assert not phantom.overlaps(np.zeros_like(mask), mask).any()


def test_features_know_no_place(rng):
    """Turning an image round moves everything and changes no quantile."""
    image = rng.integers(0, 256, (3, 12, 12), np.uint8).repeat(8, 1).repeat(8, 2)
    known = phantom.features(image)
    assert known.shape == (3, 2 * len(phantom.QUANTILES))
    np.testing.assert_allclose(known, phantom.features(image[:, ::-1, ::-1]), rtol=1e-5)
    np.testing.assert_array_equal(known[1:2], phantom.features(image[1:2]))  # nor the others


@pytest.mark.long
def test_greys_and_edges_alone_do_not_tell_the_findings():
    for comparison in (
        phantom.greys_and_edges_on_average,
        phantom.greys_and_edges_of_the_worst_class,
    ):
        assert comparison()["holds"]
    assert set(phantom.position_free()["all"]) == set(CLASSES) > set(LOCALISED)
