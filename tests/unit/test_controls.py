"""Controls and consensus, against small cases worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from shamsul.data.masks import encode
from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.cam import GradCam
from shamsul.explain.consensus import Consensus
from shamsul.explain.control import Blurred, Deviation, Edges, Gaussian, MeanMask, Random
from shamsul.explain.shard import Shard, Supervision, Training
from shamsul.geometry import Frame
from shamsul.storage.heatmaps import Heatmaps, RunLengths
from shamsul.storage.images import Images, write_images
from shamsul.storage.tables import write_table
from tests.networks import Textures, classifier

SIZE = 32
PLACES = {"p1": (0, 0), "p2": (0, 16), "p3": (16, 0)}
"""Top left corner of each tune patient's mask of class a; p3's image is lateral."""


def corner(place):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[place[0] : place[0] + 16, place[1] : place[1] + 16] = True
    return mask


def supervision(heatmaps=None):
    rows = [(f"{p}_i", p, "lateral" if p == "p3" else "frontal") for p in PLACES]
    rows += [("new_i", "new", "frontal"), ("side_i", "new", "lateral")]
    masks = [
        {
            "image_id": f"{p}_i", "class": "a", "annotator": "x", "kind": "segmentation",
            "height": SIZE, "width": SIZE, "counts": encode(corner(place)),
        }
        for p, place in PLACES.items()
    ]  # fmt: skip
    frame = Frame.fit(SIZE, SIZE, SIZE, "stretch")
    return Supervision(
        manifest=pd.DataFrame(rows, columns=["image_id", "patient_id", "view"]),
        masks=pd.DataFrame(masks),
        frames={f"{p}_i": frame for p in PLACES},
        heatmaps=heatmaps or {},
    )


def shard(names, classes=("a", "b"), **more):
    images = Images(np.zeros((len(names), SIZE, SIZE), np.uint8), list(names), [])
    return Shard(Textures, images, tuple(classes), 5, **more)


def quadrants(maps):
    return maps.reshape(*maps.shape[:2], 2, 16, 2, 16).mean((3, 5)).reshape(*maps.shape[:2], 4)


def test_the_mean_mask_is_of_the_class_and_view_and_without_the_patient():
    names = ["new_i", "side_i", "p1_i", "p3_i"]
    made = MeanMask().heatmaps(shard(names, supervision=supervision()))
    maps = made.heatmap
    assert made.quality == {} and maps.shape == (4, 2, SIZE, SIZE)
    share = quadrants(maps)
    np.testing.assert_allclose(share[0, 0], [0.5, 0.5, 0, 0])  # p1 and p2, both frontal
    np.testing.assert_allclose(share[1, 0], [0, 0, 1, 0])  # p3 alone is lateral
    np.testing.assert_allclose(share[2, 0], [0, 1, 0, 0])  # p2: p1 is not scored with its own mask
    np.testing.assert_allclose(share[3, 0], [0.5, 0.5, 0, 0])  # no other lateral: all views
    # Class b has no masks, so there is no map, rather than one that shows nothing.
    assert not maps[:, 1].any()
    assert made.explained.tolist() == [[True, False]] * 4 and MeanMask.abstains


def test_the_mean_mask_has_boxes_of_the_classes_that_have_no_outlines():
    known = supervision()
    boxes = known.masks.assign(kind="box", counts=encode(corner((16, 16))))
    both = pd.concat([boxes, boxes.assign(**{"class": "b"})])
    known = replace(known, masks=pd.concat([known.masks, both], ignore_index=True))
    made = MeanMask().heatmaps(shard(["new_i"], supervision=known))
    assert made.explained.all()
    share = quadrants(made.heatmap)[0]
    np.testing.assert_allclose(share[0], [0.5, 0.5, 0, 0])  # outlines, as without the boxes
    np.testing.assert_allclose(share[1], [0, 0, 0, 1])


def test_the_mean_mask_goes_through_the_frame():
    """A mask at another resolution, in a padded frame: 16 x 32 pixels in the middle of 32 x 32."""
    made = supervision()
    wide = np.zeros((32, 64), bool)
    wide[:, :32] = True
    masks = made.masks.iloc[:1].assign(height=32, width=64, counts=encode(wide))
    frames = {"p1_i": Frame.fit(16, 32, SIZE, "pad")}
    maps = (
        MeanMask()
        .heatmaps(shard(["new_i"], supervision=Supervision(made.manifest, masks, frames)))
        .heatmap
    )
    expected = np.zeros((SIZE, SIZE))
    expected[8:24, :16] = 1
    # Half the resolution: the filter mixes the border's two columns.
    expected[8:24, 15:17] = maps[0, 0, 8, 15:17]
    assert maps[0, 0, 8, 15] > 0.8 and maps[0, 0, 8, 16] < 0.2
    np.testing.assert_allclose(maps[0, 0], expected, atol=0.01)


def test_the_gaussian_is_centred_and_falls_as_it_should():
    maps = Gaussian(width=0.25, cells=8).heatmaps(shard(["x", "y"])).heatmap
    assert maps.shape == (2, 2, 8, 8) and (maps == maps[0, 0]).all()
    np.testing.assert_allclose(maps[0, 0], maps[0, 0, ::-1, ::-1])
    # From the cell at 1/16 of the side off the centre to that at 3/16, along one axis.
    ratio = maps[0, 0, 4, 5] / maps[0, 0, 4, 4]
    assert ratio == pytest.approx(np.exp(-((3 / 16) ** 2 - (1 / 16) ** 2) / 2 / 0.25**2), rel=1e-5)


def test_edges_are_where_the_grey_changes():
    grey = np.zeros((1, SIZE, SIZE), np.uint8)
    grey[:, :, 20:] = 255
    of = Shard(Textures, Images(grey, ["x"], []), ("a", "b"), 5)
    maps = Edges().heatmaps(of).heatmap
    assert maps.shape == (1, 2, SIZE, SIZE) and (maps[0, 0] == maps[0, 1]).all()
    assert set(maps[0, 0].argmax(1)) <= {19, 20} and maps[0, 0, :, :14].max() < 1e-6


def test_random_does_not_depend_on_the_other_classes_or_images():
    many = Random().heatmaps(shard(["x", "y"])).heatmap
    one = Random().heatmaps(shard(["y"], ("b",))).heatmap
    assert np.array_equal(one[0, 0], many[1, 1]) and not np.array_equal(many[0, 0], many[0, 1])


def test_an_untrained_network_is_another_one_from_the_seed():
    model = classifier("densenet_small")
    images = Images(np.random.default_rng(0).integers(0, 256, (1, 64, 64), np.uint8), ["x"], [])
    control = GradCam(network="untrained")
    maps = [
        control.heatmaps(Shard(lambda: model, images, tuple("abcd"), seed)).heatmap
        for seed in (1, 1, 2)
    ]
    trained = GradCam().heatmaps(Shard(lambda: model, images, tuple("abcd"), 1)).heatmap
    assert np.array_equal(maps[0], maps[1])
    assert not np.allclose(maps[0], maps[2]) and not np.allclose(maps[0], trained)


def member(name, maps, names):
    maps = np.asarray(maps, np.float32)
    explained = np.ones(maps.shape[:2], bool)
    return Heatmaps(maps, list(names), explained, ["b", "a"], name, {}, "0")


def test_a_consensus_is_the_mean_of_ranks():
    names = ["new_i"]
    steps = np.arange(SIZE * SIZE, dtype=float).reshape(SIZE, SIZE)
    first = member("one", [[0 * steps, steps**3]], names)
    second = member("two", [[0 * steps, 7 - steps]], names)  # positive in 7 pixels only
    maps = (
        Consensus(of=("one", "two"))
        .heatmaps(shard(names, ("a",), members={"one": first, "two": second}))
        .heatmap
    )
    last = SIZE * SIZE - 1
    rank_one = np.arange(last + 1) / last
    rank_two = np.full(last + 1, (last - 7) / 2 / last)  # ties share the mean of their ranks
    rank_two[:7] = np.arange(last, last - 7, -1) / last
    np.testing.assert_allclose(maps[0, 0].ravel(), (rank_one + rank_two) / 2, atol=1e-6)
    assert maps.min() >= 0 and maps.max() <= 1


def test_a_consensus_needs_maps_of_one_frame():
    frames = {geometry: Frame.fit(16, 32, SIZE, geometry) for geometry in ("stretch", "pad")}
    maps = member("one", np.ones((1, 2, 3, 3)), ["x"])
    members = {"one": maps, "two": replace(maps, covers="radiograph")}
    for geometry, frame in frames.items():
        images = Images(np.zeros((1, SIZE, SIZE), np.uint8), ["x"], [frame])
        of = Shard(Textures, images, ("a",), 5, members=members)
        if geometry == "stretch":
            assert Consensus(of=("one", "two")).heatmaps(of).heatmap.shape == (1, 1, SIZE, SIZE)
            continue
        with pytest.raises(InputError, match="the heatmaps of two cover the radiograph"):
            Consensus(of=("one", "two")).heatmaps(of)


def test_fitted_weights_go_to_the_method_that_finds_the_masks(rng):
    names = [f"{p}_i" for p in PLACES]
    good = np.array([[rng.random((SIZE, SIZE)), corner(place) + 0.0] for place in PLACES.values()])
    bad = np.array([[rng.random((SIZE, SIZE)) for _ in range(2)] for _ in PLACES])
    members = {"good": member("good", good, names), "bad": member("bad", bad, names)}
    tune = supervision({name: [heatmaps] for name, heatmaps in members.items()})
    consensus = Consensus(of=("bad", "good"), weights="fitted")
    assert consensus.supervised and consensus.members == ("bad", "good")
    weights = consensus.fit(shard(names, ("a", "b"), members=members, supervision=tune))
    for name in ("a", "b"):  # b has no masks and takes the weights of all classes
        assert weights[name].sum() == pytest.approx(1) and weights[name][1] > 0.9


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            [{"method": "consensus", "of": ["grad_cam", "lime"]}, {"method": "grad_cam"}],
            "'lime', which is not listed",
        ),
        ([{"method": "consensus", "of": ["grad_cam"]}, {"method": "grad_cam"}], "of: .*at least 2"),
        ([{"method": "consensus", "of": ["random", "random"]}], "of: .*listed twice"),
        ([{"method": "consensus"}], "of: is required and missing"),
        (
            [
                {"method": "grad_cam"}, {"method": "random"},
                {"method": "consensus", "of": ["grad_cam", "random"]},
                {"method": "consensus", "name": "second", "of": ["consensus", "random"]},
            ],
            "'consensus', which is made of others itself",
        ),
        ([{"method": "random", "preset": "shamsul-2023"}], "random has no presets"),
        ([{"method": "lime", "preset": "shamsul-2032"}], "did you mean 'shamsul-2023'"),
    ],
)  # fmt: skip
def test_what_a_method_cannot_be_made_of_is_told(methods, message):
    with pytest.raises(InputError, match=message):
        registry.build(methods)


def test_a_preset_sets_parameters_and_own_ones_win():
    built = registry.build([{"method": "lime", "preset": "shamsul-2023", "samples": 200}])
    lime = built["lime"]
    assert (lime.superpixels, lime.fill, lime.output) == ("quickshift", "constant", "probability")
    assert lime.samples == 200 and registry.one(registry.entry(lime)) == lime


def blurred_shard(heatmap, explained=((True, True),)):
    member = Heatmaps(
        heatmap, ["x"], np.array(explained), ["b", "a"], "lrp", {}, "0", covers="radiograph"
    )
    return shard(["x"], members={"lrp": member})


def test_a_blurred_map_is_the_others_under_a_gaussian_of_the_sides_fraction():
    heatmap = np.zeros((1, 2, 40, 40), np.float32)
    heatmap[0, 1, 20, 20] = -1  # Class a.
    maps = Blurred(of="lrp", sigma=0.05).heatmaps(blurred_shard(heatmap, [[False, True]]))
    at = np.arange(40) - 20
    bell = np.exp(-((at / 2.0) ** 2) / 2)
    bell[abs(at) > 8] = 0
    bell /= bell.sum()
    np.testing.assert_allclose(maps.heatmap[0, 0], -np.outer(bell, bell), atol=1e-6)
    assert not maps.heatmap[0, 1].any()
    assert maps.explained.tolist() == [[True, False]] and maps.covers == "radiograph"


def test_segmentations_are_not_blurred():
    empty = RunLengths(np.full((1, 2), "", object), np.full((1, 2, 2), 8))
    with pytest.raises(InputError, match="blurred: lrp makes segmentations"):
        Blurred(of="lrp").heatmaps(blurred_shard(empty))


def test_a_blurred_map_is_made_of_a_method_that_is_listed():
    entries = [{"method": "random"}, {"method": "blurred", "of": "random"}]
    assert registry.build(entries)["blurred"].members == ("random",)
    with pytest.raises(InputError, match="'lrp_z', which is not listed"):
        registry.build([{"method": "blurred", "of": "lrp_z"}])


def training(folder, greys, labels):
    """Training images of grey values (N, S, S), named t0, t1 ... in another order in the files."""
    frame = Frame.fit(SIZE, SIZE, SIZE, "stretch")
    names = [f"t{n}" for n in range(len(greys))]
    turned = Images(np.asarray(greys, np.uint8)[::-1], names[::-1], [frame] * len(names))
    write_images(turned, folder / "images.h5")
    write_table(pd.DataFrame({"image_id": names, **labels}), folder / "labels.parquet")
    return Training(folder / "images.h5", folder / "labels.parquet")


def test_training_images_and_labels_are_in_one_order(tmp_path):
    greys = np.arange(3)[:, None, None] * np.ones((3, SIZE, SIZE))
    made = training(tmp_path, greys, {"No Finding": [1.0, 0.0, np.nan]})
    assert made.images.image_id == ["t0", "t1", "t2"] == list(made.labels["image_id"])
    assert made.images.image[:, 0, 0].tolist() == [0, 1, 2]
    assert made.labels["No Finding"].iloc[:2].tolist() == [1, 0]
    write_table(pd.DataFrame({"image_id": ["t0", "t1"]}), tmp_path / "labels.parquet")
    again = Training(tmp_path / "images.h5", tmp_path / "labels.parquet")
    with pytest.raises(InputError, match=r"images.h5: is of other images than .*labels.parquet"):
        _ = again.labels


def test_deviation_is_in_standard_deviations_of_the_healthy_images(tmp_path):
    """Worked: healthy greys 90 and 110 have mean 100 and sd 10; a sick image does not count."""
    greys = np.array([90, 110, 255])[:, None, None] * np.ones((3, SIZE, SIZE))
    made = training(tmp_path, greys, {"No Finding": [1.0, 1.0, 0.0], "a": [np.nan, 0.0, 1.0]})
    image = np.full((1, SIZE, SIZE), 100, np.uint8)
    image[0, 4:8, 4:8], image[0, 20, 20] = 135, 80
    of = Shard(Textures, Images(image, ["x"], []), ("a", "b"), 5, training=made)
    maps = Deviation(sigma=0).heatmaps(of).heatmap
    assert maps.shape == (1, 2, SIZE, SIZE) and (maps[0, 0] == maps[0, 1]).all()
    assert np.allclose(maps[0, 0, 4:8, 4:8], 3.5) and maps[0, 0, 20, 20] == pytest.approx(2)
    maps[0, 0, 4:8, 4:8] = maps[0, 0, 20, 20] = 0
    assert not maps[0, 0].any()


def test_deviation_of_greys_that_never_vary_is_in_grey_levels(tmp_path):
    made = training(tmp_path, np.full((2, SIZE, SIZE), 7), {"No Finding": [1.0, 1.0]})
    of = Shard(Textures, Images(np.full((1, SIZE, SIZE), 12, np.uint8), ["x"], []), ("a",), 5,
               training=made)  # fmt: skip
    assert np.allclose(Deviation().heatmaps(of).heatmap, 5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"No Finding": [1.0, 0.0]}, "1 images of .*images.h5 are labelled 'No Finding', and 2"),
        ({"Edema": [1.0, 0.0]}, "'No Finding' is not among the run's classes"),
    ],
)
def test_deviation_says_what_it_lacks(tmp_path, labels, message):
    made = training(tmp_path, np.zeros((2, SIZE, SIZE)), labels)
    with pytest.raises(InputError, match=message):
        Deviation().heatmaps(shard(["x"], training=made))
