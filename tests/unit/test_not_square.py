"""Images that are not square: from the configuration to the network, its maps and its probes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import shamsul
from shamsul.config import load
from shamsul.errors import InputError
from shamsul.explain.cam import GradCam
from shamsul.explain.consensus import Consensus
from shamsul.explain.control import Random
from shamsul.explain.score_cam import masks
from shamsul.explain.shard import Shard
from shamsul.geometry import Frame
from shamsul.model import checkpoint
from shamsul.model.calibration import calibration_images
from shamsul.model.classifier import Classifier
from shamsul.model.importing import import_checkpoint, untrained
from shamsul.model.inside.feature_layer import find, grid_of
from shamsul.model.inside.token_grid import token_grid
from shamsul.model.networks.huggingface import HuggingFace
from shamsul.model.networks.own import Own
from shamsul.model.networks.source import Wanted
from shamsul.model.networks.timm import Timm
from shamsul.model.networks.torchvision import Torchvision
from shamsul.model.predict import predictions
from shamsul.model.settings import Model
from shamsul.model.spec import Spec
from shamsul.model.training.epoch import Plan, augment
from shamsul.probe.settings import Probe
from shamsul.size import at_a_time, pair, told, written
from shamsul.storage.heatmaps import Heatmaps
from shamsul.storage.images import Images
from tests.experiment import SMALL
from tests.frames import probe
from tests.methods import ALONE, ATTENTION, QUICK, quick
from tests.networks import classifier, randomised

SIZE = 96, 64
COARSE = {"random", "gaussian"}
"""Methods whose maps have as many cells as are asked for, whatever the image."""


def grey(count=2, size=SIZE):
    return np.random.default_rng(1).integers(0, 256, (count, *size), dtype=np.uint8)


def transformer():
    torch.manual_seed(0)
    net = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=4, img_size=SIZE)
    for parameter in net.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    return Classifier.of(net.eval(), tuple("abcd"), "timm/vit_tiny_patch16_224", SIZE)


MODELS = {"resnet18": lambda: classifier("resnet18", SIZE), "vit_tiny": transformer}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]()


# Configuration


def configured(size, **model):
    raw = json.loads(json.dumps(SMALL))
    raw["model"] = {"network": "densenet_small", "weights": "random", **model}
    raw["data"]["size"] = size
    return load(raw)


def test_a_side_and_a_pair_are_read_and_equal_sizes_are_one_text():
    square, twice, tall = (configured(size) for size in (64, [64, 64], [96, 64]))
    assert (square.data.size, tall.data.size) == ((64, 64), (96, 64))
    assert square.part("data.size") == twice.part("data.size") == '{"size": [64, 64]}'
    assert tall.part("data.size") == '{"size": [96, 64]}'


@pytest.mark.parametrize(
    "size", [31, 0, -64, [96], [96, 31], [96, 64, 3], "64 x 96", [96, "64"], None, True, 64.5, {}]
)
def test_other_sizes_are_refused_in_one_line(size):
    with pytest.raises(InputError) as caught:
        configured(size)
    (line,) = caught.value.faults
    assert line.startswith("data.size: is the side of a square or [HEIGHT, WIDTH], of at least 32")
    assert line.endswith(f"not {size!r}")


def test_torchvisions_vision_transformer_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"^data\.size: vit_b_16 sees squares alone, not 96 x 64$"):
        configured([96, 64], network="vit_b_16")
    with pytest.raises(
        InputError, match=r"vit_b_32 of torchvision sees squares alone, not 96 x 64"
    ):
        Torchvision().build(Wanted("vit_b_32", 2, 3, SIZE))
    with pytest.raises(InputError, match=r"multiple of 32, not 80"):
        Torchvision().build(Wanted("vit_b_32", 2, 3, (80, 80)))


def test_sizes_in_words():
    assert pair(7) == (7, 7) and pair((9, 7)) == (9, 7)
    assert told((9, 7)) == "9 x 7"
    assert written((7, 7)) == 7 and written((9, 7)) == [9, 7]


@given(st.integers(1, 64), st.integers(32, 2000), st.integers(32, 2000))
def test_images_at_a_time_go_by_pixels(usual, height, width):
    found = at_a_time(usual, (height, width))
    assert found == at_a_time(usual, (width, height)) and 1 <= found <= usual
    assert found == 1 or found * height * width <= usual * 224**2
    if found < usual:
        assert (found + 1) * height * width > usual * 224**2
    # As it always was for squares.
    assert at_a_time(usual, (height, height)) == max(1, usual * 224**2 // max(height, 224) ** 2)


# Networks


def test_a_classifier_knows_its_size(tmp_path):
    model = classifier("densenet_small", SIZE)
    assert model.size == SIZE and classifier("densenet_small", 64).size == (64, 64)
    checkpoint.save(model, tmp_path / "checkpoint.pt", {})
    loaded = checkpoint.load(tmp_path / "checkpoint.pt")
    assert loaded.size == SIZE and loaded.spec == model.spec
    shown = model.normalise(grey())
    torch.testing.assert_close(loaded.predict(shown), model.predict(shown))
    given = Model(network="densenet_small", checkpoint=str(tmp_path / "checkpoint.pt"))
    assert import_checkpoint(given, "abcd", SIZE).size == SIZE
    with pytest.raises(
        InputError, match=r"its data\.size is \[96, 64\], not 64 as configured; set"
    ):
        import_checkpoint(given, "abcd", 64)
    with pytest.raises(InputError, match=r"are of 64 x 64 pixels, the checkpoint's of 96 x 64; set "
                                         r"data\.size: \[96, 64\]"):  # fmt: skip
        frame = Frame.fit(64, 64, 64, "stretch")
        predictions(loaded, Images(grey(1, (64, 64)), ["a"], [frame]))
    assert Spec.model_validate(model.spec.model_dump() | {"size": 64}).size == (64, 64)


def test_random_weights_have_statistics_of_such_images():
    images = calibration_images(SIZE, 3)
    assert images.shape == (3, *SIZE) and images.min() == 0 and images.max() == 255
    drawn = classifier("densenet_small", SIZE).untrained(1)
    assert drawn.size == SIZE and drawn.predict(drawn.normalise(images)).std(0).min() > 0


def test_sources_build_for_height_and_width():
    shown = torch.randn(2, 3, *SIZE)
    for name in ("vit_tiny_patch16_224", "test_vit"):
        net = Timm().build(Wanted(name, 2, 3, SIZE)).eval()
        assert tuple(net.patch_embed.grid_size) == (6, 4) and net(shown).shape == (2, 2)
    described = {
        "model_type": "vit", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 16, "patch_size": 16, "image_size": 64,
    }  # fmt: skip
    net = HuggingFace().build(Wanted("folder", 2, 3, SIZE, {"config": described})).eval()
    assert net(shown).shape == (2, 2) and net.model.config.image_size == list(SIZE)
    layer = find(net, torch.randn(1, 3, *SIZE))
    assert (layer.grid, layer.prefix) == ((6, 4), 1)


def test_weights_for_squares_fit_a_transformer_of_other_proportion():
    square = Timm().build(Wanted("vit_tiny_patch16_224", 2, 3, (64, 64)))
    net = Timm().build(Wanted("vit_tiny_patch16_224", 2, 3, SIZE))
    fitted = Timm().resized(square.state_dict(), net)
    assert fitted["pos_embed"].shape == net.pos_embed.shape == (1, 25, 192)
    # The class token's stays, and the middle of a column stays between its neighbours.
    assert torch.equal(fitted["pos_embed"][:, 0], square.pos_embed[:, 0])
    net.load_state_dict(fitted)
    back = Timm().build(Wanted("vit_tiny_patch16_224", 2, 3, (128, 128)))
    kept = Timm().resized(net.state_dict(), back)
    assert kept["pos_embed"].shape == net.pos_embed.shape


def test_an_own_network_is_told_the_size_as_it_is_configured(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "def build(outputs, size):\n"
        "    net = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.Flatten(), nn.LazyLinear(outputs))\n"
        "    net.size = size\n"
        "    return net\n"
    )
    for size, expected in (((64, 64), 64), (SIZE, [96, 64])):
        assert Own().build(Wanted(f"{file}:build", 2, 3, size)).size == expected


# Tokens


@pytest.mark.parametrize(
    ("tokens", "image", "grid"),
    [
        (25, (96, 64), (6, 4)),
        (24, (96, 64), (6, 4)),
        (28, (96, 64), (6, 4)),  # registers
        (25, (64, 96), (4, 6)),
        (129, (256, 128), (16, 8)),
        (25, (100, 64), (6, 4)),  # of 16 pixels, the last rows cut off
        (197, (224, 224), (14, 14)),
        (3, (96, 64), (2, 1)),
        (60, (960, 640), (9, 6)),
        (3, (1000, 10), (3, 1)),
    ],
)
def test_tokens_are_a_grid_of_the_images_proportion(tokens, image, grid):
    assert grid_of(tokens, None, image) == grid


@given(st.integers(1, 600))
def test_tokens_of_squares_are_the_largest_square(tokens):
    side = int(tokens**0.5)
    fits = side > 1 and tokens - side**2 <= 16
    assert grid_of(tokens, None, (224, 224)) == ((side, side) if fits else None)


class Unfolded(nn.Module):
    """A transformer whose patches no convolution makes."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3 * 16 * 16, 16)
        block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, images):
        patches = nn.functional.unfold(images, 16, stride=16).transpose(1, 2)
        return self.head(self.encoder(self.embed(patches)).mean(1))


def test_the_grid_of_patches_that_no_convolution_makes_is_of_the_images_proportion():
    net = randomised(Unfolded())
    shown = torch.randn(1, 3, *SIZE)
    grid = token_grid(net, shown)
    assert (grid.prefix, grid.rows, grid.columns) == (0, 6, 4)
    assert find(net, shown).grid == (6, 4)
    # 16 patches would be a square of 4 too.
    wide = token_grid(net, torch.randn(1, 3, 32, 128))
    assert (wide.rows, wide.columns) == (2, 8)


def test_the_grid_of_tokens_is_found():
    model = transformer()
    layer = model.structure.feature_layer
    assert (layer.grid, layer.prefix, layer.shape[1:]) == ((6, 4), 1, (6, 4))
    maps = GradCam(layers=("blocks.5",)).explain(
        model, model.normalise(grey(1)), torch.arange(4), [0]
    )
    assert maps.shape == (1, 4, 6, 4)


# Methods


@pytest.mark.parametrize("name", [*ALONE, *ATTENTION])
def test_all_methods_give_finite_maps_of_the_images_proportion(name, model):
    ask = {"images": grey(1), "method": name, "classes": ["d", "b"], **QUICK.get(name, {})}
    if model.structure.refusal(quick(name).needs):
        with pytest.raises(InputError, match="cannot explain"):
            shamsul.explain(model, **ask)
        return
    maps = shamsul.explain(model, **ask)
    assert maps.shape[:2] == (1, 2) and np.isfinite(maps).all() and np.ptp(maps) > 0
    height, width = maps.shape[2:]
    assert name in COARSE or height * SIZE[1] == width * SIZE[0]


def test_a_radiograph_of_another_size_is_stretched(model):
    maps = shamsul.explain(model, grey(1, (120, 200)), "occlusion", window=32, stride=32)
    assert maps.shape[2:] == SIZE


def test_masks_of_score_cam_are_of_the_image():
    activations = torch.rand(3, 3, 2)
    found = masks(activations, SIZE)
    assert found.shape == (3, 1, *SIZE)
    assert found.amin((2, 3)).abs().max() == 0 and found.amax((2, 3)).min() == 1
    turned = masks(activations.transpose(1, 2), SIZE[::-1])
    torch.testing.assert_close(found, turned.transpose(2, 3))


@pytest.mark.parametrize("name", ["occlusion", "gradient", "lrp_z", "grad_cam"])
def test_a_map_follows_the_image_when_both_are_turned(name):
    """A network without a sense of direction explains a turned image by a turned map."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 4, stride=4)
    conv.weight.data = conv.weight.data + conv.weight.data.transpose(2, 3)
    net = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    image = grey(1)
    ask = {**QUICK.get(name, {})}
    maps = shamsul.explain(shamsul.classifier(net, ["a", "b"], size=SIZE), image, name, **ask)
    turned = shamsul.classifier(net, ["a", "b"], size=SIZE[::-1])
    found = shamsul.explain(turned, image.transpose(0, 2, 1), name, **ask)
    np.testing.assert_allclose(found.transpose(0, 1, 3, 2), maps, atol=1e-6)


def shard_of(model, count=2):
    frame = Frame.fit(150, 100, SIZE, "pad")
    names = [f"i{n}" for n in range(count)]
    return Images(grey(count), names, [frame] * count)


def test_members_are_combined_and_probed():
    model = classifier("densenet_small", SIZE)
    images, classes = shard_of(model), tuple("abcd")
    shard = Shard(lambda: model, images, classes, 1)
    assert shard.size == SIZE
    members = {}
    for name, method in (("grad_cam", GradCam()), ("random", Random())):
        made = method.heatmaps(shard)
        explained = np.ones((2, 4), bool)
        members[name] = Heatmaps(
            made.heatmap, images.image_id, explained, list(classes), name, {}, model.digest()
        )
    combined = Consensus(of=("grad_cam", "random")).heatmaps(
        Shard(lambda: model, images, classes, 1, members)
    )
    assert combined.heatmap.shape == (2, 4, *SIZE)
    assert combined.heatmap.min() >= 0 and combined.heatmap.max() <= 1
    settings = Probe(
        images=2, reexplained_images=1, classes=2, steps=4, squares=6, noisy=1, stages=1
    )
    table = probe(model, images, members["grad_cam"], GradCam(), settings, 1)
    assert set(settings.metrics) <= set(table["metric"])
    assert table.loc[table["metric"] == "road", "value"].notna().all()


# Training


def test_images_move_by_a_share_of_their_height_and_width():
    labels = np.zeros((400, 1), np.float32)
    plan = Plan.draw(1, 1, labels, ("zeros",), False, (6, 2))
    assert np.abs(plan.shift).max(0).tolist() == [6, 2]
    square = Plan.draw(1, 1, labels, ("zeros",), False, 5)
    again = Plan.draw(1, 1, labels, ("zeros",), False, (5, 5))
    assert np.array_equal(square.shift, again.shift) and square.torch_seed == again.torch_seed
    image = np.arange(1, 7, dtype=np.uint8).reshape(1, 3, 2).repeat(2, 0)
    found = augment(image, np.array([False, True]), np.array([[1, 0], [-2, 1]]))
    assert found[0].tolist() == [[0, 0], [1, 2], [3, 4]]
    assert found[1].tolist() == [[0, 6], [0, 0], [0, 0]]


def test_a_training_starts_with_such_a_network():
    asked = Model(network="densenet_small", weights="random")
    assert untrained(asked, ("a", "b"), SIZE, 0).size == SIZE
    assert shamsul.classifier("densenet_small", ["a"], size=SIZE).size == SIZE
