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
sizes = st.tuples(st.integers(32, 128), st.integers(32, 128))


@given(sides, sides, sizes, st.sampled_from(GEOMETRIES))
def test_the_frame_holds_what_the_geometry_promises(height, width, size, geometry):
    frame = Frame.fit(height, width, size, geometry)
    top, left = frame.offset_y, frame.offset_x
    bottom = top + frame.scale_y * height
    right = left + frame.scale_x * width
    rows, columns = size
    if geometry == "stretch":
        assert (top, left) == pytest.approx((0, 0), abs=1e-9)
        assert (bottom, right) == pytest.approx(size)
    elif geometry == "pad":
        assert min(top, left) >= 0 and bottom <= rows + 1e-9 and right <= columns + 1e-9
        assert bottom - top == pytest.approx(rows) or right - left == pytest.approx(columns)
        assert max(abs(top - (rows - bottom)), abs(left - (columns - right))) <= 1 + 1e-9
        # The same scale both ways, but for whole pixels.
        scale = min(rows / height, columns / width)
        assert bottom - top == pytest.approx(height * scale, abs=1)
        assert right - left == pytest.approx(width * scale, abs=1)
    else:
        assert max(top, left) <= 1e-9 and bottom >= rows - 1e-9 and right >= columns - 1e-9
        assert frame.scale_y == frame.scale_x
        assert bottom - top == pytest.approx(rows) or right - left == pytest.approx(columns)
    whole = (top, left, bottom, right) == pytest.approx((0, 0, *size), abs=1e-6)
    assert frame.whole == whole and frame.filled().whole
    if rows == columns:
        assert frame == Frame.fit(height, width, rows, geometry)
    # What is wider for the radiograph turned is higher for it as it is.
    turned = Frame.fit(width, height, (columns, rows), geometry)
    assert (turned.scale_x, turned.offset_x) == (frame.scale_y, frame.offset_y)
    assert (turned.scale_y, turned.offset_y) == (frame.scale_x, frame.offset_x)


@pytest.mark.parametrize("size", [64, (96, 64)])
def test_the_frame_survives_storage(size):
    frame = Frame.fit(123, 77, size, "pad")
    assert Frame.from_row(np.array(frame.to_row())) == frame
    assert frame.to_row()[:4] == (123, 77, *((64, 64) if size == 64 else size))


@given(sides, sides, sizes, st.sampled_from(GEOMETRIES))
def test_a_radiograph_keeps_its_mean_where_all_of_it_is_seen(height, width, size, geometry):
    """To the model and back, each share of the radiograph's area counts as much as it did."""
    image = np.zeros((height, width), np.uint8)
    image[: height // 2] = 200
    frame = Frame.fit(height, width, size, geometry)
    model = to_model(image, frame)
    assert model.shape == size
    back = to_original(model, frame)
    assert back.shape == image.shape
    if geometry != "crop":
        pixel = 1 / frame.scale_y / height + 1 / height  # a row of the model's, one of its own
        assert back.mean() / 200 == pytest.approx(0.5, abs=pixel)
        seen = frame.scale_y * height * frame.scale_x * width
        assert model.sum() / 200 == pytest.approx(seen * (height // 2) / height, rel=0.05)


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
@pytest.mark.parametrize("size", [112, (140, 96), (96, 160)])
@pytest.mark.parametrize(("height", "width"), [(300, 200), (180, 260), (97, 131)])
def test_a_spot_comes_back_to_its_place(geometry, size, height, width):
    frame = Frame.fit(height, width, size, geometry)
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
