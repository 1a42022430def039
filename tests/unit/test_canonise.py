"""Canonisation keeps a network's outputs and never touches the network itself."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from shamsul.errors import InputError
from shamsul.explain import registry
from shamsul.explain.lrp import (
    DeepTaylor,
    LrpAlpha2Beta1,
    LrpEpsilon,
    LrpEpsilonGammaBox,
    LrpEpsilonPlusFlat,
    LrpGamma,
    LrpZ,
)
from shamsul.explain.shard import Shard
from shamsul.model.inside.canonise import canonised, folded, modular, unsuited_to_lrp
from shamsul.model.inside.layers import Clamp
from shamsul.model.networks.names import SHORT
from shamsul.storage.images import Images
from tests.networks import classifier, network

NAMES = ("densenet_small", "densenet121", "resnet18", "resnet50", "vgg16", "efficientnet_b0")
NONLINEAR = (nn.ReLU, nn.MaxPool2d, Clamp)


def lively(net):
    """Untrained, EfficientNet lets nothing of an image reach its logits: scale convolutions up."""

    def scale(conv, inputs, z):
        conv.weight.data /= z.std()
        return z / z.std()

    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    hooks = [conv.register_forward_hook(scale) for conv in convolutions]
    outputs(net)
    for hook in hooks:
        hook.remove()


def example(size=64, dtype=torch.float32):
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(3))
    return images.to(dtype)


def outputs(net, size=64, dtype=torch.float32):
    with torch.no_grad():
        return net(example(size, dtype))


@pytest.mark.parametrize("name", NAMES)
def test_canonised_network_has_the_same_outputs(name):
    net = network(name)
    form = canonised(net, example())
    torch.testing.assert_close(outputs(form), outputs(net), rtol=1e-4, atol=1e-5)
    net = net.double()
    torch.testing.assert_close(
        outputs(canonised(net, example(dtype=torch.float64)), dtype=torch.float64),
        outputs(net, dtype=torch.float64),
        rtol=1e-9,
        atol=1e-11,
    )


@pytest.mark.parametrize("name", [*NAMES, "convnext_tiny"])
def test_modular_network_has_the_same_outputs_and_the_very_weights(name):
    net = network(name)
    steps = modular(net, example())
    assert torch.equal(outputs(steps), outputs(net))

    def weights(net):
        tensors = [*net.named_parameters(), *net.named_buffers()]
        return {id(tensor) for name, tensor in tensors if "num_batches_tracked" not in name}

    assert weights(steps) == weights(net)
    assert not any(getattr(module, "inplace", False) for module in steps.modules())


@pytest.mark.parametrize("form", [modular, canonised])
@pytest.mark.parametrize("name", ["densenet_small", "resnet18", "resnet50", "vgg16"])
def test_every_nonlinearity_is_a_module_that_is_used_once(name, form):
    """And none is hidden in a `forward`: made linear, they leave a linear network."""
    steps, calls = form(network(name).double(), example(dtype=torch.float64)), {}
    for module in steps.modules():
        if isinstance(module, NONLINEAR):
            module.register_forward_hook(lambda module, *_: calls.setdefault(module, []).append(1))
    outputs(steps, dtype=torch.float64)
    assert set(calls) == {module for module in steps.modules() if isinstance(module, NONLINEAR)}
    assert all(len(called) == 1 for called in calls.values())
    for parent in list(steps.modules()):
        for key, child in parent.named_children():
            if isinstance(child, nn.MaxPool2d):
                child = nn.AvgPool2d(child.kernel_size, child.stride, child.padding)
                setattr(parent, key, child)
            elif isinstance(child, NONLINEAR):
                setattr(parent, key, nn.Identity())
    one, two = torch.randn(2, 1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        middle = (steps(one) + steps(two)) / 2
        torch.testing.assert_close(steps((one + two) / 2), middle)


def test_a_relu_that_a_sequential_uses_twice_is_made_two():
    relu = nn.ReLU(inplace=True)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Sequential(nn.Conv2d(4, 4, 3), relu))
    for steps in (modular(net, example()), canonised(net, example())):
        relus = [module for module in steps.modules() if isinstance(module, nn.ReLU)]
        assert len(relus) == 2 and not any(module.inplace for module in relus)
        torch.testing.assert_close(outputs(steps), outputs(net))
    assert net[1] is net[2][1] is relu and relu.inplace


def test_clamp_has_no_gradient_where_it_clamps():
    infinity = torch.inf
    bounds = torch.tensor([[[[-infinity]], [[1.0]]], [[[0.5]], [[infinity]]]])
    clamp = Clamp(*bounds)
    x = torch.tensor([[0.2, 0.9], [0.2, 1.7]]).reshape(1, 2, 2, 1).requires_grad_()
    y = clamp(x)
    assert y.flatten().tolist() == pytest.approx([0.2, 0.5, 1.0, 1.7])
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient.flatten().tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("architecture", ["densenet_small", "resnet50"])
def test_no_batch_norm_is_left(architecture):
    modules = canonised(network(architecture), example()).modules()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in modules)


def test_a_channel_whose_batch_norm_scale_is_zero_keeps_its_constant():
    net = network("densenet_small").double()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.data[::3] = 0
    torch.testing.assert_close(
        outputs(canonised(net, example(dtype=torch.float64)), dtype=torch.float64),
        outputs(net, dtype=torch.float64),
        rtol=1e-6,
        atol=1e-8,
    )


@pytest.mark.parametrize("architecture", ["densenet_small", "densenet121", "resnet18", "vgg16"])
def test_the_network_is_bit_identical_after_explaining_and_after_an_exception(architecture):
    model = classifier(architecture)
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    expected = outputs(model.network)
    images = torch.randn(2, 3, 32, 32)
    LrpAlpha2Beta1().explain(model, images, torch.tensor([1]), [0, 1])
    with pytest.raises(IndexError):  # In the middle of the backward passes.
        LrpAlpha2Beta1().explain(model, images, torch.tensor([0, 99]), [0, 1])
    after = model.network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert torch.equal(outputs(model.network), expected)
    assert not any(module._forward_hooks for module in model.network.modules())
    assert all(parameter.grad is None for parameter in model.network.parameters())


CONSERVING = (
    LrpZ(),
    LrpEpsilon(epsilon=1e-9),
    LrpGamma(),
    LrpAlpha2Beta1(),
    DeepTaylor(),
    LrpEpsilonPlusFlat(),
    LrpEpsilonGammaBox(),
)


@pytest.fixture(params=CONSERVING, ids=lambda method: method.method)
def method(request):
    return request.param


def pixels(model, count=3, size=64):
    generator = torch.Generator().manual_seed(1)
    grey = torch.randint(256, (count, size, size), generator=generator, dtype=torch.uint8)
    return model.normalise(grey)


@pytest.mark.parametrize("architecture", ["densenet_small", "resnet18", "efficientnet_b0"])
def test_without_biases_relevance_sums_to_the_seed(architecture, method):
    model = classifier(architecture, bias_free=True)
    if architecture == "efficientnet_b0":
        lively(model.network)
        if method.method == "lrp_alpha2beta1":
            pytest.skip("a depthwise convolution has outputs without negative contributions")
    images, classes = pixels(model), torch.tensor([3, 0, 1])
    logits = model.predict(images)[:, classes]
    for seed, expected in (("logit", logits), ("probability", logits.sigmoid())):
        seeded = method.model_copy(update={"seed_with": seed})
        torch.testing.assert_close(
            seeded.expected_sum(model, images, classes), expected, rtol=1e-3, atol=1e-6
        )
        maps = seeded.explain(model, images, classes, [0] * 3)
        torch.testing.assert_close(maps.sum((2, 3)), expected, rtol=0.01, atol=0)


@pytest.mark.parametrize("architecture", ["densenet_small", "resnet18"])
@pytest.mark.parametrize("method", CONSERVING[1:], ids=lambda method: method.method)
def test_without_biases_every_layer_conserves_relevance(architecture, method):
    """R = x G: what arrives at a linear layer's outputs leaves by its inputs, in each image."""
    model = classifier(architecture, bias_free=True)
    images = pixels(model, 2)
    network, leaf = method.prepared(model, images)
    passed = []

    def remember(layer, inputs, z):
        passed.append((inputs[0] if passed else leaf, z))
        return z.clone()  # What follows may work in place.

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(remember)
    logits = network(images)
    upper = torch.autograd.grad(logits[:, 1].sum(), [z for _, z in passed], retain_graph=True)
    assert len(passed) > 20
    for (x, z), gradient in zip(passed, upper, strict=True):
        (lower,) = torch.autograd.grad(z, x, gradient, retain_graph=True)
        left, arrived = ((t * g).flatten(1).sum(1) for t, g in ((x, lower), (z, gradient)))
        torch.testing.assert_close(left, arrived, rtol=0.01, atol=1e-6)


def test_the_conservation_error_is_what_biases_and_epsilon_absorb(method):
    model = classifier("densenet_small")
    grey = torch.randint(256, (2, 64, 64), generator=torch.Generator().manual_seed(1)).byte()
    shard = Shard(lambda: model, Images(grey.numpy(), ["one", "two"], []), ("c", "a"), 5)
    made = method.heatmaps(shard)
    maps, quality = made.heatmap, made.quality
    logits = model.predict(model.normalise(grey))[:, [2, 0]].numpy()
    error = abs(maps.sum((2, 3)) - logits) / abs(logits)
    assert quality["conservation_error"] == pytest.approx(error, rel=1e-2, abs=1e-3)
    assert error.max() > 0.01


@pytest.mark.parametrize("architecture", ["densenet_small", "resnet18"])
@pytest.mark.parametrize("grey", [0, 255])
def test_relevance_of_blank_images_through_dead_batch_norms_is_finite(architecture, grey, method):
    model = classifier(architecture)
    for norm in model.network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.weight.data[::3] = 0
            norm.bias.data[::2] = 0
    blank = model.normalise(torch.full((1, 64, 64), grey, dtype=torch.uint8))
    for images in (blank, torch.zeros_like(blank)):
        assert method.explain(model, images, torch.arange(4), [0]).isfinite().all()


def test_only_asked_classes_are_propagated(method, monkeypatch):
    model, asked = classifier("densenet_small"), []
    gradient = torch.autograd.grad
    monkeypatch.setattr(
        torch.autograd, "grad", lambda *a, **k: asked.append(a) or gradient(*a, **k)
    )
    method.explain(model, pixels(model, 2), torch.tensor([2, 1]), [0, 1])
    assert len(asked) == 2


def test_presets_do_as_the_study_did():
    for cls in (LrpZ, LrpEpsilon, LrpAlpha2Beta1, DeepTaylor):
        method = registry.one({"method": cls.method, "preset": "shamsul-2023"})
        assert cls().seed_with == "logit" and method.seed_with == "probability"
    assert registry.one({"method": "lrp_epsilon", "preset": "shamsul-2023"}).epsilon == 1


@pytest.mark.parametrize("backbone", SHORT)
def test_backbones_are_suited_or_refused_naming_the_first_layer_without_a_rule(backbone):
    layers = {
        "convnext_tiny": "LayerNorm2d .layer features.0.1",
        "vit_b_16": "LayerNorm .layer enc",
    }
    net, images = network(backbone), example(224 if backbone == "vit_b_16" else 64)
    reason = unsuited_to_lrp(net, images)
    if backbone not in layers:
        assert reason is None
        return
    assert re.match(f"LRP has no rule for {layers[backbone]}", reason)
    with pytest.raises(InputError, match="LRP has no rule"):
        canonised(net, images)


@pytest.mark.parametrize(
    # The last two have no batch norm, so that nothing is folded.
    "name",
    [*NAMES, "convnext_tiny", pytest.param("vit_b_16", marks=pytest.mark.long)],
)
def test_folded_for_prediction_a_classifier_predicts_the_same_and_is_left_as_it_was(name):
    size = 224 if name == "vit_b_16" else 64
    model = classifier(name, size)
    images = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(3))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    expected = model.predict(images)
    quick = folded(model)
    torch.testing.assert_close(quick.predict(images), expected, rtol=1e-4, atol=1e-5)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]) and value.stride() == before[key].stride()
    assert torch.equal(model.predict(images), expected)
    if name.startswith(("densenet", "resnet", "efficientnet")):
        assert not any(isinstance(module, nn.BatchNorm2d) for module in quick.modules())
