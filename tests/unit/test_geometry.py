"""Frames of radiographs: stretch, pad and crop, and the way back to the radiograph's pixels."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shamsul.geometry import Frame, to_model, to_original

GEOMETRIES = ["stretch", "pad", "crop"]
sides = st.integers(20, 300)


@given(sides, sides, st.integers(32, 128), st.sampled_from(GEOMETRIES))
def test_the_frame_holds_what_the_geometry_promises(height, width, size, geometry):
    frame = Frame.fit(height, width, size, geometry)
    top, left = frame.offset_y, frame.offset_x
    bottom = top + frame.scale_y * height
    right = left + frame.scale_x * width
    if geometry == "stretch":
        assert (top, left) == pytest.approx((0, 0), abs=1e-9)
        assert (bottom, right) == pytest.approx((size, size))
    elif geometry == "pad":
        assert min(top, left) >= 0 and max(bottom, right) <= size + 1e-9
        assert max(bottom - top, right - left) == pytest.approx(size)
    else:
        assert max(top, left) <= 1e-9 and min(bottom, right) >= size - 1e-9
        assert frame.scale_y == frame.scale_x


def test_the_frame_survives_storage():
    frame = Frame.fit(123, 77, 64, "pad")
    assert Frame.from_row(np.array(frame.to_row())) == frame


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_finer_mask_has_the_same_frame(geometry):
    frame, finer = (Frame.fit(k * 90, k * 120, 64, geometry) for k in (1, 3))
    assert frame.at(270, 360).to_row() == pytest.approx(finer.to_row(), abs=0.51)
    heatmap = np.random.default_rng(0).random((8, 8))
    coarse = to_original(heatmap, frame)
    fine = to_original(heatmap, frame.at(270, 360))[1::3, 1::3]
    np.testing.assert_allclose(coarse, fine, atol=1e-5)


@given(sides, sides)
def test_stretch_back_is_torchs_and_opencvs_bilinear(height, width):
    heatmap = np.random.default_rng(height * width).normal(size=(7, 9)).astype(np.float32)
    ours = to_original(heatmap, Frame.fit(height, width, 64, "stretch"))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(heatmap)[None, None], size=(height, width), mode="bilinear"
    )[0, 0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    opencv = cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(ours, opencv, atol=1e-5)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(("height", "width"), [(300, 200), (180, 260), (97, 131)])
def test_a_spot_comes_back_to_its_place(geometry, height, width):
    frame = Frame.fit(height, width, 112, geometry)
    y, x = height * 2 // 5, width * 3 // 5
    image = np.zeros((height, width), np.uint8)
    image[y - 3 : y + 4, x - 3 : x + 4] = 255
    back = to_original(to_model(image, frame), frame)
    weight = back / back.sum()
    found_y = (weight.sum(axis=1) * np.arange(height)).sum()
    found_x = (weight.sum(axis=0) * np.arange(width)).sum()
    assert abs(found_y - y) < 0.2 and abs(found_x - x) < 0.2


def test_pad_shows_the_radiograph_exactly_and_black_around_it():
    image = np.full((50, 100), 200, np.uint8)
    model = to_model(image, Frame.fit(50, 100, 64, "pad"))
    assert (model[16:48] == 200).all()
    assert not model[:16].any() and not model[48:].any()


def test_a_crop_says_nothing_of_what_the_model_did_not_see():
    frame = Frame.fit(100, 200, 50, "crop")
    original = to_original(np.ones((5, 5)), frame, outside=-1)
    assert (original[:, 50:150] == 1).all()
    assert (original[:, :50] == -1).all() and (original[:, 150:] == -1).all()


def test_resizing_does_not_alias():
    """Averaging 4 x 4 blocks of noise leaves a quarter of its spread; picking pixels leaves all."""
    noise = np.random.default_rng(0).integers(0, 255, (400, 400)).astype(np.uint8)
    model = to_model(noise, Frame.fit(400, 400, 100, "stretch"))
    assert model.std() < noise.std() / 3
