"""The gradient family against captum, against sums it promises, and against work by hand."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from captum import attr as captum
from captum.attr._core.gradient_shap import InputBaselineXGradient
from torch import nn

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.deeplift import DeepLift
from shamsul.explain.expected_gradients import CELLS, ExpectedGradients, RandomFieldGradients
from shamsul.explain.gradient import (
    Gradient,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
)
from shamsul.explain.guided import GuidedBackprop
from shamsul.explain.input_gradients import baseline_images, class_gradients
from shamsul.explain.shard import Shard, Training
from shamsul.geometry import Frame
from shamsul.model.classifier import Classifier
from shamsul.model.inside.canonise import modular
from shamsul.model.inspection import known
from shamsul.storage.images import Images, write_images
from tests.networks import Textures, classifier

NAMES = ("densenet121", "resnet18", "vgg16")
CLASSES = (3, 0)
FAMILY = (
    Gradient(),
    InputXGradient(),
    SmoothGrad(samples=2),
    IntegratedGradients(steps=2),
    RandomFieldGradients(samples=2),
    GuidedBackprop(),
    DeepLift(),
)

pytestmark = pytest.mark.filterwarnings("ignore:(Setting|Input Tensor):UserWarning")


@functools.cache
def double(name):
    """A classifier in double precision; VGG's hidden layers, of 10^8 weights, are cut to 32."""
    model = classifier(name)
    if name == "vgg16":
        torch.manual_seed(1)
        for place, inputs, outputs in ((0, 512 * 7 * 7, 32), (3, 32, 32), (6, 32, 4)):
            model.network.classifier[place] = nn.Linear(inputs, outputs)
    return model.double()


@pytest.fixture(params=NAMES)
def model(request):
    return double(request.param)


@pytest.fixture
def images(request):
    """Noise, smaller for VGG, whose convolutions take longest."""
    size = 32 if "vgg16" in request.node.name else 64
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, 3, size, size, generator=generator, dtype=torch.float64)


def explained(method, model, images, seeds=(7, 8)):
    return method.explain(model, images, torch.tensor(CLASSES), list(seeds[: len(images)]))


def by_class(attribute):
    """(N, C, 3, H, W): a peer's attributions, one class at a time."""
    return torch.stack([attribute(index) for index in CLASSES], 1).detach()


def close(actual, expected, tolerance=1e-9):
    assert actual.shape == expected.shape
    assert expected.abs().max() > 0
    torch.testing.assert_close(
        actual, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max())
    )


def test_gradient_is_captums_saliency(model, images):
    expected = by_class(lambda c: captum.Saliency(model).attribute(images, target=c))
    close(explained(Gradient(), model, images), expected.amax(2))


def test_input_x_gradient_is_captums(model, images):
    expected = by_class(lambda c: captum.InputXGradient(model).attribute(images, target=c))
    close(explained(InputXGradient(), model, images), expected.sum(2))


def test_integrated_gradients_are_captums(model, images):
    peer, images = captum.IntegratedGradients(model), images[:1]
    references = baseline_images(model, images, "blur")
    expected = by_class(
        lambda c: peer.attribute(images, references, c, n_steps=5, method="gausslegendre")
    )
    actual = explained(IntegratedGradients(steps=5, baseline="blur"), model, images)
    close(actual, expected.sum(2), 1e-6)  # Captum's weights are in single precision.


def test_smooth_grad_is_captums_with_the_same_noise(model, images, monkeypatch):
    image, samples = images[:1], 4
    generator = torch.Generator().manual_seed(7)
    noise = torch.stack([torch.randn(image[0].shape, generator=generator) for _ in range(samples)])
    deviation = 0.2 * float(image.max() - image.min())
    monkeypatch.setattr(torch, "normal", lambda mean, std: std * noise.to(std))
    expected = by_class(
        lambda c: captum.NoiseTunnel(captum.Saliency(model)).attribute(
            image, target=c, abs=False, nt_samples=samples, stdevs=deviation
        )
    )
    actual = explained(SmoothGrad(samples=samples, noise=0.2), model, image)
    close(actual, expected.abs().amax(2))


def shard_with_train(folder, greys, seed=1):
    """A shard whose train split has radiographs of these greys (N, S, S)."""
    names = [f"t{number}" for number in range(len(greys))]
    frames = [Frame.fit(64, 64, greys.shape[-1], "stretch")] * len(greys)
    write_images(Images(np.asarray(greys, np.uint8), names, frames), folder / "train.h5")
    empty = Images(np.zeros((0, *greys.shape[1:]), np.uint8), [], [])
    return Shard(lambda: None, empty, ("a",), seed, training=Training(folder / "train.h5"))


@pytest.mark.parametrize("drawn", ["fields", "train"])
def test_gradients_over_references_are_captums_with_the_same_references_and_places(
    model, images, monkeypatch, drawn, tmp_path
):
    method, image = RandomFieldGradients(samples=5), images[0]
    if drawn == "train":
        greys = np.random.default_rng(2).integers(0, 256, (8, *image.shape[1:]))
        method = ExpectedGradients(samples=5).ready(shard_with_train(tmp_path, greys))
    references = torch.stack(list(method.references(model, image)))
    generator = torch.Generator().manual_seed(7)
    intervals = torch.randperm(5, generator=generator)
    places = (intervals + torch.rand(5, generator=generator)) / 5
    assert sorted((places * 5).long().tolist()) == list(range(5))
    monkeypatch.setattr(np.random, "uniform", lambda *_: places.numpy())
    peer = InputBaselineXGradient(model)
    copies = image.expand_as(references)
    expected = by_class(lambda c: peer.attribute(copies, references, target=c))
    close(explained(method, model, images[:1]), expected.sum(2).mean(0, keepdim=True))


def test_guided_backprop_is_captums(model, images):
    peer = captum.GuidedBackprop(modular(model.network, images))
    expected = by_class(lambda c: peer.attribute(images, target=c))
    network = GuidedBackprop().guided(model, images)
    close(class_gradients(network, images, torch.tensor(CLASSES)), expected)
    close(explained(GuidedBackprop(), model, images), expected.abs().amax(2))


def pooling_apart(network, images, separate=False):
    """`modular`, with a layer that does nothing ahead of each max pooling.

    Captum's hooks of a ReLU and of the pooling right behind it are on one tensor and run in the
    order of the forward pass, so that the ReLU is given the gradient from before the pooling's
    hook. Every max pooling of these networks has a ReLU in front of it.
    """
    network = modular(network, images)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                pool = nn.MaxPool2d(2, 2) if separate else child
                setattr(module, name, nn.Sequential(nn.AvgPool2d(1), pool))
    return network


def captums_deep_lift(network, model, images, baseline):
    """Image by image: captum's rule for max pooling reads the gradient of the first one only."""

    def attribute(index, image):
        reference = baseline_images(model, image, baseline)
        return captum.DeepLift(network).attribute(image, reference, target=index)

    return by_class(
        lambda index: torch.cat([attribute(index, image) for image in images.split(1)])
    ).sum(2)


def test_deep_lift_is_captums_where_pooling_windows_do_not_overlap(model, images):
    network = pooling_apart(model.network, images, separate=True)
    separate = Classifier.of(network, model.classes, model.spec.network, 64).double()
    expected = captums_deep_lift(network, model, images, "blur")
    close(explained(DeepLift(baseline="blur"), separate, images), expected)


def adding_unpool(values, places, kernel, stride, padding, shape):
    """Unpooling in which a place that several windows chose gets the sum of their values."""
    plane = values.new_zeros(*shape[:2], shape[2] * shape[3])
    return plane.scatter_add(2, places.flatten(2), values.flatten(2)).view(shape)


@pytest.mark.parametrize("name", ["densenet121", "resnet18"])
def test_deep_lift_is_captums_where_windows_overlap_but_for_a_lost_share(name, images, monkeypatch):
    """Captum's unpooling keeps one window's share of several; with all of them it is ours."""
    model = double(name)
    actual = explained(DeepLift(), model, images)
    expected = DeepLift().expected_sum(model, images, torch.tensor(CLASSES))
    close(actual.sum((2, 3)), expected)
    for network in (modular(model.network, images), pooling_apart(model.network, images)):
        captums = captums_deep_lift(network, model, images, "black")
        assert ((captums.sum((2, 3)) - expected).abs() > 1e-3 * expected.abs()).all()
    monkeypatch.setattr(torch.nn.functional, "max_unpool2d", adding_unpool)
    close(actual, captums_deep_lift(network, model, images, "black"))


@pytest.mark.parametrize("baseline", ["black", "zero", "blur"])
def test_deep_lift_sums_to_the_logits_difference(model, images, baseline):
    method = DeepLift(baseline=baseline)
    expected = method.expected_sum(model, images, torch.tensor(CLASSES))
    close(explained(method, model, images).sum((2, 3)), expected)
    logits = model(images) - model(baseline_images(model, images, baseline))
    close(expected, logits[:, CLASSES].detach())


def test_deep_lift_is_finite_and_zero_where_an_image_is_its_baseline(model, images):
    half = images.clone()
    middle = images.shape[-1] // 2
    half[..., middle:] = baseline_images(model, images, "black")[..., middle:]
    maps = explained(DeepLift(), model, half)
    assert maps.isfinite().all() and (maps[..., middle:] == 0).all()
    assert maps[..., :middle].abs().max() > 0
    black = baseline_images(model, images, "black")
    assert (explained(DeepLift(), model, black) == 0).all()


@pytest.mark.parametrize("baseline", ["black", "zero", "blur"])
def test_integrated_gradients_come_to_sum_to_the_logits_difference(images, baseline):
    model, images = double("densenet_small"), images[..., ::2, ::2]
    errors = []
    for steps in (4, 128):
        method = IntegratedGradients(steps=steps, baseline=baseline)
        expected = method.expected_sum(model, images, torch.tensor(CLASSES))
        maps = explained(method, model, images)
        errors.append((maps.sum((2, 3)) - expected).abs().max() / maps.abs().sum((2, 3)).max())
    assert errors[1] < min(0.005, errors[0] / 4)


def test_gradients_over_references_come_to_sum_to_the_mean_difference(images):
    model, images = double("densenet_small"), images[..., ::2, ::2]
    errors = []
    for samples in (4, 256):
        method = RandomFieldGradients(samples=samples)
        expected = method.expected_sum(model, images, torch.tensor(CLASSES))
        references = torch.stack(list(method.references(model, images[0])))
        with torch.no_grad():
            logits = model(images)[:, CLASSES] - model(references)[:, CLASSES].mean(0)
        close(expected, logits)
        maps = explained(method, model, images)
        errors.append((maps.sum((2, 3)) - expected).abs().mean() / maps.abs().sum((2, 3)).mean())
    assert errors[1] < min(0.02, errors[0] / 2)


def test_references_are_grey_pictures_that_do_not_depend_on_the_image():
    model = double("densenet_small")
    image = torch.randn(3, 64, 64).double()
    references = torch.stack(list(RandomFieldGradients(samples=40).references(model, image)))
    assert torch.equal(
        references, torch.stack(list(RandomFieldGradients(samples=40).references(model, -image)))
    )
    grey = references * model.std + model.mean
    torch.testing.assert_close(grey, grey[:, :1].expand_as(grey), rtol=0, atol=1e-6)
    assert grey.min() > -1e-6 and grey.max() < 1 + 1e-6 and 0.4 < grey.mean() < 0.6
    varied = grey.flatten(1).std(1) > 1e-4
    assert varied.tolist() == [CELLS[k % 4] > 1 for k in range(40)]


def test_references_of_expected_gradients_are_different_radiographs_of_train(tmp_path):
    model = double("densenet_small")
    greys = np.arange(0, 200, 10)[:, None, None] * np.ones((20, 64, 64), int)
    expected = {tuple(model.normalise(grey[None])[0, :, 0, 0].tolist()) for grey in greys}

    def references(samples, seed=1):
        method = ExpectedGradients(samples=samples)
        ready = method.ready(shard_with_train(tmp_path, greys, seed))
        found = list(ready.references(model, torch.zeros(3, 64, 64).double()))
        return [tuple(reference[:, 0, 0].tolist()) for reference in found]

    some = references(12)
    assert len(set(some)) == 12 and set(some) <= expected
    assert some == references(12) and some != references(12, seed=2)
    # More than there are: each equally often.
    many = references(40)
    assert {many.count(one) for one in many} == {2} and set(many) == expected


def test_without_radiographs_of_train_expected_gradients_say_what_to_do(tmp_path):
    empty = shard_with_train(tmp_path, np.zeros((0, 64, 64)))
    bare = Shard(lambda: None, empty.images, ("a",), 1)
    for shard in (empty, bare):
        with pytest.raises(InputError, match="no radiograph of the train split.*random_field"):
            ExpectedGradients().ready(shard)
    assert RandomFieldGradients().ready(bare) == RandomFieldGradients()


class Tiny(Textures):
    """A network of numbers that can be followed by hand; black is -1, white is 1."""

    def __init__(self, *layers):
        super().__init__()
        self.spec = self.spec.model_copy(update={"classes": ("a", "b")})
        self.network = nn.Sequential(*layers).double().eval()

    def normalise(self, grey):
        return super().normalise(grey).double()


def linear(weight, bias=None):
    layer = nn.Linear(len(weight[0]), len(weight))
    layer.weight.data = torch.tensor(weight, dtype=torch.float64)
    layer.bias.data = torch.tensor(bias or [0.0] * len(weight), dtype=torch.float64)
    return layer


def tiny_maps(method, model, pixels):
    """Maps (C, pixels) of an image whose three channels all have the given pixels."""
    images = torch.tensor(pixels, dtype=torch.float64).view(1, 1, 1, -1).repeat(1, 3, 1, 1)
    return method.explain(model, images, torch.arange(2), [0])[0, :, 0]


def summed(*weights):
    """A linear layer of the mean of the three channels."""
    return linear([[w / 3 for w in row] * 3 for row in weights])


def test_a_linear_network_by_hand():
    model = Tiny(nn.Flatten(), summed([3.0, -6.0], [0.0, 9.0]))
    expected = {
        # |w| / 3, as each channel has a third of the weight.
        Gradient(): [[1, 2], [0, 3]],
        SmoothGrad(samples=5): [[1, 2], [0, 3]],
        GuidedBackprop(): [[1, 2], [0, 3]],
        InputXGradient(): [[1.5, 12], [0, -18]],  # w x.
        IntegratedGradients(steps=1): [[4.5, 6], [0, -9]],  # w (x - black).
        IntegratedGradients(steps=3, baseline="zero"): [[1.5, 12], [0, -18]],
        DeepLift(): [[4.5, 6], [0, -9]],
        DeepLift(baseline="zero"): [[1.5, 12], [0, -18]],
    }
    for method, rows in expected.items():
        close(tiny_maps(method, model, [0.5, -2]), torch.tensor(rows, dtype=torch.float64))
    method = RandomFieldGradients(samples=4)
    references = torch.stack(list(method.references(model, torch.zeros(3, 1, 2).double())))
    mean = references.mean((0, 1))[0]
    rows = torch.tensor([[3, -6], [0, 9]]) * (torch.tensor([0.5, -2]) - mean)
    close(tiny_maps(method, model, [0.5, -2]), rows)


def test_a_relu_by_hand():
    """``a = relu(2 p + 1)``, ``b = -a``, from black ``p = -1``, where the ReLU's input is -1."""
    hidden = linear([[2 / 3] * 3], [1.0])
    model = Tiny(nn.Flatten(), hidden, nn.ReLU(), linear([[1.0], [-1.0]]))
    wide = {
        Gradient(): [[2 / 3], [2 / 3]],
        GuidedBackprop(): [[2 / 3], [0]],  # Nothing against a class passes.
        InputXGradient(): [[2], [-2]],
        DeepLift(): [[3], [-3]],  # From 0 to 3 while the pixel goes from -1 to 1.
        DeepLift(baseline="zero"): [[2], [-2]],  # From 1 to 3.
        IntegratedGradients(steps=400): [[3], [-3]],
    }
    for method, rows in wide.items():
        close(tiny_maps(method, model, [1.0]), torch.tensor(rows, dtype=torch.float64), 0.01)
    for method in (Gradient(), GuidedBackprop(), DeepLift(), IntegratedGradients()):
        assert (tiny_maps(method, model, [-0.75]) == 0).all()


def test_max_pooling_by_hand():
    """Overlapping windows of two pixels; the weights of their maxima are 1 and 10."""
    squeeze = nn.Conv2d(3, 1, 1, bias=False)
    squeeze.weight.data = torch.full((1, 3, 1, 1), 1 / 3, dtype=torch.float64)
    model = Tiny(squeeze, nn.MaxPool2d((1, 2), 1), nn.Flatten(), linear([[1.0, 10], [0.0, 1]]))
    # Both maxima rise from -1 by the middle pixel, and so are its own.
    close(
        tiny_maps(DeepLift(), model, [0, 2, 1]),
        torch.tensor([[0, 33, 0], [0, 3, 0]], dtype=torch.float64),
    )
    # Below black the maxima fall by 1 and 2; the baseline's largest is the first of equals.
    close(
        tiny_maps(DeepLift(), model, [-4, -2, -3]),
        torch.tensor([[-1, -10, 0], [0, -1, 0]], dtype=torch.float64),
    )


def test_images_exist_a_few_at_a_time(monkeypatch):
    seen = []
    monkeypatch.setattr(Textures, "forward", lambda self, x: seen.append(len(x)) or self.network(x))
    model = Textures()
    for size, most in ((32, 8), (224, 8), (320, 3), (512, 1)):
        for method in (SmoothGrad(samples=9), IntegratedGradients(steps=9)):
            seen.clear()
            images = torch.rand(1, 3, size, size)
            method.explain(model, images, torch.tensor([0]), [1])
            assert max(seen) == most
    Gradient().explain(model, torch.rand(20, 3, 32, 32), torch.tensor([0]), [0] * 20)
    assert max(seen) == 8


@pytest.mark.parametrize("method", FAMILY, ids=lambda method: method.method)
@pytest.mark.parametrize("name", ["densenet121", "resnet18"])
def test_the_network_is_as_before_after_explaining_and_after_an_exception(name, images, method):
    model, images = double(name), images[:1, :, :32, :32]
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    explained(method, model, images)
    with pytest.raises(IndexError):  # In the middle of the backward passes.
        method.explain(model, images, torch.tensor([0, 99]), [0])
    after = model.network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    for module in model.modules():
        assert not (module._forward_hooks or module._backward_hooks or module._forward_pre_hooks)
    assert all(p.grad is None and p.requires_grad for p in model.network.parameters())


@pytest.mark.parametrize("method", FAMILY, ids=lambda method: method.method)
def test_a_class_is_explained_the_same_whatever_else_is_asked(method):
    model = classifier("resnet18", size=40)
    images = torch.randn(1, 3, 37, 37, generator=torch.Generator().manual_seed(1))
    everything = method.explain(model, images, torch.arange(4), [3])
    for asked in ([2], [3, 1], [1, 0, 3, 2]):
        maps = method.explain(model, images, torch.tensor(asked), [3])
        assert torch.equal(maps, everything[:, asked])


def test_shards_store_how_far_sums_are_off():
    model = classifier("densenet_small")
    grey = torch.randint(0, 256, (3, 64, 64), generator=torch.Generator().manual_seed(1))
    images = Images(grey.numpy().astype(np.uint8), ["x", "y", "z"], [])
    shard = Shard(lambda: model, images, ("a", "c"), 1)
    for method in (DeepLift(), IntegratedGradients(steps=4), RandomFieldGradients(samples=4)):
        made = method.heatmaps(shard)
        maps, quality = made.heatmap, made.quality
        assert maps.dtype == np.float32 and maps.shape == (3, 2, 64, 64)
        assert quality["conservation_error"].shape == (3, 2)
    assert DeepLift().heatmaps(shard).quality["conservation_error"].max() < 1e-3
    assert Gradient().heatmaps(shard).quality == {}


@pytest.mark.parametrize("name", ["guided_backprop", "deep_lift"])
@pytest.mark.parametrize("backbone", ["efficientnet_b0", "convnext_tiny", "vit_b_16"])
def test_networks_without_relu_are_refused(name, backbone):
    built = registry.build([{"method": name}])
    with pytest.raises(InputError, match=rf"{name} cannot explain {backbone}: .*(ReLU|Rescale)"):
        registry.check_suited(built, backbone, known()[backbone])


@pytest.mark.parametrize("method", FAMILY[:5], ids=lambda method: method.method)
@pytest.mark.parametrize("backbone", ["efficientnet_b0", "convnext_tiny"])
def test_other_networks_are_explained_by_plain_gradients(method, backbone):
    maps = method.explain(classifier(backbone), torch.randn(1, 3, 64, 64), torch.tensor([1]), [0])
    assert maps.shape == (1, 1, 64, 64) and maps.isfinite().all() and maps.abs().max() > 0


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"method": "smooth_grad", "samples": 0}, "samples: .*greater than 0"),
        ({"method": "smooth_grad", "noise": 0}, "noise: .*greater than 0"),
        ({"method": "integrated_gradients", "steps": -1}, "steps: .*greater than 0"),
        ({"method": "integrated_gradients", "baseline": "white"}, "baseline: .*'black', 'zero'"),
        ({"method": "random_field_gradients", "samples": 0}, "samples: .*greater than 0"),
        ({"method": "deep_lift", "baseline": "white"}, "baseline: .*'black', 'zero' or 'blur'"),
    ],
)
def test_wrong_parameters_are_named(entry, message):
    with pytest.raises(InputError, match=message):
        registry.build([entry])


def test_baselines_are_what_their_names_say():
    model = classifier("densenet_small")
    grey = torch.randint(0, 256, (2, 64, 64), generator=torch.Generator().manual_seed(1))
    images = model.normalise(grey.to(torch.uint8))
    black = model.normalise(torch.zeros(2, 64, 64, dtype=torch.uint8))
    assert torch.equal(baseline_images(model, images, "black"), black)
    assert torch.equal(baseline_images(model, images, "zero"), torch.zeros(2, 3, 64, 64))
    blur = baseline_images(model, images, "blur")
    assert blur.shape == images.shape and blur.dtype == torch.float32
    torch.testing.assert_close(blur.mean((2, 3)), images.mean((2, 3)), rtol=0.05, atol=0.05)
    assert blur.std((2, 3)).max() < images.std((2, 3)).min() / 5


@pytest.mark.parametrize(
    "activation", [nn.ELU(0.5), nn.LeakyReLU(0.1), nn.Sigmoid(), nn.Tanh(), nn.Softplus(2)]
)
def test_deep_lift_of_other_activations_is_captums(activation, images):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 5, stride=2), nn.BatchNorm2d(6), activation, nn.Conv2d(6, 6, 3),
        type(activation)(), nn.AvgPool2d(4), nn.Flatten(), nn.LazyLinear(4),
    ).double().eval()  # fmt: skip
    network(images)
    model = Classifier.of(network, tuple("abcd"), "none", 64).double()
    expected = captums_deep_lift(network, model, images, "black")
    close(explained(DeepLift(), model, images), expected)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (nn.ReLU6(), lambda x: x.clamp(0, 6)),
        (nn.Hardtanh(-1, 2), lambda x: x.clamp(-1, 2)),
        (nn.SiLU(), lambda x: x * x.sigmoid()),
        (nn.Hardswish(), lambda x: x * (x + 3).clamp(0, 6) / 6),
        (nn.GELU(), lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2),
    ],
)
def test_deep_lift_of_an_activation_is_the_share_of_its_difference(activation, function):
    """One weight for each pixel: ``f(x) - f(r)`` is all its own, also where ``x`` is ``r``."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), activation, nn.Flatten())
    network[0].weight.data[:] = 2
    model = Classifier.of(network.eval(), tuple("abcd"), "none", 2).double()
    x = torch.tensor([[[[-4.0, -0.25], [0, 5]]]]).double()
    maps = DeepLift(baseline="zero").explain(model, x, torch.arange(4), [0])
    expected = torch.diag(function(2 * x).flatten() - function(torch.zeros(4).double()))
    torch.testing.assert_close(maps.reshape(4, 4), expected)
