"""Maps by codes: what stays exactly, how far the rest moves, and what measures see of it."""

import fcntl

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import shamsul
from shamsul.data.masks import encode as run_lengths_of
from shamsul.data.masks import run_lengths
from shamsul.evaluate.agreement import agree
from shamsul.evaluate.histogram import sweep
from shamsul.evaluate.histogram_metrics import OVERLAP, RANKING, above, otsu
from shamsul.evaluate.sign import evidence
from shamsul.geometry import Frame
from shamsul.probe.similarity import SHAPE
from shamsul.storage import codes
from shamsul.storage.heatmaps import Heatmaps, read_heatmaps, write_heatmaps
from tests.networks import classifier

SIZE = 224
METHODS = ("lrp_epsilon", "lrp_alpha2beta1", "lrp_epsilon_plus_flat", "gradient")
TUNED, FIXED = (20, 51, 102, 204), 511
"""Levels of thresholds such as are tuned, 2 to 20 % of the range, and of the fixed one, 50 %."""


def heavy(seed, shape=(96, 80), power=3.0, zeros=0.1):
    """Signed values over many orders of magnitude, some of them zero."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=shape) * np.exp(power * generator.normal(size=shape))
    return np.where(generator.random(shape) < zeros, 0, values).astype(np.float32)


def shard(maps):
    names = [f"i{row}" for row in range(len(maps))]
    classes = [f"c{column}" for column in range(maps.shape[1])]
    return Heatmaps(maps, names, np.ones(maps.shape[:2], bool), classes, "m", {}, "0")


def through(maps, path):
    write_heatmaps(shard(maps), path)
    return read_heatmaps(path)


@given(st.integers(0, 2**32 - 1), st.floats(0, 4), st.floats(0, 0.6))
@settings(max_examples=30, deadline=None)
def test_zeros_signs_and_the_largest_stay_and_the_rest_moves_by_a_code_at_most(seed, power, zeros):
    made = heavy(seed, power=power, zeros=zeros)
    code, knots, fine = codes.encode(made)
    stored = codes.decode(code, knots, fine)
    assert np.array_equal(np.sign(stored), np.sign(made)) and stored.dtype == np.float32
    largest = np.abs(made) == np.abs(made).max()
    assert np.array_equal(stored[largest], made[largest])
    assert np.abs(stored[~largest]).max() < np.abs(made).max()

    def place(values):
        return np.interp(np.abs(values).astype(np.float64), knots, codes.PLACES) * fine

    assert np.abs(place(stored) - place(made))[made != 0].max() < 1.01
    assert codes.COARSEST <= fine <= codes.FINEST


def test_means_and_areas_are_kept_though_cells_move():
    made = heavy(3, (SIZE, SIZE), power=1.0, zeros=0)
    stored = codes.decode(*codes.encode(made))
    error = stored - made
    assert np.abs(error).sum() > 0.01 * np.abs(made).sum()
    assert abs(error.sum()) < 1e-3 * np.abs(made).sum()
    assert codes.moved(made, stored) < 0.005


def test_cells_on_the_other_side_of_a_threshold_are_counted_by_hand():
    made = np.array([[0, 1], [2, 3]], np.float32)
    assert codes.moved(made, made) == 0
    assert codes.moved(made, np.array([[0, 1], [1, 3]], np.float32)) == 0.25
    assert codes.moved(made, np.array([[0, 0.5], [1.5, 3]], np.float32)) == 0.25
    assert codes.moved(made, np.array([[0, 0], [0, 3]], np.float32)) == 0.5


@pytest.mark.parametrize(
    "made",
    [
        np.random.default_rng(0).random((64, 64)).astype(np.float32),
        np.random.default_rng(0).integers(0, 40, (90, 90)).astype(np.float32) / 7,
        np.pad(np.random.default_rng(0).random((40, 40)).astype(np.float32), 60),
        np.zeros((90, 90), np.float32),
        # Two clusters, between which there is nothing: values must not get between them.
        (heavy(1, (90, 90), 0, 0) * 1e-3 + np.arange(90) // 45).astype(np.float32),
    ],
    ids=["few cells", "few values", "mostly zero", "zero", "clusters"],
)
def test_maps_in_which_ties_or_gaps_mean_something_are_exact(made, tmp_path):
    found = through(made[None, None], tmp_path / "m.h5")
    assert np.array_equal(found.heatmap[0, 0], made) and found.error[0, 0] == 0


@pytest.mark.parametrize("width", [0, 1, 6])
def test_the_error_is_stored_and_a_second_time_adds_none(tmp_path, width):
    """Also in smooth maps, whose codes are finer."""
    maps = np.stack([heavy(seed, (2, 90, 80)) for seed in range(3)])
    if width:
        maps = gaussian_filter(maps, (0, 0, width, width))
    first = through(maps, tmp_path / "1.h5")
    expected = np.abs(first.heatmap - maps).max((2, 3)) / np.abs(maps).max((2, 3))
    np.testing.assert_allclose(first.error, expected, rtol=1e-6)
    assert (first.error > 0).all() and (first.error < 0.05).all()
    second = through(first.heatmap, tmp_path / "2.h5")
    assert second.heatmap.tobytes() == first.heatmap.tobytes() and (second.error == 0).all()
    third = through(second.heatmap, tmp_path / "3.h5")
    assert third.heatmap.tobytes() == first.heatmap.tobytes()
    assert (tmp_path / "2.h5").read_bytes() == (tmp_path / "3.h5").read_bytes()


def test_a_map_is_the_same_whatever_shard_it_is_in_and_the_file_the_same_bytes(tmp_path):
    maps = np.stack([heavy(seed, (2, 90, 80)) for seed in range(3)])
    maps[1, 0] = 1  # stored exactly, between others
    together = through(maps, tmp_path / "all.h5").heatmap
    for row in range(3):
        alone = through(maps[row : row + 1], tmp_path / "one.h5").heatmap
        assert alone[0].tobytes() == together[row].tobytes()
    write_heatmaps(shard(maps), tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "all.h5").read_bytes()


def test_extreme_values_are_kept_in_range(tmp_path):
    maps = np.stack([heavy(0, (1, 90, 80), 1) * scale for scale in (1e-38, 1e-20, 1e30, 1e36)])
    stored = through(maps, tmp_path / "m.h5").heatmap
    assert np.isfinite(stored).all() and np.array_equal(np.sign(stored), np.sign(maps))


def test_a_shard_is_read_while_it_is_locked(tmp_path):
    """As on file systems that refuse locks: HDF5 locks what it reads unless it is told not to."""
    path = tmp_path / "m.h5"
    write_heatmaps(shard(np.ones((1, 1, 4, 4), np.float32)), path)
    with path.open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert read_heatmaps(path).heatmap.sum() == 16


@pytest.fixture(scope="module")
def explained():
    """Radiographs' frames, masks, and maps (N, C, h, w) of several methods."""
    generator = np.random.default_rng(0)
    model = classifier("densenet_small", size=SIZE)
    fields = np.stack(
        [gaussian_filter(generator.normal(size=(SIZE, SIZE)), width) for width in (2, 4, 6, 9)]
    )
    low, high = fields.min((1, 2), keepdims=True), fields.max((1, 2), keepdims=True)
    images = ((fields - low) / (high - low) * 255).astype(np.uint8)
    maps = {method: shamsul.explain(model, images, method) for method in METHODS}
    frames = [Frame.fit(512, 430, SIZE, "stretch")] * len(images)
    y, x = np.mgrid[:512, :430]
    masks = {}
    for at in np.ndindex(maps["gradient"].shape[:2]):
        centre, radius = generator.uniform(100, 330, 2), generator.uniform(30, 100)
        inside = np.hypot(y - centre[0], x - centre[1]) < radius
        counts = {"height": 512, "width": 430, "counts": run_lengths_of(inside)}
        masks[at] = run_lengths({**counts, "image_id": "i", "class": "c"})
    return frames, masks, maps


def measures(heatmap, frame, runs):
    """Every measure of stored maps that the product's tables have."""
    found = {name: measure(heatmap) for name, measure in SHAPE.items()}
    for sign in ("positive", "absolute", "minmax"):
        laid = sweep(evidence(heatmap, sign), frame, runs, ranked=True)
        total = laid.inside + laid.outside
        level = int(otsu(total))
        found[f"hit {sign}"] = laid.hit
        found[f"otsu area {sign}"] = above(total)[level] / total.sum()
        found[f"otsu iou {sign}"] = OVERLAP["iou"](laid.inside, laid.outside)[level]
        if sign == "positive":
            found |= {name: float(of(*laid.ranked)) for name, of in RANKING.items()}
            found |= {"mass": laid.mass, "best": OVERLAP["iou"](laid.inside, laid.outside).max()}
            for rule in (level, *TUNED, FIXED):
                for name, of in OVERLAP.items():
                    found[f"{name} {rule}" if rule != level else f"{name} otsu"] = of(
                        laid.inside, laid.outside
                    )[rule]
    return found


@pytest.mark.parametrize("method", METHODS)
def test_no_measure_sees_what_storage_takes_away(explained, method, tmp_path):
    """Means over 16 maps, such as tables have, differ by less than 1e-3.

    Half the range leaves some ten pixels of such a map, of which one more or less is seen.
    """
    frames, masks, maps = explained
    found = through(maps[method], tmp_path / "m.h5").heatmap
    assert not np.array_equal(found, maps[method])
    rows = [
        pd.Series(measures(found[at], frames[at[0]], runs))
        - pd.Series(measures(maps[method][at], frames[at[0]], runs))
        for at, runs in masks.items()
    ]
    change = pd.DataFrame(rows)
    few = [f"{name} {FIXED}" for name in ("precision", "dice")]
    mean = change.mean().abs().sort_values()
    assert mean.drop(few).iloc[-1] < 1.5e-3, mean.tail(8)
    assert mean.drop(few).quantile(0.9) < 1e-3 and mean[few].max() < 5e-3
    # Of a single map, in 19 cases of 20.
    assert change.abs().quantile(0.95).median() < 1e-3


def test_agreement_sees_nothing_of_it(explained, tmp_path):
    frames, _, maps = explained
    named = {f"i{row}": frame for row, frame in enumerate(frames)}
    made = [Heatmaps(**vars(shard(one)) | {"method": name}) for name, one in maps.items()]
    for one in made:
        write_heatmaps(one, tmp_path / f"{one.method}.h5")
    stored = [read_heatmaps(tmp_path / f"{one.method}.h5") for one in made]
    classes = made[0].classes
    before, after = (agree(shards, named, classes) for shards in (made, stored))
    keys = ["image_id", "class", "method_a", "method_b"]
    assert before[keys].equals(after[keys]) and len(before) == 4 * 4 * 6
    change = after["rank_correlation"] - before["rank_correlation"]
    assert change.groupby([before["method_a"], before["method_b"]]).mean().abs().max() < 2e-3
    assert abs(change.mean()) < 1e-3 and change.abs().max() < 0.01


@pytest.mark.parametrize("method", [name for name in METHODS if name.startswith("lrp")])
def test_maps_of_relevance_propagation_are_six_times_smaller(explained, method, tmp_path):
    _, _, maps = explained
    through(maps[method], tmp_path / "m.h5")
    assert maps[method].nbytes > 6 * (tmp_path / "m.h5").stat().st_size
