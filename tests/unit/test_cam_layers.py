"""Class activation maps: formulas worked by hand, named layers, and what they leave behind."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.cam import EigenCam, GradCam, GradCamPlusPlus, HiResCam, LayerCam, merged
from shamsul.explain.layer_outputs import forward
from shamsul.explain.score_cam import ScoreCam, masks, scores
from shamsul.model.classifier import Classifier
from tests.networks import Textures, classifier

GRADIENT_CAMS = (GradCam, GradCamPlusPlus, HiResCam, LayerCam)
A = torch.tensor([[[[1.0, 2], [0, 3]], [[4, 0], [1, 1]]]])
G = torch.tensor([[[[1.0, -1], [2, 0]], [[-1, 0], [1, -2]]]])


@pytest.fixture(scope="module")
def resnet():
    return classifier("resnet18")


@pytest.fixture(scope="module")
def images():
    return torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("explainer", "expected"),
    [
        (GradCam(), [[-1.5, 1], [-0.5, 1]]),  # Weights 1/2 and -1/2.
        (HiResCam(), [[-3, -2], [1, -2]]),
        (LayerCam(), [[1, 0], [1, 0]]),
        # Sums of A are 6: alpha is 1/8 and 1/14 where g is 1 and 2; weights 15/56 and 1/8.
        (GradCamPlusPlus(), [[43 / 56, 30 / 56], [7 / 56, 52 / 56]]),
        # Of each channel one gradient of 1 is left, and both weights are 1/4.
        (GradCam(guided=True, initial=1), [[2.25, 1.5], [1.25, 2]]),
    ],
)
def test_formulas_by_hand(explainer, expected):
    torch.testing.assert_close(explainer.combine(A, G), torch.tensor([expected]).float())


@pytest.mark.parametrize("sign", [1, -1])
def test_eigen_cam_by_hand(sign):
    """The two channels rise together, by 2 and by 1; the third falls, by less."""
    top, bottom = torch.zeros(1, 2), torch.ones(1, 2)
    step = torch.cat([top, bottom])
    maps = EigenCam().combine(sign * torch.stack([2 * step, step, -0.5 * step])[None])
    half = math.sqrt(4 + 1 + 0.25) / 2
    torch.testing.assert_close(maps, sign * torch.tensor([[[-half, -half], [half, half]]]))


def test_eigen_cam_of_a_constant_is_zero():
    assert not EigenCam().combine(torch.full((1, 5, 3, 3), 2.5)).any()


def test_score_cam_by_hand():
    logits = torch.tensor([[math.log(3), 0], [7, 7]])  # Weights 3/4 and 1/4, and 1/2 each.
    expected = torch.tensor([[[1.75, 1.5], [0.25, 2.5]], [[2.5, 1], [0.5, 2]]])
    torch.testing.assert_close(ScoreCam().combine(A[0], logits), expected)


def test_masks_are_stretched_and_a_constant_channel_hides_everything():
    channels = torch.stack([A[0, 0] - 5, torch.full((2, 2), 0.3), torch.zeros(2, 2)])
    made = masks(channels, (14, 14))[:, 0]
    assert made.shape == (3, 14, 14)
    assert made[0].min() == 0 and made[0].max() == 1
    corners = made[0, [0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(corners, torch.tensor([1 / 3, 2 / 3, 0, 1]))
    assert not made[1:].any()


def test_scores_are_logits_of_masked_images_made_a_batch_at_a_time(monkeypatch):
    model = classifier("densenet_small", size=32)
    image = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(1))
    activations = torch.rand(70, 2, 2, generator=torch.Generator().manual_seed(2))
    seen = []
    predict = Classifier.predict
    monkeypatch.setattr(
        Classifier, "predict", lambda self, batch: seen.append(len(batch)) or predict(self, batch)
    )
    found = scores(model, image, activations)
    assert seen == [16, 16, 16, 16, 6]
    expected = [model.network((image * mask)[None])[0] for mask in masks(activations, (32, 32))]
    torch.testing.assert_close(found, torch.stack(expected, 1).detach(), rtol=1e-4, atol=1e-5)


def test_score_cam_leans_to_the_texture_of_the_class():
    model, placed = Textures(), (2, 3, 1, 0)
    images = model.normalise(model.image(placed)[None])
    maps = ScoreCam().explain(model, images, torch.arange(4), [0])[0]
    quadrants = maps.reshape(4, 2, 8, 2, 8).sum((2, 4)).reshape(4, 4)
    for quadrant, index in enumerate(placed):
        assert quadrants[index].argmax() == quadrant


@pytest.mark.parametrize("cls", GRADIENT_CAMS)
def test_probability_and_shamsuls_preset_by_hand(cls, resnet, images):
    """The probability's gradient is taken where it is asked for, and in SHAMSUL's Grad-CAM."""
    network = resnet.network
    kept = []
    handle = network.layer4.register_forward_hook(lambda *call: kept.append(call[2]))
    probability = network(images[:2]).sigmoid()
    handle.remove()
    (gradient,) = torch.autograd.grad(probability[:, 2].sum(), kept[0])
    expected = cls().combine(kept[0].detach(), gradient).relu()
    explain = cls(output="probability").explain
    maps = explain(resnet, images[:2], torch.tensor([2]), [0, 0])
    torch.testing.assert_close(maps[:, 0], expected, rtol=1e-3, atol=1e-7)
    if cls is not GradCam:
        return
    gated = torch.where((kept[0] > 0) & (gradient > 0), gradient, 0)
    expected = torch.ones(2, 2, 2)
    for k in range(512):
        expected += gated[:, k].mean((1, 2))[:, None, None] * kept[0][:, k].detach()
    entry = {"method": "grad_cam", "preset": "shamsul-2023"}
    preset = registry.build([entry])["grad_cam"]
    maps = preset.explain(resnet, images[:2], torch.tensor([2]), [0, 0])
    torch.testing.assert_close(maps[:, 0], expected.relu(), rtol=1e-4, atol=1e-6)
    assert maps.min() >= 1


@pytest.mark.parametrize("cls", (*GRADIENT_CAMS, EigenCam))
def test_the_default_is_the_layer_where_the_network_is_cut(cls, resnet, images):
    classes = torch.tensor([1, 3])
    default = cls().explain(resnet, images[:4], classes, [0] * 4)
    named = cls(layers=("layer4",)).explain(resnet, images[:4], classes, [0] * 4)
    torch.testing.assert_close(named, default, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("densenet_small", "features.norm5"),  # Behind it is a functional in-place ReLU,
        ("densenet_small", "features.norm0"),  # and behind this one a module.
        ("densenet_small", "features.relu0"),
        ("densenet_small", "features.denseblock2.denselayer1"),
        ("resnet18", "bn1"),
        ("resnet18", "layer3.1.bn2"),
        ("efficientnet_b0", "features.3"),
        ("convnext_tiny", "features.5"),
    ],
)
def test_layers_that_work_in_place_do_not_touch_a_named_one(name, layer, images):
    """Activations and gradients are those of plain autograd through a network without them."""
    model = classifier(name)
    activations, logits = forward(model.network, images[:2], (layer,), gradients=True)
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), activations)

    kept = []
    for module in model.network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False

    def keep(module, inputs, output):
        kept.append(output)
        return output.clone()

    model.network.get_submodule(layer).register_forward_hook(keep)
    expected = model.network(images[:2])
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(activations[0], kept[0], rtol=1e-4, atol=1e-5)
    (expected,) = torch.autograd.grad(expected[:, 1].sum(), kept)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5 * gradient.abs().max())
    assert activations[0].min() < 0 or layer == "features.relu0"


@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_are_recorded_from_the_first_layer_on(frozen, images):
    """Whatever the order of the names, also of layers in branches beside each other."""
    model = classifier("resnet18")
    model.requires_grad_(not frozen)
    recording = {}
    for name in ("layer1", "layer2", "layer4"):
        module = model.network.get_submodule(name)
        module.register_forward_hook(
            lambda *call, n=name: recording.update({n: call[2].requires_grad})
        )
    layers = ("layer3", "layer2.0.downsample", "layer2.0.bn1")
    activations, logits = forward(model.network, images[:1], layers, gradients=True)
    assert recording == {"layer1": False, "layer2": True, "layer4": True}
    assert activations[2].is_leaf and not activations[0].is_leaf
    gradients = torch.autograd.grad(logits[0, 0], activations)
    assert all(gradient.any() for gradient in gradients)

    recording.clear()
    forward(model.network, images[:1], layers, gradients=False)
    assert not any(recording.values())


def state(model):
    hooks = [len(module._forward_hooks) for module in model.modules()]
    grads = [parameter.grad is None for parameter in model.parameters()]
    return hooks, grads, [parameter.requires_grad for parameter in model.parameters()]


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("layers", [(), ("layer2", "layer3.0.conv1")])
@pytest.mark.parametrize("cls", [*GRADIENT_CAMS, EigenCam])
def test_nothing_is_left_behind(cls, layers, recording, resnet, images):
    before, digest = state(resnet), resnet.digest()
    pictures = images[:2].clone()
    with torch.set_grad_enabled(recording):
        maps = cls(layers=layers).explain(resnet, pictures, torch.tensor([0, 1]), [0, 0])
        assert torch.is_grad_enabled() == recording
    assert not maps.requires_grad and maps.min() >= 0 and maps.dtype == torch.float32
    assert state(resnet) == before and resnet.digest() == digest
    assert torch.equal(pictures, images[:2]) and not pictures.requires_grad


@pytest.mark.parametrize("recording", [True, False])
@pytest.mark.parametrize("layers", [("layer2",), ("layer2", "layer5")])
def test_nothing_is_left_behind_by_an_exception(layers, recording, images):
    model = classifier("resnet18")
    model.network.layer4.register_forward_pre_hook(lambda *call: 1 / 0)
    before, digest = state(model), model.digest()
    with (
        torch.set_grad_enabled(recording),
        pytest.raises((ZeroDivisionError, InputError)),
    ):
        try:
            GradCam(layers=layers).explain(model, images[:2], torch.tensor([0]), [0, 0])
        finally:
            assert torch.is_grad_enabled() == recording
    assert state(model) == before and model.digest() == digest


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("resnet18", "layr3", "layers: unknown layer 'layr3'; closest are layer3, layer"),
        ("densenet_small", "denselayer1", "'denselayer1'; closest are features.denseblock1.dens"),
        ("densenet_small", "denseblok2", "'denseblok2'; closest are features.denseblock2, "),
        ("resnet18", "", "unknown layer ''"),
        ("resnet18", "fc", r"layers: fc puts out \(N, 4\), neither feature maps"),
        ("resnet18", "layer3.0.relu", "layer3.0.relu is called more than once"),
        ("densenet_small", "classifier", r"classifier puts out \(N, 4\), neither"),
    ],
)
@pytest.mark.parametrize("cls", [GradCam, EigenCam, ScoreCam])
def test_unfit_layers_are_named(cls, name, layer, message, images):
    model = classifier(name)
    with pytest.raises(InputError, match=message):
        cls(layers=(layer,)).explain(model, images[:2], torch.tensor([0]), [0, 0])


def test_the_end_of_a_name_will_do_where_it_is_the_only_one(images):
    model = classifier("densenet_small")
    for end in ("denseblock2", "denseblock2.denselayer1"):
        (short,), logits = forward(model.network, images[:2], (end,), gradients=False)
        (full,), _ = forward(model.network, images[:2], (f"features.{end}",), gradients=False)
        assert torch.equal(short, full)


def test_maps_whose_channels_are_last_are_read_and_handed_on_so(images):
    model, kept = classifier("convnext_tiny"), []
    name = "features.1.0.block.2"
    (maps,), logits = forward(model.network, images[:2], (name,), gradients=True)
    assert maps.shape == (2, 96, 16, 16)
    hook = model.network.get_submodule(name).register_forward_hook(lambda *c: kept.append(c[2]))
    expected = model.network(images[:2])
    hook.remove()
    assert torch.equal(maps, kept[0].permute(0, 3, 1, 2)) and torch.equal(logits, expected)
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), maps)
    (plain,) = torch.autograd.grad(expected[:, 1].sum(), kept)
    torch.testing.assert_close(gradient, plain.permute(0, 3, 1, 2))


def test_a_layer_that_is_not_called_is_named(images):
    model = Textures()
    model.network.add_module("5", nn.ModuleList([nn.ReLU()]))
    model.network.forward = lambda x: nn.Sequential(*model.network[:5])(x)
    with pytest.raises(InputError, match=r"layers: 5.0 is not called as a module"):
        GradCam(layers=("5.0",)).explain(model, images, torch.tensor([0]), [0] * 5)


@pytest.mark.parametrize("cls", [*GRADIENT_CAMS, EigenCam])
def test_maps_of_named_layers_depend_on_their_own_image_and_class_alone(cls, resnet, images):
    """Bit for bit, in whatever place, though only a few images are worked on at a time."""
    explainer = cls(layers=("layer2", "layer3"))
    seeds = [0] * 5
    maps = explainer.explain(resnet, images, torch.arange(4), seeds)
    assert maps.shape == (5, 4, 8, 8)
    flipped = explainer.explain(resnet, images.flip(0), torch.arange(4), seeds)
    assert torch.equal(flipped.flip(0), maps)
    classes = torch.tensor([3, 1])
    assert torch.equal(explainer.explain(resnet, images, classes, seeds), maps[:, classes])
    if cls is not EigenCam:  # It has all images in one forward pass, without gradients.
        assert torch.equal(
            explainer.explain(resnet, images[:2], classes, seeds[:2]), maps[:2, classes]
        )


def test_several_layers_are_divided_by_their_maxima_resized_and_averaged(resnet, images):
    classes = torch.tensor([0, 2])
    layers = ("layer4", "layer2", "layer3")
    maps = LayerCam(layers=layers).explain(resnet, images[:2], classes, [0, 0])
    single = [
        LayerCam(layers=(name,)).explain(resnet, images[:2], classes, [0, 0]) for name in layers
    ]
    assert [layer.shape[2] for layer in single] == [2, 8, 4]
    for n in range(2):
        for c in range(2):
            parts = [layer[n, c] / layer[n, c].max() for layer in single]
            large = [
                functional.interpolate(part[None, None], size=8, mode="bilinear")[0, 0]
                for part in parts
            ]
            torch.testing.assert_close(maps[n, c], sum(large) / 3)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    scales=st.lists(st.floats(1e-20, 1e20), min_size=4, max_size=4),
    seed=st.integers(0, 2**31),
)
def test_merging_ignores_scale_and_keeps_to_0_and_1(sizes, scales, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.rand(2, 3, side, side, generator=generator) for side in sizes]
    found = merged(maps)
    assert found.shape == (2, 3, max(sizes), max(sizes))
    assert found.min() >= 0 and found.max() <= 1 + 1e-6
    scaled = [layer * scale for layer, scale in zip(maps, scales, strict=False)]
    torch.testing.assert_close(merged(scaled), found, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(merged(maps[::-1]), found, rtol=1e-5, atol=1e-6)
    assert merged(maps[:1]) is maps[0]


def test_a_map_of_zeros_stays_one_and_is_averaged_too():
    nothing, something = torch.zeros(1, 1, 2, 2), 4 * A[:, 1:]
    torch.testing.assert_close(merged([nothing, something]), A[:, 1:] / 8)
    assert not merged([nothing, nothing]).any()


def test_layers_are_read_from_the_configuration():
    entry = {"method": "layer_cam", "layers": ["layer3", "layer4"]}
    explainer = registry.build([entry])["layer_cam"]
    assert explainer.layers == ("layer3", "layer4")
    assert registry.one(registry.entry(explainer)) == explainer
    with pytest.raises(InputError, match="output: .*'logit' or 'probability'"):
        registry.build([{"method": "hires_cam", "output": "odds"}])
    with pytest.raises(InputError, match="unknown key 'guided'"):
        registry.build([{"method": "layer_cam", "guided": True}])
